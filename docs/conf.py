"""Builds the documentation site: `make docs`, by Sphinx.

Pages are Markdown (MyST), so that they can be read on a code host as well. The
reference comes from the docstrings. Nothing is loaded from elsewhere.
"""

import enum
import functools
import inspect
import pathlib
import re
import subprocess
import sys
from typing import Any

from docutils import nodes
from docutils.parsers import rst
from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import eigen3  # noqa: E402

# Of a docstring: what means something to reStructuredText alone,
_MARKUP = re.compile(r'([*|]|_(?=\W|$))')
_FLAG = re.compile(r'(?<!\S)(--\w[\w=.]*)')
# the section Returns, its results, and its name where there are several.
_RETURNS = re.compile(r'(?m)^Returns:\n((?:  .*\n|\n)*)')
_RESULT = re.compile(r'(?m)^  \w[\w, ]*: ')
_SEVERAL = 'Returns each'

project = 'Eigen3'
author = 'the authors of Eigen3'
version = release = eigen3.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
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
napoleon_custom_sections = [(_SEVERAL, 'params_style')]
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


def as_rst(
  app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
  """Makes reStructuredText of a docstring, which is text with code in it."""
  parts = '\n'.join(lines).split('`')
  for i in range(0, len(parts), 2):
    parts[i] = _FLAG.sub(r'``\1``', _MARKUP.sub(r'\\\1', parts[i]))
  parts[1::2] = [_code(part) for part in parts[1::2]]
  lines[:] = _RETURNS.sub(_of_each, ''.join(parts)).split('\n')


def _code(text: str) -> str:
  """Code in a sentence; a name is a link where the reference has it."""
  is_name = text.replace('.', '').isidentifier()
  return f':py:obj:`{text}`' if is_name else f'``{text}``'


def _of_each(returns: re.Match) -> str:
  """Names a section of Returns with several results as napoleon wants it."""
  several = len(_RESULT.findall(returns[1])) > 1
  return f'{_SEVERAL}:\n{returns[1]}' if several else returns[0]


def without_fields(
  app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
  """Leaves out fields, which the docstring of their class explains."""
  kinds = (property, functools.cached_property, type, enum.Enum)
  if what == 'class' and not (inspect.isroutine(obj) or isinstance(obj, kinds)):
    return True
  return None


def setup(app: Sphinx) -> None:
  """Adds what is made here."""
  app.add_directive('program-help', ProgramHelp)
  app.connect('source-read', link_within)
  # Before napoleon.
  app.connect('autodoc-process-docstring', as_rst, priority=400)
  app.connect('autodoc-skip-member', without_fields)
