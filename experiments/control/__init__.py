"""Trains the agent on public control tasks, to validate the algorithm."""
