"""The steps that bring an older database up to date, run at each start."""
