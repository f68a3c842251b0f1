"""Evolutionary reinforcement learning for trading daily stocks, in JAX."""

__version__ = '0.1.0'
