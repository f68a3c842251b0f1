"""Executes many runs, each in its own process, and records the results."""
