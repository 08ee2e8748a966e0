"""The market board: pages that know stations, prices and sessions, for the platform to show."""
