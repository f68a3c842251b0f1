"""Flags of programs; imports nothing that is slow."""
