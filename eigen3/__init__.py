"""Evolutionary reinforcement learning for daily stock trading, in JAX."""

__version__ = '0.1.0'
