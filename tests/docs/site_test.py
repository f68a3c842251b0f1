"""The site is made without a warning, is whole, and needs no network."""

import re
import subprocess
import sys
import zlib

import pages
import pytest
from public_names import interfaces, names_of

pytestmark = pytest.mark.long

_LOADED = re.compile(
  r'<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)="(?:\w+:)?//[^>]*>'
)
_STYLE = re.compile(r'@import|url\(["\']?(?:\w+:)?//')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The folder of the site, made as `make docs` makes it."""
  for name in ('sphinx', 'myst_parser', 'furo'):
    pytest.importorskip(name, reason="needs pip install -e '.[docs]'")
  folder = tmp_path_factory.mktemp('site')
  command = (sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-E')
  made = subprocess.run(
    [*command, 'docs', folder],
    cwd=pages.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert made.returncode == 0, made.stderr
  return folder


def test_it_loads_nothing_from_elsewhere(site):
  found = {
    path.name: pattern.findall(path.read_text(encoding='utf-8'))
    for kind, pattern in (('html', _LOADED), ('css', _STYLE))
    for path in site.rglob(f'*.{kind}')
  }
  assert len(found) > 30
  assert {name: loaded for name, loaded in found.items() if loaded} == {}


def test_it_has_every_public_name(site):
  inventory = (site / 'objects.inv').read_bytes().split(b'\n', 4)[4]
  lines = zlib.decompress(inventory).decode().splitlines()
  shown = {line.split(' ')[0] for line in lines}
  expected = set().union(*map(names_of, interfaces()))
  assert len(expected) > 300
  assert expected - shown == set()
