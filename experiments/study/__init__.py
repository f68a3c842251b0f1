"""Trains on the past of a real market, year by year."""
