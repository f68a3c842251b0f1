"""Measures the project beside references: eigen3 benchmark."""
