"""How a mechanism design agent prices the slots of a day."""
