"""The page of many runs."""

import json
import pathlib

import experiments
from eigen3.reporting import cells_page


def write(path, told):
  about = {'versions': {'jax': '1'}, 'python': '3.11', 'data': {}}
  (path / 'run.json').write_text(json.dumps(about))
  (path / 'config.json').write_text('{}')
  page = path / 'results.html'
  asked = {'seeds': [0, 1]}
  cells_page.write(page, 'Ladder', told, asked, [], {}, 'a remark', ['abc'])
  return page.read_text()


def cells(solved):
  """Returns two recorded cells of the ladder, some numbers replaced."""
  path = (
    pathlib.Path(experiments.__file__).parent / 'results' / 'ladder_small.json'
  )
  told = json.loads(path.read_text())['cells']
  found = {}
  for name in ('drift', 'some'):
    cell = found[name] = told[name] | {'solved': solved}
    cell['shares']['momentum']['value'] = 0.974
    cell['against']['random_entry'] |= {'mean': 0.1601, 'p': 0.0005}
  return found


def test_a_table_has_the_columns_that_have_values(tmp_path):
  without = write(tmp_path, cells(None))
  assert '<th>solved</th>' not in without
  assert '<th>of momentum</th>' in without
  assert '<td>97%</td>' in without
  within = write(tmp_path, cells({'count': 4, 'size': 5}))
  assert '<th>solved</th>' in within
  assert within.count('<td>4 of 5</td>') == 2
  assert within.count('<tr>') == without.count('<tr>') == 3


def test_a_cell_breaks_before_its_p_and_nowhere_else(tmp_path):
  page = write(tmp_path, cells(None))
  assert '<td>+16.0% p\u00a00.0005</td>' in page
  assert '% to\u00a0+' in page
