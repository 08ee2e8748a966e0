"""Runs the agents for real, over an MQTT broker: connection, time, identity, what survives a kill."""
