"""How a vehicle orders what it was offered."""
