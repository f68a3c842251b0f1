"""Defines the programs' flags; imports nothing that is slow."""
