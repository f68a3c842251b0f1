"""Walk-forward study: trains on past prices, and tests on the next year."""
