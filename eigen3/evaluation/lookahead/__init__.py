"""Proof of no look-ahead: a different future must not change the past."""

from eigen3.evaluation.lookahead.futures import scramble, scramble_source
from eigen3.evaluation.lookahead.given import check_given_features
from eigen3.evaluation.lookahead.leaks import (
  Compared,
  Leak,
  LookAheadError,
  compare_pasts,
  first_leak,
)
from eigen3.evaluation.lookahead.makers import prove_maker
from eigen3.evaluation.lookahead.proof import Parts, Policy, prove, spread_days

__all__ = (
  'Compared',
  'Leak',
  'LookAheadError',
  'Parts',
  'Policy',
  'check_given_features',
  'compare_pasts',
  'first_leak',
  'prove',
  'prove_maker',
  'scramble',
  'scramble_source',
  'spread_days',
)
