"""The runner: uploads, builds and runs services, each in its sandbox."""
