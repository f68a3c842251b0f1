"""Builds the documentation site: `make docs`, by Sphinx.

Pages are Markdown (MyST), so that they can be read on a code host as well. The
reference comes from the docstrings. Nothing is loaded from elsewhere.
"""

import pathlib
import subprocess
import sys

from docutils import nodes
from docutils.parsers import rst
from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

import docstrings  # noqa: E402

import eigen3  # noqa: E402

project = 'Eigen3'
author = 'the authors of Eigen3'
version = release = eigen3.__version__

extensions = [
  'myst_parser',
  'sphinx.ext.autodoc',
  'sphinx.ext.napoleon',
  'docstrings',
]
# docs/README.md is the index of those who read the pages as files.
exclude_patterns = ['README.md']
html_theme = 'furo'
html_title = f'Eigen3 {version}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False

# Quotes and commands stay as they are written, but for dashes.
smartquotes_action = 'D'
highlight_language = 'none'

# As a code host names the headings, so that links work in both places.
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
autodoc_default_options = {'members': True, 'undoc-members': True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_custom_sections = [(docstrings.SEVERAL, 'params_style')]
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


def setup(app: Sphinx) -> None:
  """Adds what is made here."""
  app.add_directive('program-help', ProgramHelp)
  app.connect('source-read', link_within)
