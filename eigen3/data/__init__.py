"""Market data: readers, indicators, panels, splits, synthetic markets."""

from eigen3.data.build import build_panel, parse_day
from eigen3.data.cells import Days
from eigen3.data.csv_files import Ticker
from eigen3.data.download import download_prices, is_download
from eigen3.data.eigen2_files import is_eigen2, read_eigen2
from eigen3.data.errors import DataError, Refused
from eigen3.data.indicators import FEATURES, eigen2_features
from eigen3.data.long_tables import read_table
from eigen3.data.membership import (
  Universe,
  read_universe,
  with_universe,
)
from eigen3.data.observed import SCALED, last_window, observe
from eigen3.data.panel import MarketPanel
from eigen3.data.panel_file import is_panel
from eigen3.data.readers import (
  Refusal,
  Source,
  read_folder,
  source_of,
  with_series,
)
from eigen3.data.repairs import Repairs, repair
from eigen3.data.selection import most_traded, narrowed
from eigen3.data.series import Series, read_context, read_series
from eigen3.data.sources import Reader, open_source, register_source
from eigen3.data.splits import (
  MIN_TRAINING_DAYS,
  Normalisation,
  Splits,
  fit_normalisation,
  split_days,
  walk_forward,
)
from eigen3.data.summary import summary_lines
from eigen3.data.synthetic import SyntheticMarket, synthetic_market

__all__ = (
  'FEATURES',
  'MIN_TRAINING_DAYS',
  'SCALED',
  'DataError',
  'Days',
  'MarketPanel',
  'Normalisation',
  'Reader',
  'Refusal',
  'Refused',
  'Repairs',
  'Series',
  'Source',
  'Splits',
  'SyntheticMarket',
  'Ticker',
  'Universe',
  'build_panel',
  'download_prices',
  'eigen2_features',
  'fit_normalisation',
  'is_download',
  'is_eigen2',
  'is_panel',
  'last_window',
  'most_traded',
  'narrowed',
  'observe',
  'open_source',
  'parse_day',
  'read_context',
  'read_eigen2',
  'read_folder',
  'read_series',
  'read_table',
  'read_universe',
  'register_source',
  'repair',
  'source_of',
  'split_days',
  'summary_lines',
  'synthetic_market',
  'walk_forward',
  'with_series',
  'with_universe',
)
