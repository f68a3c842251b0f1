"""Measures the project beside references: python -m experiments.benchmark."""
