"""Reads a scenario and its data, draws who takes part, and builds a run from them."""
