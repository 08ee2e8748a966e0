"""Service folders: one agent of a scenario as files that the platform, or Docker, can build and run."""
