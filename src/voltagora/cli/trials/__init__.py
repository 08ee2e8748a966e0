"""One decision from JSON to JSON, one file a kind: what `voltagora try` reads, asks and prints."""
