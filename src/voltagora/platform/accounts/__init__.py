"""Accounts: passwords, logins, tokens as credentials, and confirmation by mail."""
