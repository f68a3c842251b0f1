"""Imports go one way: a folder knows only what stands above it."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# From the top, which imports no sibling, to the programs.
ORDER = (
  'types',
  'settings',
  'files',
  'parallel',
  'sizes',
  'data',
  'environment',
  'networks',
  'agent',
  'evolution',
  'runs',
  'learner',
  'evaluation',
  'reporting',
  'interop',
)

# Conversions need less than their place at the end would allow.
INTEROP_MAY_IMPORT = {
  'types',
  'settings',
  'files',
  'data',
  'environment',
  'networks',
  'agent',
  'runs.checkpoint',
}

# The networks and the agent know nothing of markets.
FORBIDDEN = {
  'networks': {'data', 'environment'},
  'agent': {'data', 'environment'},
}


def part_of(path: pathlib.Path) -> str:
  return path.relative_to(ROOT / 'eigen3').parts[0].removesuffix('.py')


def imported_modules(path: pathlib.Path) -> set[str]:
  """Names below eigen3 that a file imports, e.g. 'learner.checkpoint'."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      names = [f'{node.module}.{alias.name}' for alias in node.names]
    else:
      continue
    found.update(
      name.removeprefix('eigen3.')
      for name in names
      if name.startswith('eigen3.')
    )
    assert is_program(path) or not any(
      name.split('.')[0] == 'experiments' for name in names
    ), f'{path}: the library imports experiments'
  return found


def is_program(path: pathlib.Path) -> bool:
  return (ROOT / 'experiments') in path.parents


def violations(part: str, modules: set[str]) -> list[str]:
  """The imports that `part` may not make."""
  bad = []
  for module in sorted(modules):
    other = module.split('.')[0]
    if other == part or other not in ORDER:
      continue
    if part == 'interop':
      allowed = any(
        module == name or module.startswith(f'{name}.')
        for name in INTEROP_MAY_IMPORT
      )
    else:
      allowed = ORDER.index(other) < ORDER.index(part)
      allowed = allowed and other not in FORBIDDEN.get(part, set())
    if not allowed:
      bad.append(module)
  return bad


def library_files() -> list[pathlib.Path]:
  """All of the library but its own __init__, which imports nothing."""
  package = ROOT / 'eigen3'
  files = sorted(set(package.rglob('*.py')) - {package / '__init__.py'})
  assert {package / 'types.py', package / 'parallel.py'} < set(files)
  return files


@pytest.mark.parametrize('path', library_files(), ids=lambda p: p.stem)
def test_imports_go_one_way(path):
  part = part_of(path)
  assert part in ORDER, f'{path}: eigen3/{part} has no place in the order'
  assert violations(part, imported_modules(path)) == []


def test_programs_parse():
  for path in (ROOT / 'experiments').rglob('*.py'):
    imported_modules(path)


def test_an_upward_import_is_found():
  assert violations('data', {'learner.loop'}) == ['learner.loop']
  assert violations('networks', {'environment'}) == ['environment']
  assert violations('interop', {'learner.loop'}) == ['learner.loop']
  assert violations('learner', {'agent.td3', 'types'}) == []
