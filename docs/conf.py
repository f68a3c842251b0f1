"""Builds the documentation site: `make docs`, by Sphinx.

Pages are Markdown (MyST), so that they can be read on a code host as well. The
reference comes from the docstrings. Nothing is loaded from elsewhere.
"""

import pathlib
import subprocess
import sys
from typing import Any

from docutils import nodes
from docutils.parsers import rst
from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import eigen3  # noqa: E402

project = 'Eigen3'
author = 'the authors of Eigen3'
version = release = eigen3.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
# docs/README.md is the index of those who read the pages as files.
exclude_patterns = ['README.md']
html_theme = 'furo'
html_title = f'Eigen3 {version}'
html_show_sourcelink = False
html_copy_source = False

# As a code host names the headings, so that links work in both places.
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
autodoc_default_options = {
  'members': True,
  'undoc-members': True,
  'show-inheritance': False,
}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# Single backticks are code in the docstrings.
default_role = 'code'
maximum_signature_line_length = 72


class ProgramHelp(rst.Directive):
  """Shows what `eigen3 NAME --help` prints."""

  required_arguments = 1

  def run(self) -> list[nodes.Node]:
    """Runs the program that the argument names."""
    command = (sys.executable, '-m', 'experiments', self.arguments[0])
    text = subprocess.check_output([*command, '--help'], cwd=ROOT, text=True)
    text = text.replace(f'{ROOT}/', '')
    return [nodes.literal_block(text, text, language='text')]


def link_within(app: Sphinx, name: str, source: list[str]) -> None:
  """Turns links to files outside of docs/ into links to their pages here."""
  source[0] = source[0].replace('](../CHANGELOG.md)', '](changelog.rst)')


def leave_out_field_numbers(
  app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
  """Removes the docstrings that Python gives to fields of a NamedTuple."""
  if lines and lines[0].startswith('Alias for field number'):
    lines.clear()


def setup(app: Sphinx) -> None:
  """Adds what is made here."""
  app.add_directive('program-help', ProgramHelp)
  app.connect('source-read', link_within)
  app.connect('autodoc-process-docstring', leave_out_field_numbers)
