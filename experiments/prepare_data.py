"""Makes a panel from files of daily prices.

python -m experiments.prepare_data --source=PRICES --out=panel.parquet \
  --context=vix.csv --context=yields.csv:lag=1
python -m experiments.prepare_data --download=AAPL,MSFT --out=panel.parquet
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np
from absl import flags
from tqdm import tqdm

from eigen3.data import (
  DataError,
  Days,
  MarketPanel,
  Refusal,
  Repairs,
  Source,
  build_panel,
  download_prices,
  is_download,
  is_eigen2,
  is_panel,
  open_source,
  parse_day,
  quality,
  read_context,
  read_eigen2,
  read_universe,
  repair,
  source_of,
  summary_lines,
  with_series,
  with_universe,
)
from eigen3.data.eigen2_files import INVESTABLE
from eigen3.data.repairs import CHOICES
from eigen3.reporting import quality_page
from experiments import mains, path_flags
from experiments.configs import td3

_DEFAULTS = td3.get_config().data
# Downloaded before the first day, so that indicators are known on it.
_DAYS_BEFORE = np.timedelta64(120, 'D')

_SOURCE = path_flags.DEFINE_path(
  'source',
  None,
  'Folder with one CSV (or .csv.gz, .txt) a ticker, or a CSV or Parquet file '
  'with all of them: '
  'either a row for each day and symbol, or as yfinance gives it; or a file '
  "of Eigen2's, pickled or a CSV, whose features are kept.",
)
_DOWNLOAD = flags.DEFINE_list(
  'download',
  [],
  'Tickers, as Yahoo spells them, instead of --source. What comes is kept '
  'beside the panel, as PANEL.raw.parquet, to be a --source later.',
)
_CONTEXT = path_flags.DEFINE_multi_path(
  'context',
  [],
  'PATH[:lag=DAYS][:name=NAME], a file or folder of indices, rates or '
  'commodities that are observed and not bought. A value is seen on the first '
  'day of the market that is lag calendar days after its date, or later, so '
  'that what is published late is not known early. May be repeated.',
)
_UNIVERSE = path_flags.DEFINE_path(
  'universe',
  None,
  'CSV of ticker, start_date and end_date: stocks are bought only while they '
  'are members.',
)
_INVESTABLE = flags.DEFINE_list(
  'investable',
  [str(bound) for bound in INVESTABLE],
  "The first column of Eigen2's file that may be bought, and the one after "
  'the last, counted from 0.',
)
_OUT = path_flags.DEFINE_path(
  'out',
  None,
  'Parquet file to write; an older panel is replaced.',
  required=True,
)
_DATE_FORMAT = flags.DEFINE_string(
  'date_format',
  '',
  'How days are written that do not begin with the year: dd/mm/yyyy, '
  'mm/dd/yyyy, or in the signs of strftime, as %d %b %Y.',
)
_TIME_ZONE = flags.DEFINE_string(
  'time_zone',
  '',
  'Zone of the exchange, e.g. Asia/Tokyo, whose clocks say the day of a time '
  'that is given in UTC or another zone. By default days are as written.',
)
_FIRST_DAY = flags.DEFINE_string(
  'first_day', None, 'First day of the panel, YYYY-MM-DD.'
)
_LAST_DAY = flags.DEFINE_string(
  'last_day', None, 'Last day of the panel, YYYY-MM-DD.'
)
_VALIDATION_DAYS = flags.DEFINE_integer(
  'validation_days',
  _DEFAULTS.validation_days,
  'Days of the validation split; what may be bought is decided before them, '
  'and training refuses splits that leave fewer days.',
  lower_bound=0,
)
_HOLDOUT_DAYS = flags.DEFINE_integer(
  'holdout_days',
  _DEFAULTS.holdout_days,
  'Days of the holdout split, the last of the panel.',
  lower_bound=0,
)
_INCLUDES_DELISTED = flags.DEFINE_bool(
  'includes_delisted',
  False,
  'Whether stocks that left the market are in the folder. If not, every '
  'report says that absolute returns are too high.',
)
_BAD_TICKS = flags.DEFINE_enum(
  'bad_ticks',
  'keep',
  CHOICES['bad_ticks'],
  'mask takes as missing the prices of bad ticks, known as bad only once they '
  'are back, and highs and lows far beyond open and close.',
)
_SPLITS = flags.DEFINE_enum(
  'splits',
  'keep',
  CHOICES['splits'],
  'adjust multiplies the prices before a split by its ratio: a likely one, or '
  'one that a column states and the prices move by.',
)
_ORDER = flags.DEFINE_enum(
  'order',
  'keep',
  CHOICES['order'],
  'widen moves high and low so that open and close are between them.',
)


def main(argv) -> None:
  path = _SOURCE.value or ''
  if bool(path) == bool(_DOWNLOAD.value):
    raise DataError('arguments: expected either --source or --download')
  _check_out(_OUT.value, is_panel, 'a panel')
  first_day = parse_day(_FIRST_DAY.value, 'first_day')
  last_day = parse_day(_LAST_DAY.value, 'last_day')
  universe = read_universe(_UNIVERSE.value) if _UNIVERSE.value else None
  days = Days(_DATE_FORMAT.value, _TIME_ZONE.value)
  repairs = Repairs(_BAD_TICKS.value, _SPLITS.value, _ORDER.value)
  if path and is_eigen2(path):
    panel = _eigen2(path, repairs)
    source = source_of(panel)
  else:
    context = [
      one for text in _CONTEXT.value for one in read_context(text, days)
    ]
    source = _opened(path, days) if path else _downloaded(first_day, last_day)
    source = with_series(source, context)
    panel = build_panel(
      repair(source, repairs),
      validation_days=_VALIDATION_DAYS.value,
      holdout_days=_HOLDOUT_DAYS.value,
      first_day=first_day,
      last_day=last_day,
      includes_delisted=_INCLUDES_DELISTED.value,
    )
    notes = f'{panel.notes}; repairs: {repairs}'
    panel = dataclasses.replace(panel, notes=notes)
  if universe is not None:
    panel = with_universe(panel, universe)
  panel.save(_OUT.value)
  report = quality.check(source, panel, repairs)
  written = quality_page.write(report, _OUT.value)
  print('\n'.join([*summary_lines(source, panel), *quality.lines(report)]))
  print(f'written: {" and ".join(map(str, written))}')
  size = os.path.getsize(_OUT.value) / 1e6
  print(f'written: {_OUT.value}, {size:.1f} MB, hash {panel.fingerprint}')


def _eigen2(path: str, repairs: Repairs) -> MarketPanel:
  """A file of Eigen2's, which is a panel already: nothing is made of it."""
  changes = {
    '--context': bool(_CONTEXT.value),
    '--first_day': _FIRST_DAY.value is not None,
    '--last_day': _LAST_DAY.value is not None,
    'repairs': repairs != Repairs(),
  }
  for name, asked in changes.items():
    if asked:
      raise DataError(
        f"{name}: expected none with a file of Eigen2's, which holds features"
      )
  try:
    first, stop = map(int, _INVESTABLE.value)
  except ValueError as error:
    found = ','.join(_INVESTABLE.value)
    raise DataError(
      f"--investable: found '{found}', expected two numbers, e.g. 8,116"
    ) from error
  return read_eigen2(path, (first, stop))


def _opened(path: str, written: Days) -> Source:
  unit = ' files' if os.path.isdir(path) else ' symbols'
  return open_source(
    path, lambda items: tqdm(items, 'reading', unit=unit), written
  )


def _downloaded(
  first_day: np.datetime64 | None, last_day: np.datetime64 | None
) -> Source:
  """What --download asks for, through a file beside the panel."""
  raw = f'{os.path.splitext(_OUT.value)[0]}.raw.parquet'
  _check_out(raw, is_download, 'a download')
  if first_day is not None:
    first_day = first_day - _DAYS_BEFORE
  with tqdm(total=len(_DOWNLOAD.value), unit=' symbols') as bar:
    bar.set_description('downloading')
    missing = download_prices(
      _DOWNLOAD.value, raw, first_day, last_day, advance=bar.update
    )
  source = _opened(raw, Days())
  refused = [
    Refusal(os.path.basename(raw), 'no price came', symbol=symbol)
    for symbol in missing
  ]
  return dataclasses.replace(source, refused=(*source.refused, *refused))


def _check_out(
  path: str, may_replace: Callable[[str], bool], what: str
) -> None:
  """Refuses, before any work, a place that cannot or must not be written."""
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise DataError(f'--out: no such folder, {folder}')
  if not os.access(folder, os.W_OK):
    raise DataError(f'--out: the folder {folder} cannot be written to')
  if os.path.exists(path) and not may_replace(path):
    raise DataError(f'--out: {path} exists and is not {what}; not replaced')


if __name__ == '__main__':
  mains.run(main)
