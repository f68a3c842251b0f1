"""The notebook runs from top to bottom, and is fit to be read on the web."""

import ast
import pathlib
import re

import nbclient
import nbformat
import pytest

from experiments.configs import td3

NOTEBOOK = pathlib.Path(td3.__file__).parents[1] / 'quickstart.ipynb'
MOST_BYTES = 350_000


@pytest.fixture
def notebook():
  return nbformat.read(NOTEBOOK, as_version=4)


def outputs(notebook, kind):
  """Outputs of the code that hold something of a kind."""
  return [
    output.data[kind]
    for cell in notebook.cells
    for output in cell.get('outputs', ())
    if kind in output.get('data', ())
  ]


@pytest.mark.long
def test_the_notebook_runs(notebook, monkeypatch):
  """With networks and a market of seconds; an exception of a cell is raised."""
  for cell in notebook.cells:
    if cell.cell_type == 'code':
      cell.outputs, cell.execution_count = [], None
  monkeypatch.setenv('EIGEN3_PRESET', 'smoke')
  nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3').execute(
    cwd=str(NOTEBOOK.parent)
  )
  assert len(outputs(notebook, 'image/png')) == 3
  told = ''.join(
    output.text
    for cell in notebook.cells
    for output in cell.get('outputs', ())
    if output.output_type == 'stream' and output.name == 'stdout'
  )
  assert 'window (1, 8, 12, 5)' in told
  assert 'buy and hold' in told


def test_what_is_kept_is_of_one_run(notebook):
  """From top to bottom without an error, or of none at all."""
  assert NOTEBOOK.stat().st_size < MOST_BYTES
  code = [cell for cell in notebook.cells if cell.cell_type == 'code']
  counts = [cell.execution_count for cell in code]
  was_run = counts == [i + 1 for i in range(len(code))]
  assert was_run or counts == [None] * len(code)
  assert len(outputs(notebook, 'image/png')) == (3 if was_run else 0)
  kinds = {output.output_type for cell in code for output in cell.outputs}
  assert 'error' not in kinds


def test_the_badge_opens_this_notebook(notebook):
  """In the repository that the first cell installs."""
  badge = re.search(
    r'colab\.research\.google\.com/github/(.+?)/blob/main/(.+?)\)',
    notebook.cells[0].source,
  )
  assert (NOTEBOOK.parents[1] / badge[2]).samefile(NOTEBOOK)
  assert f"SOURCE = 'https://github.com/{badge[1]}'" in notebook.cells[1].source


def test_each_picture_is_explained(notebook):
  """By a sentence below it."""
  for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
    if outputs(nbformat.from_dict({'cells': [cell]}), 'image/png'):
      assert below.cell_type == 'markdown'
      assert not below.source.startswith('#')


def test_the_notebook_defines_nothing(notebook):
  """What others may need is in the package."""
  for cell in notebook.cells:
    if cell.cell_type == 'code':
      source = re.sub('%pip.*', 'pass', cell.source)
      kinds = {type(node) for node in ast.walk(ast.parse(source))}
      assert not kinds & {ast.FunctionDef, ast.ClassDef}, source
