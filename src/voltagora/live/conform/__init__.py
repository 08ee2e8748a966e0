"""Plays the other side of every protocol with a stranger's agent, and says what it did right and wrong."""
