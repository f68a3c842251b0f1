"""Runs a training program with many settings and compares what they reach."""
