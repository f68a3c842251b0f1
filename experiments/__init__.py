"""Command line programs: eigen3 NAME, or python -m experiments.NAME."""
