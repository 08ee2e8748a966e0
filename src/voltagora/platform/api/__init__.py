"""The REST API: the calls that clients of the reference platform make, to the letter, and our own."""
