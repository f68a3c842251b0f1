"""HTML pages, from templates that lie beside the code that fills them."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from eigen3.files import atomic_path

_SHARED = pathlib.Path(__file__).parent  # base.html


def write(
  path: os.PathLike | str,
  template: pathlib.Path,
  content: Mapping[str, Any],
  filters: Mapping[str, Callable[..., Any]] | None = None,
) -> None:
  """Writes a page from a template, which may extend base.html.

  Values are escaped.

  Args:
    path: of an HTML file; written atomically.
    template: path of the template.
    content: the template's variables; the use of a missing one raises
      jinja2.UndefinedError.
    filters: the template's filters, by name.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader([template.parent, _SHARED]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(filters or {})
  text = environment.get_template(template.name).render(content)
  with atomic_path(path) as temporary:
    temporary.write_text(text, encoding='utf-8')
