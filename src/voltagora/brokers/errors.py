"""What can be wrong with giving rights to a broker."""

from __future__ import annotations


class BrokerError(Exception):
    """Rights that a broker cannot be given; the message says which and why."""
