"""How one side of a reservation answers a proposed change of it."""
