"""Values with units that every other room speaks in; nothing here knows agents or messages."""
