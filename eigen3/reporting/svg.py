"""Pictures for HTML pages, as SVG for light and dark pages."""

import io
import textwrap
from collections.abc import Callable

import matplotlib
from matplotlib import axes as mpl_axes
from matplotlib import dates as mpl_dates
from matplotlib import figure as mpl_figure
from matplotlib import layout_engine as mpl_layout_engine

from eigen3.reporting import drawing

_WIDTH = 4.2  # inches; letters stay readable on a phone
_LETTERS = 8.5  # points
_TITLE_WIDTH = 50  # letters
# Maps colours of pictures on white to colours that are visible on black, too.
_OF_PAGES = {
  '#000000': 'currentColor',
  '#555555': 'currentColor',
  '#1b4f9c': '#3b82d6',
  '#c2570c': '#d9731a',
  '#2a7f3f': '#2f9e57',
  '#7a5195': '#a069c9',
  '#888888': '#8a8a8a',
  '#d0021b': '#e0483e',
}


def new(height: float) -> tuple[mpl_figure.Figure, mpl_axes.Axes]:
  """Returns a figure of `height` inches, and the axes that fill it."""
  figure = mpl_figure.Figure(
    figsize=(_WIDTH, height),
    layout=mpl_layout_engine.ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03),
  )
  return figure, figure.add_subplot()


def name_axes(axes, title: str) -> None:
  """Sets the title of axes, wrapped, without parsing it as a formula."""
  wrapped = '\n'.join(textwrap.wrap(title, _TITLE_WIDTH))
  axes.set_title(wrapped, loc='left', fontsize=9.5, parse_math=False)


def of_axes(
  name: str, height: float, draw: Callable[[mpl_axes.Axes], None]
) -> str:
  """Returns what `draw` draws on new axes, as SVG for a page.

  Args:
    name: see `element`.
    height: height of the figure, inches.
    draw: draws on the axes, and sets their title at the left. If it adds a
      legend, this is moved below the axes.
  """
  figure, axes = new(height)
  draw(axes)
  name_axes(axes, axes.get_title(loc='left'))
  if axes.get_legend() is not None:
    legend_below(axes)
  return element(figure, name)


def legend_below(axes, columns: int = 2) -> None:
  """Adds a legend below the axes; an earlier legend is removed.

  Each distinct label has one entry, which shows the first artist with it.

  Args:
    axes: axes with labelled artists.
    columns: number of columns of the legend.
  """
  if axes.get_legend() is not None:
    axes.get_legend().remove()
  handles, labels = axes.get_legend_handles_labels()
  first = dict(zip(labels[::-1], handles[::-1], strict=True))
  names = [*dict.fromkeys(labels)]
  legend = axes.figure.legend(
    [first[name] for name in names],
    names,
    fontsize=_LETTERS,
    frameon=False,
    ncols=columns,
    loc='outside lower center',
  )
  for text in legend.get_texts():
    text.set_parse_math(False)


def element(figure: mpl_figure.Figure, name: str) -> str:
  """Returns a figure as an SVG element for light and dark pages.

  Black and dark grey become the page's text colour, and the background becomes
  transparent. Fonts and date labels of `figure` are changed.

  Args:
    figure: the finished figure.
    name: a name that is unique on the page. The SVG's ids are derived from it,
      because ids apply to the whole page.
  """
  for axes in figure.axes:
    axes.tick_params(which='both', labelsize=_LETTERS)
    for axis in (axes.xaxis, axes.yaxis):
      axis.label.set_fontsize(_LETTERS)
    axes.patch.set_visible(False)
    if isinstance(axes.xaxis.get_major_locator(), mpl_dates.AutoDateLocator):
      drawing.number_dates(axes, most=5, offset=False)
  figure.patch.set_visible(False)
  buffer = io.StringIO()
  # Text stays text: it uses the page's font, can be searched and is short.
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name}):
    figure.savefig(
      buffer,
      format='svg',
      metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')),
    )
  drawn = buffer.getvalue()
  drawn = drawn[drawn.index('<svg') :]
  for colour, other in _OF_PAGES.items():
    drawn = drawn.replace(colour, other)
  return drawn
