"""Tests of the page in a browser, at the widths of a screen and a phone."""

import json
import re
import shutil
import subprocess

import pytest
import tiny_page

from eigen3.reporting import run_page

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
# Measures the page in a frame, because the page runs no scripts.
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin: 0">
<iframe src="page.html" style="border: 0; width: %dpx; height: 900px"></iframe>
<script>
document.querySelector('iframe').onload = ({target}) => {
  const inner = target.contentDocument, root = inner.documentElement;
  const sizes = [...inner.querySelectorAll('svg, img')].map((x) => {
    const box = x.getBoundingClientRect();
    return [box.left, box.right, box.height];
  });
  const scroll = [...inner.querySelectorAll('.scroll')].map((x) =>
    [x.clientWidth, x.scrollWidth]);
  document.title = 'TOLD' + JSON.stringify({
    width: root.clientWidth, needed: root.scrollWidth, sizes, scroll,
    asked: target.contentWindow.performance.getEntriesByType('resource').length,
  }) + 'END';
};
</script>
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pages')
  panel = tiny_page.make_panel(('INDEX', 'A' * 40, 'B'))
  occasion = tiny_page.make_occasion(panel)
  champion = tiny_page.make_champion(folder / ('run' * 20), occasion.judge)
  tiny_page.make_population(champion.workdir)
  run_page.write(folder / 'page.html', 'TD3', [champion], occasion)
  return folder


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason='needs Chromium, found none')
@pytest.mark.parametrize('width', [1280, 390])
def test_it_fits_and_asks_for_nothing(folder, tmp_path, width):
  frame = folder / f'frame{width}.html'
  frame.write_text(FRAME % width)
  run = subprocess.run(
    [
      CHROMIUM,
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--allow-file-access-from-files',
      '--enable-logging=stderr',
      '--virtual-time-budget=5000',
      f'--user-data-dir={tmp_path}',
      f'--window-size={max(width, 600)},900',
      '--dump-dom',
      frame.as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  assert 'CONSOLE' not in run.stderr, run.stderr
  told = re.search(r'TOLD(\{.*\})END', run.stdout)
  assert told, run.stdout[:500]
  found = json.loads(told[1])
  assert found['width'] >= width - 20  # except a scroll bar
  assert found['needed'] <= found['width']
  assert found['asked'] == 0
  assert len(found['sizes']) > 15
  for left, right, height in found['sizes']:
    assert left >= 0
    assert right <= found['width']
    assert right - left > 250
    assert height > 80
  # Some table is wider than a phone, and scrolls in its own box.
  if width == 390:
    assert any(needed > has for has, needed in found['scroll'])
