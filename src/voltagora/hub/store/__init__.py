"""What outlives the process: one SQLite file, written in groups, read back at the start."""
