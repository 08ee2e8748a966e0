"""Pure decisions, swapped by name: pricing, scheduling, recommendation, choice, negotiation, forecast."""
