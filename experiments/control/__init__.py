"""Runs the agent on public control tasks, to show that it is right."""
