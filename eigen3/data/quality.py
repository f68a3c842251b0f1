"""Reports on a panel's data: findings and the actions taken.

Every column of the panel has a record. Every finding states the action that was
taken: kept, masked or repaired. Files that could not be used are listed as
refused. The check changes nothing.
"""

import dataclasses
from typing import Any

import numpy as np

from eigen3.data import defects, surprises
from eigen3.data.csv_files import Ticker
from eigen3.data.findings import RULES, Finding, find, find_gaps
from eigen3.data.panel import MarketPanel
from eigen3.data.readers import Refusal, Source
from eigen3.data.repairs import NONE, Repairs
from eigen3.data.surprises import Warned

SCHEMA_VERSION = 1
# States of a column in a bin of days: no close; a close on each day; closes on
# some days only, since the column starts or ends there; a close is missing
# between the column's first and last.
ABSENT, COMPLETE, PARTIAL, INCOMPLETE = range(4)
_COVERAGE_BINS = 360


@dataclasses.dataclass(frozen=True)
class ColumnQuality:
  """The findings in one column.

  Attributes:
    name: the column's name in the panel.
    kind: 'stock' or 'context'; in context only gaps are looked for.
    investable: whether the column may be bought.
    rows: number of rows. If the column is a ticker of the source, all its rows
      there count; else the panel's days on which it has a price.
    first: day of the first of these rows, YYYY-MM-DD; '' without rows.
    last: day of the last one.
    listed_late: whether `first` is after the first trading day of the column's
      market.
    delisted: whether `last` is before the last trading day of that market.
    findings: keyed by kind of finding, see `RULES`; only kinds that were found.
  """

  name: str
  kind: str
  investable: bool
  rows: int
  first: str
  last: str
  listed_late: bool
  delisted: bool
  findings: dict[str, Finding]


@dataclasses.dataclass(frozen=True, eq=False)
class QualityReport:
  """The findings in a source and its panel.

  Attributes:
    columns: a record for each of the C columns, in the panel's order.
    refused: files, or symbols in a file, that could not be used.
    ignored: names of the entries of the source's folder that were not read;
      empty if the source is a single file.
    repairs: the repairs made for the panel.
    days: the panel's first and last day, YYYY-MM-DD, and number of days.
    survivorship: the panel's line on survivorship.
    source_hash: the source's hash, see `Source`.
    panel_hash: fingerprint of the panel.
    coverage: int8 [C, bins], `ABSENT`, `COMPLETE`, `PARTIAL` or `INCOMPLETE`
      in each bin; bins are consecutive ranges of days of about equal length.
    coverage_days: the first day of each bin.
    warnings: warnings about likely mistakes.
  """

  columns: tuple[ColumnQuality, ...]
  refused: tuple[Refusal, ...]
  ignored: tuple[str, ...]
  repairs: Repairs
  days: tuple[str, str, int]
  survivorship: str
  source_hash: str
  panel_hash: str
  coverage: np.ndarray
  coverage_days: tuple[str, ...]
  warnings: tuple[Warned, ...]

  def totals(self) -> dict[str, dict[str, Any]]:
    """Returns total counts, the action and its description (`done`), by kind.

    All kinds of `RULES` are included. `columns` is the number of columns with
    findings of the kind; `count` is in days, rows or cells.
    """
    result: dict[str, dict[str, Any]] = {}
    for kind, rule in RULES.items():
      found = [c.findings[kind] for c in self.columns if kind in c.findings]
      action, done = rule.answer(self.repairs)
      result[kind] = {
        'columns': len(found),
        'occurrences': sum(len(finding.occurrences) for finding in found),
        'count': sum(finding.count for finding in found),
        'action': action,
        'done': done,
      }
    return result


def check(
  source: Source, panel: MarketPanel, repairs: Repairs = NONE
) -> QualityReport:
  """Checks every column of `panel`.

  Args:
    source: the source before any repair.
    panel: the panel built from `repair(source, repairs)`.
    repairs: the repairs made for the panel.
  """
  tickers = {ticker.name: ticker for ticker in source.tickers}
  days = _days_by_column(source, panel)
  coverage, coverage_days = _coverage(panel)
  return QualityReport(
    columns=tuple(
      _column(panel, index, tickers.get(name), *days[index], repairs)
      for index, name in enumerate(panel.columns)
    ),
    refused=source.refused,
    ignored=source.ignored,
    repairs=repairs,
    days=(str(panel.dates[0]), str(panel.dates[-1]), panel.num_days),
    survivorship=panel.survivorship,
    source_hash=source.source_hash,
    panel_hash=panel.fingerprint,
    coverage=coverage,
    coverage_days=coverage_days,
    warnings=surprises.find(source, panel, repairs),
  )


def _days_by_column(
  source: Source, panel: MarketPanel
) -> list[tuple[np.ndarray, np.ndarray]]:
  """Returns the trading days and the odd days that apply to each column.

  Both are computed by `defects.trading_days` from the stocks of the column's
  market, or from all stocks if the panel has only one market or the column's
  market has fewer than two stocks. Without any stock, all tickers are used.
  """
  kinds = dict(zip(panel.columns, panel.column_kinds, strict=True))
  stocks = [t for t in source.tickers if kinds.get(t.name) == 'stock']
  every = defects.trading_days(stocks or source.tickers)
  market = dict(zip(panel.columns, panel.markets, strict=False))
  members: dict[int, list[Ticker]] = {}
  for ticker in stocks if market else []:
    members.setdefault(market[ticker.name], []).append(ticker)
  found = {
    number: defects.trading_days(own)
    for number, own in members.items()
    if len(own) > 1  # a single stock would have neither gaps nor odd days
  }
  return [found.get(market.get(name, -1), every) for name in panel.columns]


def lines(report: QualityReport) -> list[str]:
  """Returns the report in a few lines, for a terminal."""
  clean = sum(not column.findings for column in report.columns)
  result = [f'warning: {warned}' for warned in report.warnings]
  result += [
    f'quality: nothing found in {clean} of {len(report.columns)} columns'
  ]
  for kind, total in report.totals().items():
    if total['columns']:
      columns = 'column' if total['columns'] == 1 else 'columns'
      result.append(
        f'  {RULES[kind].title}: {total["count"]:,} in {total["columns"]} '
        f'{columns}, {total["action"]} ({total["done"]})'
      )
  return result


def as_dict(report: QualityReport) -> dict[str, Any]:
  """Returns the report for JSON, without the coverage.

  Each column's `counts` has a number for every kind of finding, even if it is
  0. The column's `findings` has only the kinds found; their `places` are the
  occurrences as (day, count, values found).
  """
  return {
    'schema_version': SCHEMA_VERSION,
    'source_hash': report.source_hash,
    'panel_hash': report.panel_hash,
    'survivorship': report.survivorship,
    'first_day': report.days[0],
    'last_day': report.days[1],
    'num_days': report.days[2],
    'num_columns': len(report.columns),
    'num_investable': sum(column.investable for column in report.columns),
    'num_rows': sum(column.rows for column in report.columns),
    'repairs': dataclasses.asdict(report.repairs),
    'rules': {kind: rule.what for kind, rule in RULES.items()},
    'totals': report.totals(),
    'refused': [
      {**dataclasses.asdict(refusal), 'action': 'refused'}
      for refusal in report.refused
    ],
    'ignored': list(report.ignored),
    'warnings': [dataclasses.asdict(warned) for warned in report.warnings],
    'columns': [_column_as_dict(column) for column in report.columns],
  }


def _column(
  panel: MarketPanel,
  index: int,
  ticker: Ticker | None,
  trading: np.ndarray,
  odd: np.ndarray,
  repairs: Repairs,
) -> ColumnQuality:
  """Returns the record of the column at `index`.

  If `ticker` is None, the column's rows are the panel's days on which it has a
  price. `trading` and `odd` are the column's entry of `_days_by_column`.
  """
  kind = panel.column_kinds[index]
  if ticker is None:
    dates = panel.dates[~np.isnan(panel.ohlc[:, index]).all(axis=1)]
  else:
    dates = ticker.dates
  if ticker is not None and kind == 'stock':
    findings = find(ticker, trading, odd, repairs)
  else:
    findings = find_gaps(dates, trading)
  return ColumnQuality(
    name=panel.columns[index],
    kind=kind,
    investable=panel.investable[0] <= index < panel.investable[1],
    rows=len(dates),
    first=str(dates[0]) if len(dates) else '',
    last=str(dates[-1]) if len(dates) else '',
    listed_late=bool(len(dates) and dates[0] > trading[0]),
    delisted=bool(len(dates) and dates[-1] < trading[-1]),
    findings=findings,
  )


def _column_as_dict(column: ColumnQuality) -> dict[str, Any]:
  described = dataclasses.asdict(column)
  described['counts'] = {
    kind: column.findings[kind].count if kind in column.findings else 0
    for kind in RULES
  }
  described['findings'] = {
    kind: {
      'action': finding.action,
      'longest': finding.longest,
      'places': [dataclasses.astuple(place) for place in finding.occurrences],
    }
    for kind, finding in column.findings.items()
  }
  return described


def _coverage(panel: MarketPanel) -> tuple[np.ndarray, tuple[str, ...]]:
  """Returns `coverage` and `coverage_days`, as in `QualityReport`."""
  has_close = ~np.isnan(panel.ohlc[..., 3])
  before = np.logical_or.accumulate(has_close, axis=0)
  after = np.logical_or.accumulate(has_close[::-1], axis=0)[::-1]
  starts = np.unique(
    np.linspace(0, panel.num_days, _COVERAGE_BINS, endpoint=False).astype(int)
  )
  holes = before & after & ~has_close
  state = np.select(
    [
      np.logical_or.reduceat(holes, starts, axis=0),
      np.logical_and.reduceat(has_close, starts, axis=0),
      np.logical_or.reduceat(has_close, starts, axis=0),
    ],
    [INCOMPLETE, COMPLETE, PARTIAL],
    ABSENT,
  )
  days = tuple(str(day) for day in panel.dates[starts])
  return state.T.astype(np.int8), days
