"""Trains on markets with known answers and reports which goals are met."""
