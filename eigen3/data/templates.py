"""Pages of HTML: templates that lie beside the code that fills them."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jinja2

_SHARED = pathlib.Path(__file__).parent  # base.html


def render(
  path: pathlib.Path,
  filters: Mapping[str, Callable[..., Any]],
  content: Mapping[str, Any],
) -> str:
  """Fills a template, which may extend base.html; text is escaped.

  Args:
    path: of the template.
    filters: by the names that it uses.
    content: all that it shows; what is missing is a jinja2.UndefinedError.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader([path.parent, _SHARED]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(filters)
  return environment.get_template(path.name).render(content)
