"""Defines the flags of the program prepare_data."""

from absl import flags

from experiments import path_flags
from experiments.configs import td3

_DEFAULTS = td3.get_config().data

SOURCE = path_flags.DEFINE_path(
  'source',
  None,
  'Folder with one CSV (or .csv.gz, .txt) for each ticker. Or one CSV or '
  'Parquet file with all tickers: a row for each day and symbol, or the layout '
  'of yfinance. Or a file of Eigen2, pickled or a CSV; its features are kept.',
)
DOWNLOAD = flags.DEFINE_list(
  'download',
  [],
  'Tickers, as Yahoo spells them, instead of --source. What comes is kept '
  'beside the panel, as PANEL.raw.parquet, to be a --source later.',
)
CONTEXT = path_flags.DEFINE_multi_path(
  'context',
  [],
  'PATH[:lag=DAYS][:name=NAME], a file or folder of indices, rates or '
  'commodities that are observed and not bought. A value is seen on the first '
  'day of the market that is lag calendar days after its date, or later, so '
  'that what is published late is not known early. May be repeated.',
)
UNIVERSE = path_flags.DEFINE_path(
  'universe',
  None,
  'CSV of ticker, start_date and end_date: stocks are bought only while they '
  'are members.',
)
INVESTABLE = flags.DEFINE_list(
  'investable',
  [],
  "The first column of Eigen2's file that may be bought, and the one after "
  'the last, counted from 0. By default those of Eigen2, 8,116.',
)
OUT = path_flags.DEFINE_path(
  'out',
  None,
  'Parquet file to write; an older panel is replaced.',
  required=True,
)
FIRST_DAY = flags.DEFINE_string(
  'first_day', None, 'First day of the panel, YYYY-MM-DD.'
)
LAST_DAY = flags.DEFINE_string(
  'last_day', None, 'Last day of the panel, YYYY-MM-DD.'
)
VALIDATION_DAYS = flags.DEFINE_integer(
  'validation_days',
  _DEFAULTS.validation_days,
  'Days of the validation split; what may be bought is decided before them, '
  'and training refuses splits that leave fewer days.',
  lower_bound=0,
)
HOLDOUT_DAYS = flags.DEFINE_integer(
  'holdout_days',
  _DEFAULTS.holdout_days,
  'Days of the holdout split, the last of the panel.',
  lower_bound=0,
)
INCLUDES_DELISTED = flags.DEFINE_bool(
  'includes_delisted',
  False,
  'Whether stocks that left the market are in the folder. If not, every '
  'report says that absolute returns are too high.',
)
BAD_TICKS = flags.DEFINE_enum(
  'bad_ticks',
  'keep',
  ['keep', 'mask'],
  'mask treats as missing the prices of bad ticks, which are recognised only '
  'after the price has returned, and highs and lows far beyond open and close.',
)
SPLITS = flags.DEFINE_enum(
  'splits',
  'keep',
  ['keep', 'adjust'],
  'adjust multiplies the prices before a split by its ratio: before a likely '
  'split, or one that a column states and the prices show.',
)
ORDER = flags.DEFINE_enum(
  'order',
  'keep',
  ['keep', 'widen'],
  'widen moves high and low so that open and close are between them.',
)
