"""Trains on markets of known answers and tells which goals are met."""
