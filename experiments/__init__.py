"""Command line programs: python -m experiments.NAME --config=..."""
