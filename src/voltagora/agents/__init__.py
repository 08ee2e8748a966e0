"""The seven agents: state and conversations, without clock or network.

An agent is ordinary state plus one method a protocol. It is given a `Turn` with each call and
hands back what it wants through it; a conversation is a generator that yields an `Ask` and is
sent the replies. `exchange` drives both, for the simulation as for live operation.
"""
