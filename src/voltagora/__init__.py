"""VoltAgora: an open multi-agent market for V2G and G2V energy, simulated or live."""

__version__ = "0.1.0"
