"""Measures the project against other implementations: eigen3 benchmark."""
