"""The page of a run, or of runs that differ only in seed: one HTML file."""

from eigen3.reporting.run_page.render import write
from eigen3.reporting.run_page.subject import Champion, Occasion

__all__ = ['Champion', 'Occasion', 'write']
