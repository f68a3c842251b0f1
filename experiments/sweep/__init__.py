"""Runs a training program with many settings and compares the results."""
