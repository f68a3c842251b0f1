"""Runs of programs, each a process of its own, as parts of a whole."""
