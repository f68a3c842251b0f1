"""Measures the project against references: eigen3 benchmark."""
