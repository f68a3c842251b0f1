"""The README stays short, and what it and the pages point at exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
LONGEST_README = 150  # lines

_LINK = re.compile(r'\]\(([^)\s]+)\)')
_FILE = re.compile(r'`([\w/]+\.py)`')
_CODE = ('eigen3', 'experiments', 'tests')


def anchor(heading: str) -> str:
  """The name that GitHub gives a heading."""
  kept = re.sub(r'[^\w\- ]', '', heading.strip().lower())
  return kept.replace(' ', '-')


def broken_links(page: pathlib.Path) -> list[str]:
  """The relative links of a page that lead nowhere."""
  broken = []
  for link in _LINK.findall(page.read_text(encoding='utf-8')):
    if '://' in link:
      continue
    path, _, name = link.partition('#')
    target = page.parent / path if path else page
    if not target.exists() or (name and name not in anchors(target)):
      broken.append(link)
  return broken


def anchors(page: pathlib.Path) -> set[str]:
  text = page.read_text(encoding='utf-8')
  return {anchor(found) for found in re.findall(r'(?m)^#+ (.+)$', text)}


def unknown_files(page: pathlib.Path) -> list[str]:
  """The Python files that a page names and that no folder of the code has."""
  known = [
    f'/{path.relative_to(ROOT).as_posix()}'
    for folder in _CODE
    for path in (ROOT / folder).rglob('*.py')
  ]
  named = _FILE.findall(page.read_text(encoding='utf-8'))
  return [
    name
    for name in named
    if not any(path.endswith(f'/{name}') for path in known)
  ]


def test_the_readme_is_short():
  lines = PAGES[0].read_text(encoding='utf-8').splitlines()
  assert len(lines) <= LONGEST_README


@pytest.mark.parametrize(
  'page', [*PAGES, ROOT / 'CHANGELOG.md'], ids=lambda page: page.name
)
def test_what_a_page_points_at_exists(page):
  assert broken_links(page) == []
  assert unknown_files(page) == []


def test_every_page_is_in_the_index():
  index = ROOT / 'docs' / 'README.md'
  linked = set(_LINK.findall(index.read_text(encoding='utf-8')))
  assert {page.name for page in PAGES[1:]} - linked == {
    'README.md',
    'index.md',  # of the site
  }


def test_a_broken_link_is_found(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text(
    '# A page, of `mine`\n[a](#a-page-of-mine) [b](#b) [c](c.md) [d](page.md) '
    '[e](https://example.com/e.md) `agent/td3.py` `agent/td4.py`\n'
  )
  assert broken_links(page) == ['#b', 'c.md']
  assert unknown_files(page) == ['agent/td4.py']
