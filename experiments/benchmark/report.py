"""Summarises the measurements of cases, and compares two runs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.benchmark.cases import Group
from experiments.benchmark.turns import Measurement

_GIGA = 1e9
_MEBI = 2**20
_SLOWER = 0.05
_FASTER, _COST = 'times faster', 'times the first'
Summary = dict[str, Any]


def compare(group: Group, measurements: Sequence[Measurement]) -> Summary:
  """Summarises a group as a dict that can be written as JSON.

  Args:
    group: the group to summarise.
    measurements: the measurements of the group's cases, or of some of them.

  Returns:
    `name`, `note`, `reference` ('' if it is not among the measurements),
    `unit`, `axis`, `cases` (a dict for each measurement) and, if `axis` and
    `reference` are not '', `growth` (see the function `growth`). Times are in
    seconds and memory in bytes; numbers that are not known are None.
  """
  by_name = {each.case.name: each for each in measurements}
  reference = by_name.get(group.reference)
  product = _product_rate(measurements)
  cases = [_case(each, group, reference, product) for each in measurements]
  summary: Summary = {
    'name': group.name,
    'note': group.note,
    'reference': group.reference if reference else '',
    'unit': group.unit,
    'axis': group.axis,
    'cases': cases,
  }
  if group.axis and reference:
    points = [
      (case['position'], 1 / case['speedup'])
      for case in cases
      if case['speedup']
    ]
    summary['growth'] = growth(points)
  return summary


def speedup(
  reference: Mapping[int, float], seconds: Mapping[int, float]
) -> float | None:
  """Returns how many times faster a case is than the reference.

  Args:
    reference: seconds of the reference's runs, keyed by round.
    seconds: seconds of the case's runs, keyed by round.

  Returns:
    The median, over the rounds that both have, of the reference's seconds
    divided by the case's; None if they share no round. Above 1 the case is
    faster.
  """
  ratios = [reference[r] / seconds[r] for r in seconds if r in reference]
  return statistics.median(ratios) if ratios else None


def growth(points: Sequence[tuple[float, float]]) -> Summary | None:
  """Measures how a cost grows along an axis.

  Args:
    points: pairs (size along the axis, cost), the reference's first.

  Returns:
    `exponent`, the slope of a line fitted to the points on logarithmic axes;
    `deviation_percent`, keyed by size as text: by how many percent a point
    costs more (or, below 0, less) than the first point's cost scaled in
    proportion to size; and `largest_percent`, the deviation that is furthest
    from 0. None for fewer than two points.
  """
  if len(points) < 2:
    return None
  sizes, costs = np.array(points).T
  exponent = np.polyfit(np.log(sizes), np.log(costs), 1)[0]
  deviations = 100 * (costs / costs[0] / (sizes / sizes[0]) - 1)
  return {
    'exponent': float(exponent),
    'deviation_percent': {
      f'{size:g}': float(deviation)
      for size, deviation in zip(sizes, deviations, strict=True)
    },
    'largest_percent': float(deviations[np.abs(deviations).argmax()]),
  }


def table(summary: Summary) -> str:
  """Returns a summary as text: the group's name and a table of its cases.

  Lines about growth, notes and failures follow if there are any. Columns that
  are empty for all cases are omitted.
  """
  rows = [_cells(case, summary) for case in summary['cases']]
  titles = [
    title
    for title in rows[0]
    if title == 'case' or any(row[title] for row in rows)
  ]
  columns = [[title, *(row[title] for row in rows)] for title in titles]
  widths = [max(map(len, column)) for column in columns]
  lines = [
    '  '.join(
      cell.ljust(width) if index == 0 else cell.rjust(width)
      for index, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()
    for line in zip(*columns, strict=True)
  ]
  failures = [
    f'failed: {case["name"]}: {case["failure"]}'
    for case in summary['cases']
    if case['failure']
  ]
  note = [summary['note']] if summary['note'] else []
  if summary['reference'] and not summary['axis']:
    note.append(
      f'times faster than: {summary["reference"]}; the median of the ratios '
      'within a round'
    )
  grown = [_growth_line(summary)] if summary.get('growth') else []
  return '\n'.join([summary['name'], *lines, *grown, *note, *failures])


def against(now: Summary, then: Summary) -> str:
  """Lists cases that became slower since an earlier run.

  Args:
    now: a suite's results in this run, as they are written to JSON.
    then: results of the earlier run. If they are from other devices (see
      `devices_of`), times relative to each group's reference are compared
      instead of seconds.

  Returns:
    A line for each case whose time rose by over 5 %, the largest rise first,
    and a line with the number of compared cases (those whose time is known in
    both runs) and the number that became slower.
  """
  here, there = (devices_of(record) for record in (now, then))
  costs, before = (_costs(record, here == there) for record in (now, then))
  change = {
    name: cost / before[name] - 1
    for name, cost in costs.items()
    if name in before
  }
  lines = [
    f'slower by {percent:.0%}: {name}'
    for name, percent in sorted(change.items(), key=lambda item: -item[1])
    if percent > _SLOWER
  ]
  by = 'seconds' if here == there else f'ratios (it ran on {there})'
  count = f'{len(change)} cases compared by {by}, {len(lines)} became slower'
  return '\n'.join([*lines, count])


def devices_of(results: Mapping[str, Any]) -> str:
  """Returns a run's processor and kinds of accelerators, joined by commas."""
  kinds = {c.get('device', '') for g in results['groups'] for c in g['cases']}
  kinds = {kind for kind in kinds if kind and kind != 'cpu'}
  return ', '.join([results['machine']['processor'], *sorted(kinds)])


def _costs(results: Summary, in_seconds: bool) -> dict[str, float]:
  """Returns the cost of each case that has one, keyed 'group: case'.

  The cost is the median seconds if `in_seconds`, otherwise the time relative to
  the group's reference.
  """
  cases = {
    f'{group["name"]}: {case["name"]}': case
    for group in results['groups']
    for case in group['cases']
  }
  if in_seconds:
    costs = {name: case['median_seconds'] for name, case in cases.items()}
    return {name: cost for name, cost in costs.items() if cost}
  return {
    name: 1 / case['speedup'] for name, case in cases.items() if case['speedup']
  }


def seconds_text(seconds: float | None) -> str:
  """Returns a time in s, ms or µs, rounded by `number_text`; '' for None."""
  if seconds is None:
    return ''
  if seconds >= 1:
    return f'{number_text(seconds)} s'
  if seconds >= 1e-3:
    return f'{number_text(seconds * 1e3)} ms'
  return f'{number_text(seconds * 1e6)} µs'


def bytes_text(count: float | None) -> str:
  """Returns a number of bytes as text, in MiB; '' for None."""
  if count is None:
    return ''
  mebi = count / _MEBI
  return f'{mebi:,.0f} MiB' if mebi >= 100 else f'{number_text(mebi)} MiB'


def number_text(number: float | None) -> str:
  """Returns a number as text with three significant digits; '' for None.

  Numbers from 1,000 on are rounded to whole numbers instead, such as 12,345.
  """
  if number is None:
    return ''
  if number == 0:
    return '0'
  digits = max(0, 2 - math.floor(math.log10(abs(number))))
  return f'{number:,.{digits}f}'


def _case(
  measured: Measurement,
  group: Group,
  reference: Measurement | None,
  product: float | None,
) -> Summary:
  case, prepared = measured.case, measured.prepared
  runs = list(measured.seconds.values())
  median = statistics.median(runs) if runs else None
  before = prepared.resident_before_bytes if prepared else None
  peak = measured.peak_bytes
  operations = case.operations / median if median and case.operations else None
  ratio, of_medians = None, None
  if reference and reference.seconds and median and not case.is_product:
    ratio = speedup(reference.seconds, measured.seconds)
    of_medians = statistics.median(reference.seconds.values()) / median
  return {
    'name': case.name,
    'position': case.position,
    'builder': case.builder,
    'devices': case.devices,
    'is_product': case.is_product,
    'settings': dict(case.arguments),
    'failure': measured.failure,
    'seconds': runs,
    'rounds': list(measured.seconds),
    'median_seconds': median,
    'min_seconds': min(runs, default=None),
    'max_seconds': max(runs, default=None),
    'warm_up_seconds': prepared.warm_up_seconds if prepared else None,
    'compile_seconds': prepared.compile_seconds if prepared else None,
    'speedup': ratio,
    'speedup_of_medians': of_medians,
    'rate': case.work / median if median and group.unit else None,
    'operations': case.operations,
    'operations_per_second': operations,
    'share_of_product': (
      operations / product if operations and product else None
    ),
    'device': prepared.device if prepared else '',
    'peak_bytes': peak,
    'device_bytes': measured.device_bytes,
    'resident_before_bytes': before,
    'increase_bytes': None if peak is None or before is None else peak - before,
    'temp_bytes': prepared.temp_bytes if prepared else None,
    'max_difference': _difference(reference, measured),
    'facts': dict(prepared.facts) if prepared else {},
  }


def _product_rate(measurements: Sequence[Measurement]) -> float | None:
  """Returns the fastest matrix product's FLOP/s; None if none was timed."""
  rates = [
    each.case.operations / statistics.median(each.seconds.values())
    for each in measurements
    if each.case.is_product and each.seconds
  ]
  return max(rates, default=None)


def _difference(
  reference: Measurement | None, measured: Measurement
) -> float | None:
  """Returns the largest absolute difference from the reference's output.

  It is infinity if the shapes differ, and None for the reference itself or if
  either output is missing.
  """
  if reference is None or reference.case == measured.case:
    return None
  expected, found = reference.output, measured.output
  if expected is None or found is None:
    return None
  if expected.shape != found.shape:
    return math.inf
  return float(np.abs(found.astype(float) - expected.astype(float)).max())


def _cells(case: Summary, summary: Summary) -> dict[str, str]:
  rate, share = case['operations_per_second'], case['share_of_product']
  difference, ratio = case['max_difference'], case['speedup']
  if ratio and summary['axis']:
    ratio = 1 / ratio
  cells = {
    'case': case['name'],
    'runs': str(len(case['seconds'])) if case['seconds'] else '',
    'median': seconds_text(case['median_seconds']),
    'min': seconds_text(case['min_seconds']),
    'max': seconds_text(case['max_seconds']),
    _COST if summary['axis'] else _FASTER: number_text(ratio),
    f'{summary["unit"]}/s': number_text(case['rate']),
    'GFLOP/s': number_text(rate / _GIGA if rate else None),
    'of product': '' if share is None else f'{share:.0%}',
    'peak': bytes_text(case['peak_bytes']),
    'increase': bytes_text(case['increase_bytes']),
    'XLA temp': bytes_text(case['temp_bytes']),
    'of device': bytes_text(case['device_bytes']),
    'compile': seconds_text(case['compile_seconds']),
    'difference': '' if difference is None else f'{difference:.1e}',
  }
  names = dict.fromkeys(name for c in summary['cases'] for name in c['facts'])
  return cells | {name: number_text(case['facts'].get(name)) for name in names}


def _growth_line(summary: Summary) -> str:
  grown = summary['growth']
  deviations = ', '.join(
    f'{size}: {percent:+.0f} %'
    for size, percent in grown['deviation_percent'].items()
  )
  return (
    f'grows as {summary["axis"]}^{grown["exponent"]:.2f}; '
    f'deviation from proportional: {deviations}'
  )
