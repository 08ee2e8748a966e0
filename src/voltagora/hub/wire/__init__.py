"""MQTT 3.1.1 and 5 as bytes: strict decoding, minimal encoding, no state."""
