"""The deterministic runtime: waves of messages, simulated time, seeded randomness, faults."""
