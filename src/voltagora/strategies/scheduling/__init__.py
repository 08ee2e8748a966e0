"""When a session charges and discharges; `decision.py` says what goes in and what comes out."""
