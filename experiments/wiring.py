"""The parts of an experiment, made from its config and put together."""

from typing import NamedTuple

import ml_collections
import numpy as np

from eigen3 import data, evaluation, parallel
from eigen3.data import MarketPanel
from eigen3.environment import Market, TradingEnvironment
from eigen3.learner.single_agent import SingleAgent
from eigen3.networks import make_networks


class Experiment(NamedTuple):
  """Data, judges and learner of a run.

  Attributes:
    panel: all days.
    learner: bound to the training days.
    validation: judges agents while they train.
    holdout: judges the champion at the end.
  """

  panel: MarketPanel
  learner: SingleAgent
  validation: evaluation.Judge
  holdout: evaluation.Judge


def build(config: ml_collections.ConfigDict) -> Experiment:
  """The parts that `config` describes.

  Raises:
    ValueError: a setting, the panel's file or its length does not fit.
  """
  panel, drift = load_panel(config.data)
  splits = data.split_days(panel.num_days, config.data, panel.training_days)
  observed = config.data.observed_features
  environment = TradingEnvironment(
    panel, config.environment, splits.train, len(observed)
  )
  market = Market.from_panel(
    panel,
    observed,
    data.fit_normalisation(panel.features, splits.train),
    config.environment.context_days,
  )
  mesh = parallel.make_mesh()
  networks = make_networks(config.networks, environment.spec, mesh)
  settings = config.to_dict()
  return Experiment(
    panel=panel,
    learner=SingleAgent(
      networks.actor, networks.double_critic, environment, market, config, mesh
    ),
    validation=evaluation.Judge(panel, settings, splits.validation, drift),
    holdout=evaluation.Judge(panel, settings, splits.holdout, drift),
  )


def load_panel(
  config: ml_collections.ConfigDict,
) -> tuple[MarketPanel, np.ndarray | None]:
  """The panel of a file, or the embedded market and its hidden drift."""
  if config.panel:
    return MarketPanel.load(config.panel), None
  embedded = data.synthetic_market(config.synthetic)
  return embedded.panel, embedded.drift
