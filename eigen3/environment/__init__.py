"""The market that agents see and the account that they trade in."""

from eigen3.environment.market import Market
from eigen3.environment.rewards import Extras
from eigen3.environment.rules import Entry, Exit, Rules
from eigen3.environment.trading import State, TradingEnvironment

__all__ = (
  'Entry',
  'Exit',
  'Extras',
  'Market',
  'Rules',
  'State',
  'TradingEnvironment',
)
