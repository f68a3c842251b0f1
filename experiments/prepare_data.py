r"""Makes a panel from daily prices, in files or downloaded.

eigen3 prepare_data --source=PRICES --out=panel.parquet --context=vix.csv \
  --context=yields.csv:lag=1
eigen3 prepare_data --download=AAPL,MSFT --out=panel.parquet"""

from experiments import mains

if __name__ == '__main__':
  mains.start('prepare_data')  # reads flags before slow imports

import dataclasses
import os
from collections.abc import Callable

import numpy as np
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
from eigen3.reporting import quality_page
from experiments.options import days
from experiments.options import prepare_data as options

# Calendar days downloaded before the panel's first day, so that the indicators
# of the first day are known.
_DAYS_BEFORE = np.timedelta64(120, 'D')


def main(argv) -> None:
  path = options.SOURCE.value or ''
  if bool(path) == bool(options.DOWNLOAD.value):
    found = 'both --source and' if path else 'neither --source nor'
    raise DataError(
      f'arguments: found {found} --download, expected exactly one of them'
    )
  _check_out(options.OUT.value, is_panel, 'a panel')
  first_day = parse_day(options.FIRST_DAY.value, 'first_day')
  last_day = parse_day(options.LAST_DAY.value, 'last_day')
  universe = (
    read_universe(options.UNIVERSE.value) if options.UNIVERSE.value else None
  )
  dates = Days(days.DATE_FORMAT.value, days.TIME_ZONE.value)
  repairs = Repairs(
    options.BAD_TICKS.value, options.SPLITS.value, options.ORDER.value
  )
  if path and is_eigen2(path):
    panel = _eigen2(path, repairs)
    source = source_of(panel)
  else:
    context = [
      one for text in options.CONTEXT.value for one in read_context(text, dates)
    ]
    source = _opened(path, dates) if path else _downloaded(first_day, last_day)
    source = with_series(source, context)
    panel = build_panel(
      repair(source, repairs),
      validation_days=options.VALIDATION_DAYS.value,
      holdout_days=options.HOLDOUT_DAYS.value,
      first_day=first_day,
      last_day=last_day,
      includes_delisted=options.INCLUDES_DELISTED.value,
    )
    notes = f'{panel.notes}; repairs: {repairs}'
    panel = dataclasses.replace(panel, notes=notes)
  if universe is not None:
    panel = with_universe(panel, universe)
  panel.save(options.OUT.value)
  report = quality.check(source, panel, repairs)
  written = quality_page.write(report, options.OUT.value)
  print('\n'.join([*summary_lines(source, panel), *quality.lines(report)]))
  print(f'written: {" and ".join(map(str, written))}')
  size = os.path.getsize(options.OUT.value) / 1e6
  print(
    f'written: {options.OUT.value}, {size:.1f} MB, hash {panel.fingerprint}'
  )


def _eigen2(path: str, repairs: Repairs) -> MarketPanel:
  """Reads the panel in an Eigen2 file.

  Raises:
    DataError: if --context, --first_day, --last_day or a repair is given, or if
      --investable or the file is invalid.
  """
  changes = {
    '--context': bool(options.CONTEXT.value),
    '--first_day': options.FIRST_DAY.value is not None,
    '--last_day': options.LAST_DAY.value is not None,
    '--bad_ticks, --splits or --order': repairs != Repairs(),
  }
  for name, asked in changes.items():
    if asked:
      raise DataError(
        f'{name}: found with an Eigen2 file, expected no such flag, because '
        "the file's prices and features are used as they are"
      )
  try:
    first, stop = map(int, options.INVESTABLE.value or INVESTABLE)
  except ValueError as error:
    found = ','.join(options.INVESTABLE.value)
    raise DataError(
      f"--investable: found '{found}', expected two whole numbers, e.g. 8,116"
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
  """Downloads prices to a file beside the panel; returns the file as a source.

  The source lists symbols without prices as refused.

  Args:
    first_day: the panel's first day; the download begins `_DAYS_BEFORE` days
      earlier. None for the first day available.
    last_day: the last day; None for the last day available.

  Raises:
    DataError: if the file cannot be written or would replace a file that is not
      a download, or nothing can be downloaded.
  """
  raw = f'{os.path.splitext(options.OUT.value)[0]}.raw.parquet'
  why = '; --download keeps its prices in this file, beside the panel'
  _check_out(raw, is_download, 'a download', why)
  if first_day is not None:
    first_day = first_day - _DAYS_BEFORE
  with tqdm(total=len(options.DOWNLOAD.value), unit=' symbols') as bar:
    bar.set_description('downloading')
    missing = download_prices(
      options.DOWNLOAD.value, raw, first_day, last_day, advance=bar.update
    )
  source = _opened(raw, Days())
  refused = [
    Refusal(os.path.basename(raw), 'no price was downloaded', symbol=symbol)
    for symbol in missing
  ]
  return dataclasses.replace(source, refused=(*source.refused, *refused))


def _check_out(
  path: str, may_replace: Callable[[str], bool], what: str, why: str = ''
) -> None:
  """Checks, before any work is done, that `path` can and may be written.

  Args:
    path: the file to write.
    may_replace: maps the path of an existing file to whether it may be
      replaced.
    what: the kind of file that may be replaced, for the message.
    why: text after `what` in the message; for a file that no flag names, the
      reason for writing it.

  Raises:
    DataError: if the folder of `path` is missing or not writable, or `path`
      exists and may not be replaced.
  """
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise DataError(
      f'--out: found no folder {folder}, expected an existing one'
    )
  if not os.access(folder, os.W_OK):
    raise DataError(
      f'--out: found no permission to write in {folder}, expected a writable '
      'folder'
    )
  if os.path.exists(path) and not may_replace(path):
    raise DataError(
      f'--out: found {path}, which is not {what}, expected no such file or '
      f'{what} to replace{why}'
    )
