"""A pricing strategy for VoltAgora, as an example of a package of one's own."""
