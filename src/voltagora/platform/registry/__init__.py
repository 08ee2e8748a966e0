"""The registry: users, topics, services, rights, tokens and who did what, in one database."""
