"""What the pictures of a population have in common."""

from matplotlib import figure as mpl_figure
from matplotlib import layout_engine as mpl_layout_engine
from matplotlib import ticker as mpl_ticker

POPULATION = '#1b4f9c'
REFERENCE = '#c2570c'


def new_figure(height: float, title: str) -> mpl_figure.Figure:
  """A figure of 1200 pixels' width and so many inches' height."""
  # A figure of its own, not pyplot's: no global state, no display needed.
  figure = mpl_figure.Figure(
    figsize=(10, height),
    layout=mpl_layout_engine.ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06),
  )
  figure.suptitle(title, fontsize=12, parse_math=False)
  return figure


def number_generations(axes) -> None:
  """Whole numbers, few enough to read, on the axis of generations."""
  axes.set_xlabel('generation')
  axes.xaxis.set_major_locator(
    mpl_ticker.MaxNLocator(7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
  )
