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

  Variables are escaped for HTML.

  Args:
    path: of an HTML file; written atomically.
    template: path of the template.
    content: the template's variables, keyed by name.
    filters: Jinja filters in addition to the built-in ones, keyed by name.

  Raises:
    jinja2.UndefinedError: if the template uses a variable that is not in
      `content`.
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
