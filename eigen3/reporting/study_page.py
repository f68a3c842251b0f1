"""The page of a walk-forward study, and the study's results as text."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from eigen3.reporting import drawing, pages, svg
from eigen3.reporting.tables import aligned

_TEMPLATE = pathlib.Path(__file__).with_suffix('.html')
_SEEN = 0.05  # a positive effect is called seen if its p-value is below this
_WORDS = {
  'ic': 'rank IC',
  'adjusted_ic': 'after risk',
  'top': 'top decile, %',
  'adjusted_top': 'its, after risk, %',
}
# First and last year on which earlier versions of this study, and of its
# models, were judged.
_LOOKED_AT = (2005, 2020)


def write(
  path: pathlib.Path,
  results: Mapping[str, Any],
  lines: Sequence[str],
  drawn: Mapping[str, str],
) -> str:
  """Writes the page, and returns its main contents as text.

  Args:
    path: path of an HTML file.
    results: a dict with
      `years`, the held-out years;
      `preset`, the name of the study's preset;
      `asked`, the result of `asked` of experiments/jobs/record.py, which
      includes the seeds;
      `commits`, the commits of the runs' code;
      `programs`, for each training program by name, the changes to its preset
      besides `common`, as FIELD=VALUE;
      `common`, the changes to the preset that all programs share;
      `cold`, the names of programs that do not continue with the agent of the
      fold before although they could;
      `remark`, caveats about the data; and
      `chosen`, the result of `named` of experiments/jobs/naming.py.
      A study of real markets also has `policies`, for each policy by name the
      result of `report` of experiments/study/joined.py; and `main`, the name
      of the policy that the verdict is about. A study with planted signals has
      `planted` instead, a dict with `ic`, the planted rank IC, and `programs`,
      the result of `judge` of experiments/study/planted.py.
    lines: further lines of text for the page.
    drawn: SVG elements for the page, keyed by title.

  Returns:
    The title, verdict, tables, `lines` and caveats.
  """
  years = results['years']
  title = f'Walk-forward study {years[0]} to {years[-1]}, {results["preset"]}'
  caveats = [results['remark'], *_caveats(results)]
  stamp = '. '.join(words[0].upper() + words[1:] for words in caveats)
  tables = _tables(results)
  content = {
    'title': title,
    'verdict': verdict(results),
    'stamp': stamp,
    'tables': tables,
    'pictures': drawn,
    'said': lines,
    'tried': _tried(results),
    'chosen': _chosen(results['chosen']),
    'results': results,
  }
  pages.write(path, _TEMPLATE, content)
  parts = [title, verdict(results)]
  for table in tables:
    parts += ['', table['title'], aligned([table['head'], *table['rows']])]
  return '\n'.join([*parts, '', *lines, f'{stamp}.'])


def verdict(results: Mapping[str, Any]) -> str:
  """Returns a sentence that says what the study found.

  Args:
    results: see `write`.
  """
  if 'planted' in results:
    return _planted_verdict(results['planted'])
  years, name = results['years'], results['main']
  found = results['policies'][name]
  ic, account = found['order']['ic'], found['against']['matched_entry']
  sees, earns = _is_seen(ic), _is_seen(account)
  begin = {
    (True, True): 'An edge was seen',
    (True, False): 'An order of the stocks was seen, and no profit from it',
    (False, True): 'A profit was seen, and no order of the stocks behind it',
    (False, False): 'Nothing was seen that luck does not explain',
  }[sees, earns]
  if results['preset'] == 'choice':
    begin = f'To choose by, and no evidence: {begin[0].lower()}{begin[1:]}'
  parts = found['attribution'] or {'alpha': None, 't': None}
  return (
    f'{begin}: from {years[0]} to {years[-1]} the rank IC of {name} was '
    f'{_signed(ic["mean"], 3)} (t {_signed(ic["t"], 1)}; '
    f'{_plain(ic["detectable"], 3)} would have been seen in 80 % of cases), '
    f'and its account earned {_signed(account["mean"], 1, 100)} % a year more '
    f'than random entries of the same risk (t {_signed(account["t"], 1)}; '
    f'{_plain(account["detectable"], 1, 100)} % would have been seen); market, '
    'volatility, reversal and momentum leave '
    f'{_signed(parts["alpha"], 1, 100)} % unexplained '
    f'(t {_signed(parts["t"], 1)}).'
  )


def pictures(
  policies: Mapping[str, Mapping[str, Any]], main: str, excess: pd.DataFrame
) -> dict[str, str]:
  """Returns the pictures of a study as SVG, keyed by title.

  Args:
    policies: the `policies` of the results; see `write`.
    main: name of the policy that the verdict is about.
    excess: a row per day, with the columns `date`; `excess`, the cumulative
      excess return of this policy's account over random entries of the same
      risk; and `low` and `high`, the ends of the 95 % interval of `excess`.

  Returns:
    The pictures; that of the attribution only if the policy bought anything.
  """
  drawn = {
    'Rank IC by year': svg.of_axes(
      'ic', 3.4, lambda axes: _draw_years(axes, policies)
    ),
    'Cumulative excess': svg.of_axes(
      'excess', 3.0, lambda axes: _draw_excess(axes, excess, main)
    ),
  }
  parts = policies[main]['attribution']
  if parts is not None:  # else nothing was bought
    drawn['Attribution'] = svg.of_axes(
      'attribution', 3.0, lambda axes: _draw_parts(axes, parts, main)
    )
  return drawn


def _planted_verdict(planted: Mapping[str, Any]) -> str:
  parts = [
    f'{name} finds it in {_share(found["planted"])} and, where there is '
    f'nothing, something in {_share(found["nothing"])}'
    for name, found in planted['programs'].items()
  ]
  return f'A planted rank IC of {planted["ic"]}: {"; ".join(parts)}.'


def _share(found: Mapping[str, Any]) -> str:
  return f'{found["found"]} of {found["trials"]} copies'


def _is_seen(found: Mapping[str, Any]) -> bool:
  return found['p'] is not None and found['p'] < _SEEN and found['mean'] > 0


def _caveats(results: Mapping[str, Any]) -> list[str]:
  """Returns the caveats that follow from the results.

  If signals are planted, the only caveat is that days are resampled. Otherwise
  there are up to two: which years earlier studies looked at, if any, and
  survivorship bias, if the policy of the verdict bought anything.
  """
  if 'planted' in results:
    return ['days are resampled: nothing here is of real markets']
  caveats = []
  first, last = _LOOKED_AT
  seen = [year for year in results['years'] if first <= year <= last]
  if seen:
    caveats.append(
      f'the years {seen[0]} to {seen[-1]} of US stocks were looked at before, '
      'by earlier studies: what is found in them needs newer data to be '
      'believed'
    )
  parts = results['policies'][results['main']]['attribution']
  if parts is not None:
    gained = parts['contributions']
    caveats.append(
      'of companies that fell or were small, those that survived are in the '
      'data, which flatters reversal, volatility and small volumes: at most by '
      'all that the account earned through them, '
      f'{_signed(gained["reversal"], 1, 100)} % a year of reversal and '
      f'{_signed(gained["volatility"], 1, 100)} % of volatility; the measures '
      'after risk leave out volatility, beta and volume'
    )
  return caveats


def _tables(results: Mapping[str, Any]) -> list[dict[str, Any]]:
  if 'planted' in results:
    return [_planted_table(results['planted']['programs'])]
  policies = results['policies']
  return [_order_table(policies), _account_table(policies)]


def _planted_table(programs: Mapping[str, Any]) -> dict[str, Any]:
  def row(name, found, kind):
    one = found[kind]
    known = [ic for ic in one['ic'] if ic is not None]
    mean = float(np.mean(known)) if known else None
    return [f'{name}, {kind}', _share(one), _signed(mean, 3)]

  return {
    'title': 'Copies',
    'head': ['', 'found in', 'mean IC'],
    'rows': [
      row(name, found, kind)
      for name, found in programs.items()
      for kind in ('planted', 'nothing')
    ],
  }


def _order_table(policies: Mapping[str, Any]) -> dict[str, Any]:
  rows = []
  for name, found in policies.items():
    row = [name]
    for field in _WORDS:
      one = found['order'][field]
      digits = 2 if 'top' in field else 4
      row += [
        f'{_signed(one["mean"], digits)} (t {_signed(one["t"], 1)})',
        _plain(one['detectable'], digits),
      ]
    less = found['order_against'].get('boosting')
    row.append('' if less is None else _interval(less, 4))
    rows.append([*row, str(found['seeds'])])
  head = ['policy']
  for words in _WORDS.values():
    head += [words, 'sees']
  return {
    'title': 'Order of the stocks',
    'head': [*head, 'IC less boosting', 'seeds'],
    'rows': rows,
  }


def _account_table(policies: Mapping[str, Any]) -> dict[str, Any]:
  columns = list(
    dict.fromkeys(n for found in policies.values() for n in found['against'])
  )
  rows = []
  for name, found in policies.items():
    account = found['account']
    capacity = account['capacity']
    rows.append(
      [
        name,
        f'{_signed(account["growth"], 1, 100)}',
        f'{account["exposure"]:.0%}',
        f'{account["turnover"]:.1f}',
        '' if capacity is None else f'{capacity / 1e6:,.0f}',
        *(
          _less(found['against'][n]) if n in found['against'] else ''
          for n in columns
        ),
      ]
    )
  return {
    'title': 'Account',
    'head': [
      *('policy', 'growth', 'exposure', 'turnover', 'capacity'),
      *(f'less {n.replace("_", " ")}' for n in columns),
    ],
    'rows': rows,
  }


def _tried(results: Mapping[str, Any]) -> list[tuple[str, str]]:
  """Returns each program's name, and text on its settings and results."""
  rows = []
  for name, changes in results['programs'].items():
    found = results.get('policies', {}).get(name)
    how = ', '.join(changes) or 'the preset'
    if name in results['cold']:
      how += '; without the fold before'
    if found is not None:
      how += f': IC {_signed(found["order"]["ic"]["mean"], 4)}'
      if found['minutes'] is not None:
        how += f', {found["minutes"]:,.0f} minutes of training'
    rows.append((name, how))
  return rows


def _chosen(chosen: Mapping[str, Any]) -> str:
  """Returns text on the settings' commit, and on whether all runs came later.

  Args:
    chosen: the result of `named` of experiments/jobs/naming.py.
  """
  file, commit = chosen['file'], chosen['commit']
  if not commit:
    return f'not in the last commit of {file}, so it is not known when'
  order = {
    True: 'all runs are of this commit or a later one',
    False: 'NOT all runs are of this commit or a later one',
    None: 'whether the runs came after it is not known',
  }[chosen['before']]
  return f'in {file}, commit {commit}; {order}'


def _draw_years(axes, policies: Mapping[str, Mapping[str, Any]]) -> None:
  colours = drawing.colours([*policies])
  for place, (name, found) in enumerate(policies.items()):
    shift = 0.7 * ((place + 0.5) / len(policies) - 0.5)
    years = np.array([int(year) for year in found['by_year']])
    means, errors = (
      np.array([x[field] for x in found['by_year'].values()], float)
      for field in ('mean', 'error')
    )
    axes.errorbar(
      years + shift, means, 1.96 * errors, fmt='o', markersize=3.5,
      linewidth=1, color=colours[name], label=drawing.shown(name),
    )  # fmt: skip
  drawing.name_axes(axes, 'Rank IC by year, with intervals of 95 %')
  drawing.number_wholly(axes, '')
  drawing.finish(axes)


def _draw_excess(axes, excess: pd.DataFrame, main: str) -> None:
  dates = excess['date'].to_numpy()
  axes.fill_between(
    dates, 100 * excess['low'], 100 * excess['high'],
    color=drawing.POPULATION, alpha=0.15, linewidth=0, label='95 %',
  )  # fmt: skip
  axes.plot(
    dates, 100 * excess['excess'], color=drawing.POPULATION, linewidth=1.5,
    label=f'{main} less matched entry',
  )  # fmt: skip
  drawing.name_axes(axes, 'Sum of daily returns over those of matched entries')
  axes.set_ylabel('%')
  drawing.number_dates(axes)
  drawing.finish(axes)


def _draw_parts(axes, parts: Mapping[str, Any], main: str) -> None:
  drawing.name_axes(axes, f'Returns of {main} by what explains them, % a year')
  names = [*parts['contributions'], 'alpha']
  values = [*parts['contributions'].values(), parts['alpha']]
  errors = [0.0] * (len(names) - 1) + [1.96 * (parts['error'] or 0.0)]
  axes.barh(
    range(len(names)), 100 * np.array(values, float),
    xerr=100 * np.array(errors), color=drawing.POPULATION, height=0.6,
  )  # fmt: skip
  axes.set_yticks(range(len(names)), names)
  axes.invert_yaxis()
  axes.axvline(0, color='black', linewidth=0.6)
  drawing.lighten(axes, 'x')


def _less(found: Mapping[str, Any]) -> str:
  return f'{_interval(found, 1, 100)}; {_plain(found["detectable"], 1, 100)}'


def _interval(found: Mapping[str, Any], digits: int, factor: float = 1) -> str:
  mean, error = found['mean'], found['error']
  if mean is None or error is None:
    return '?'
  return f'{_signed(mean, digits, factor)} ± {1.96 * factor * error:.{digits}f}'


def _signed(value: float | None, digits: int, factor: float = 1) -> str:
  return '?' if value is None else f'{factor * value:+.{digits}f}'


def _plain(value: float | None, digits: int, factor: float = 1) -> str:
  return '?' if value is None else f'{factor * value:.{digits}f}'
