"""Builds an experiment from its config."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from eigen3 import data, evaluation, parallel, settings, sizes
from eigen3.agent import td3
from eigen3.data import MarketPanel
from eigen3.environment import Market, TradingEnvironment, rewards
from eigen3.evaluation import tabular
from eigen3.evaluation.backtest import in_one_episode
from eigen3.evaluation.ranking import Ranking
from eigen3.learner import population, ranker, single_agent
from eigen3.learner.population import Population
from eigen3.learner.ranker import Fitted, Ranker
from eigen3.learner.single_agent import SingleAgent
from eigen3.networks import Networks, make_networks
from eigen3.networks import check_settings as check_networks
from eigen3.runs import checkpoint
from eigen3.types import TRADING_DAYS_A_YEAR, EnvironmentSpec
from experiments import checks, panels

# What error messages call the training days.
_BEFORE = 'before data.validation_days and data.holdout_days'


class Experiment(NamedTuple):
  """Data, judges and learner of a run.

  Attributes:
    panel: the panel, with the days of all splits.
    splits: training, validation and held-out days.
    learner: trains on the training days: a `SingleAgent`, `Population`,
      `Ranker` or `TabularRanker`, or None if only the judges are needed. Only
      the first two have `champion` and `greedy_actions`.
    validation: judge on the validation days, used during training and at the
      end.
    holdout: judge on the held-out days, used at the end only.
    device: properties of the run's devices.
    sizes: values of the settings that may be 'auto' (`eigen3.sizes.FIELDS`),
      with 'auto' resolved, by full name; {} without a learner.
  """

  panel: MarketPanel
  splits: data.Splits
  learner: Any
  validation: evaluation.Judge
  holdout: evaluation.Judge
  device: parallel.Device
  sizes: Mapping[str, Any]


def reseeded(
  experiment: Experiment, config: ml_collections.ConfigDict
) -> Experiment:
  """Returns an experiment for another seed, with the same panel and learner.

  Only the judges are new, because random entry depends on the seed. The learner
  keeps its compiled functions.

  Args:
    experiment: the experiment of an agent or a population; a `TabularRanker`
      would keep its seed.
    config: the experiment's settings, with the other seed.
  """
  hidden = None
  if not config.data.panel:
    hidden = data.synthetic_market(config.data.synthetic)
  judges = _judges(experiment.panel, experiment.splits, hidden, config)
  return experiment._replace(validation=judges[0], holdout=judges[1])


def build_any(
  config: ml_collections.ConfigDict, spread: bool = True
) -> Experiment:
  """Builds the experiment of a population or of a single agent.

  If `config` has a section `evolution`, see `build_population`, else `build`.
  """
  return (build_population if 'evolution' in config else build)(config, spread)


def build(
  config: ml_collections.ConfigDict,
  spread: bool = True,
  panel: MarketPanel | None = None,
) -> Experiment:
  """Builds the experiment of a single agent.

  Args:
    config: all settings.
    spread: whether to use all devices rather than one.
    panel: if given, replaces the panel that `config.data` describes.

  Raises:
    ValueError: if a setting is invalid, the panel's file is missing or invalid,
      or the panel is too short.
  """
  mesh = parallel.make_mesh() if spread else None
  stage = _stage(config, mesh, panel)
  learner = SingleAgent(
    stage.networks,
    stage.environment,
    stage.market,
    stage.config,
    mesh,
  )
  return _experiment(stage, learner, config)


def build_population(
  config: ml_collections.ConfigDict, spread: bool = True
) -> Experiment:
  """Builds the experiment of a population.

  Agents are divided among devices, because they exchange data only when they
  add to the common replay, are ranked and are bred. An agent's batch is divided
  among devices only if `evolution.devices_per_agent` is above 1.

  Args:
    config: all settings.
    spread: whether to use all devices rather than one.

  Raises:
    ValueError: as in `build`.
  """
  mesh = _mesh_of_agents(config.evolution) if spread else None
  stage = _stage(config, mesh)
  learner = Population(
    stage.networks,
    stage.environment,
    validation_environment(config, stage.panel, stage.splits.validation),
    stage.market,
    stage.config,
    mesh,
  )
  return _experiment(stage, learner, config)


def validation_environment(
  config: ml_collections.ConfigDict, panel: MarketPanel, days: tuple[int, int]
) -> TradingEnvironment:
  """Returns the environment in which a population is validated.

  If the setting `learner.validation_play` is 'continuous', an episode covers
  all validation days; otherwise episodes are as long as in training.

  Args:
    config: all settings.
    panel: the market.
    days: (start, stop) of the validation days.

  Raises:
    ValueError: if a setting is invalid, or there are too few validation days.
  """
  if config.learner.validation_play == 'continuous':
    config = config.copy_and_resolve_references()
    config.environment = ml_collections.ConfigDict(
      in_one_episode(config.environment, days, 'data.validation_days')
    )
  return make_environment(config, panel, days)


def build_environment(
  config: ml_collections.ConfigDict, split: str
) -> tuple[MarketPanel, TradingEnvironment, Market]:
  """Builds panel, environment and market only, for agents of other libraries.

  Args:
    config: all settings.
    split: the days on which episodes are played, 'train' or 'validation'. For
      both, features are normalised with statistics of the training days.

  Raises:
    ValueError: as in `build`.
  """
  checks.check_settings(config)
  panel, _ = panels.load(config.data)
  splits = data.split_days(panel.num_days, config.data, panel.training_days)
  days = getattr(splits, split)
  of = _BEFORE if split == 'train' else f'data.{split}_days'
  environment = make_environment(config, panel, days, of)
  return panel, environment, _market(config, panel, splits)


def build_ranker(
  config: ml_collections.ConfigDict,
  spread: bool = True,
  panel: MarketPanel | None = None,
) -> Experiment:
  """Builds the experiment of the ranker.

  Args:
    config: all settings, with a section `ranker`.
    spread: see `build`.
    panel: see `build`.

  Raises:
    ValueError: as in `build`, or if the ranker is an extractor and the trades
      of the training days have fewer than two different returns.
  """
  td3.check_settings(config.agent)  # used by `ranker.agent_windows`
  if 'evolution' not in config:
    single_agent.check_settings(config.learner)
  mesh = parallel.make_mesh() if spread else None
  stage = _stage(config, mesh, panel)
  validation = make_environment(config, stage.panel, stage.splits.validation)
  learner: Ranker | tabular.TabularRanker
  if config.ranker.model == 'extractor':
    learner = Ranker(
      stage.networks.feature_extractor,
      stage.environment,
      validation,
      stage.market,
      stage.config,
      mesh,
    )
  else:
    learner = tabular.TabularRanker(
      stage.panel,
      config.data.observed_features,
      ranker.labels_of(stage.environment),
      ranker.labels_of(validation),
      config.ranker.model,
      config.seed,
      config.ranker.stride,
    )
  return _experiment(stage, learner, config)


def fit_ranker(
  experiment: Experiment, config: ml_collections.ConfigDict
) -> tuple[Fitted, Ranking]:
  """Trains the ranker, and makes a policy that acts on its predictions.

  Args:
    experiment: an experiment that `build_ranker` built.
    config: the settings that it was built from.

  Returns:
    The trained ranker, and the policy that buys the stock with the best
    prediction; see `Ranking`.

  Raises:
    FloatingPointError: if a metric of a `Ranker` is not finite.
    ValueError: if the ranker is a `TabularRanker`, and scikit-learn is not
      installed or the training days have nothing to learn from.
  """
  learner = experiment.learner
  threshold = -np.inf if config.ranker.threshold == 'none' else None

  def policy(weights: Any) -> Ranking:
    return Ranking(
      config.environment.to_dict(),
      experiment.validation,
      functools.partial(learner.predictions, weights),
      threshold,
    )

  fitted = learner.train(
    jax.random.PRNGKey(config.seed), lambda weights: policy(weights).profit
  )
  return fitted, policy(fitted)


def critic_hurdle(
  experiment: Experiment, config: ml_collections.ConfigDict, state: Any
) -> Ranking:
  """Returns a policy that buys the stock that the final critics value most.

  The value of a stock is that of buying it less that of buying nothing; see
  `SingleAgent.order_values`. The policy buys only if the value exceeds a
  hurdle, which is chosen on the validation days; see `Ranking`.

  Args:
    experiment: the experiment of a single agent.
    config: all settings.
    state: the learner's final state.

  Raises:
    ValueError: for a population, a discount above 0, or a reward without
      `Reward.of_orders`.
  """
  settings.require(
    rewards.find(config.environment.reward).of_orders is not None
    and not config.agent.gamma
    and 'evolution' not in config,
    'evaluation.critic_hurdle',
    True,
    'False unless a single agent has agent.gamma=0 and a reward that values '
    'single orders, such as entry',
  )

  def predict(days: np.ndarray) -> np.ndarray:
    return experiment.learner.order_values(state.agent, days)

  return Ranking(config.environment.to_dict(), experiment.validation, predict)


def ranker_digest(fitted: Fitted, policy: Ranking) -> str:
  """Returns a digest that identifies a trained ranker and its threshold.

  Args:
    fitted: the trained ranker.
    policy: the policy that acts on its predictions; see `fit_ranker`.
  """
  return checkpoint.digest(
    parallel.to_host((fitted.weights, fitted.state, policy.threshold))
  )


def without_learner(config: ml_collections.ConfigDict) -> Experiment:
  """Builds an experiment whose `learner` is None, to judge given actions.

  Raises:
    ValueError: as in `build`, but settings of networks, the agent and the
      learner are not checked.
  """
  checks.check_settings(config)
  panel, hidden = panels.load(config.data)
  splits = data.split_days(panel.num_days, config.data, panel.training_days)
  validation, holdout = _judges(panel, splits, hidden, config)
  device = parallel.describe_device()
  return Experiment(panel, splits, None, validation, holdout, device, {})


def _mesh_of_agents(
  config: ml_collections.ConfigDict,
) -> jax.sharding.Mesh | None:
  """Returns a mesh of groups of devices; None if there is only one device.

  Each group trains some of the agents, and splits batches among its devices.

  Args:
    config: the section `evolution`; `devices_per_agent` is a group's size.

  Raises:
    ValueError: if this size does not divide the number of devices.
  """
  each, count = config.devices_per_agent, jax.device_count()
  settings.require(
    settings.AT_LEAST_ONE.meets(each) and count % each == 0,
    'evolution.devices_per_agent',
    each,
    f'a divisor of {count}, the number of devices',
  )
  return parallel.make_mesh(devices_per_agent=each)


class _Stage(NamedTuple):
  """The parts of an experiment that are built before its learner."""

  panel: MarketPanel
  hidden: data.SyntheticMarket | None
  splits: data.Splits
  environment: TradingEnvironment
  market: Market
  networks: Networks
  config: ml_collections.ConfigDict  # without 'auto'
  device: parallel.Device
  sizes: Mapping[str, Any]


def _stage(
  config: ml_collections.ConfigDict,
  mesh: jax.sharding.Mesh | None,
  panel: MarketPanel | None = None,
) -> _Stage:
  checks.check_settings(config)
  hidden = None
  if panel is None:
    panel, hidden = panels.load(config.data)
  splits = data.split_days(panel.num_days, config.data, panel.training_days)
  environment = make_environment(config, panel, splits.train, _BEFORE)
  market = _market(config, panel, splits)
  device = parallel.describe_device()
  found = _sizes(config, environment.spec, device, mesh)
  config = sizes.filled(config, found)
  networks = make_networks(config.networks, environment.spec, mesh)
  return _Stage(
    panel,
    hidden,
    splits,
    environment,
    market,
    networks,
    config,
    device,
    found,
  )


def _sizes(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  device: parallel.Device,
  mesh: jax.sharding.Mesh | None,
) -> dict[str, Any]:
  """Returns values of all `sizes.FIELDS` by full name, with 'auto' resolved.

  Raises:
    ValueError: if a setting that determines these values is invalid, or the
      devices cannot run the configured kernel.
  """
  check_networks(config.networks)
  td3.check_settings(config.agent)
  examples = config.agent.batch_size // config.agent.accumulation_steps
  if 'ranker' in config:
    ranker.check_settings(config.ranker)
    examples = max(examples, config.ranker.batch_size)
  members = 1
  if 'evolution' in config:
    population.check_settings(config)
    evolution = config.evolution
    agents = evolution.population_size + evolution.learners
    share = -(-agents // parallel.agents_at_once(mesh))
    members = min(evolution.block or share, share)
  shares = 1 if mesh is None else mesh.shape[parallel.BATCH_AXIS]
  work = sizes.Work(examples, shares, members)
  chunk = config.agent.acting_chunk
  return sizes.resolve(config.networks, chunk, spec, device, work)


def _market(
  config: ml_collections.ConfigDict, panel: MarketPanel, splits: data.Splits
) -> Market:
  return Market.fit(
    panel,
    config.data.observed_features,
    splits.train,
    config.environment.context_days,
  )


def make_environment(
  config: ml_collections.ConfigDict,
  panel: MarketPanel,
  days: tuple[int, int],
  of: str = 'data.validation_days',
) -> TradingEnvironment:
  """Returns an environment whose episodes are played on given days.

  Args:
    config: all settings.
    panel: the market.
    days: (start, stop) of the days on which episodes are played.
    of: what error messages call these days.

  Raises:
    ValueError: if a setting is invalid, or there are too few days.
  """
  return TradingEnvironment(
    panel,
    config.environment,
    days,
    config.data.observed_features,
    of,
    config.agent.gamma,
  )


def _experiment(
  stage: _Stage, learner: Any, config: ml_collections.ConfigDict
) -> Experiment:
  validation, holdout = _judges(stage.panel, stage.splits, stage.hidden, config)
  return Experiment(
    stage.panel,
    stage.splits,
    learner,
    validation,
    holdout,
    stage.device,
    stage.sizes,
  )


def _judges(
  panel: MarketPanel,
  splits: data.Splits,
  hidden: data.SyntheticMarket | None,
  config: ml_collections.ConfigDict,
) -> list[evaluation.Judge]:
  """Returns the judges of the validation days and of the held-out days.

  Args:
    panel: the market.
    splits: the panel's splits.
    hidden: the embedded market, for controls that know what is hidden in it;
      None for any other panel.
    config: all settings.
  """
  plain = config.to_dict()
  drift, dips = (hidden.drift, hidden.dips) if hidden else (None, None)
  return [
    evaluation.Judge(
      panel,
      plain,
      getattr(splits, split),
      drift,
      of=f'data.{split}_days',
      dips=dips,
    )
    for split in ('validation', 'holdout')
  ]


def about_data(experiment: Experiment) -> dict[str, Any]:
  """Returns a description of the panel for run.json and other files."""
  about: dict[str, Any] = {
    'hash': experiment.panel.fingerprint,
    'source_hash': experiment.panel.source_hash,
    'survivorship': experiment.panel.survivorship,
  }
  if experiment.panel.periods_a_year != TRADING_DAYS_A_YEAR:
    about['days_a_year'] = experiment.panel.periods_a_year
  return about


def about_machine(experiment: Experiment) -> dict[str, Any]:
  """Returns the entries of run.json for the experiment's device and sizes."""
  return {
    'device': experiment.device._asdict(),
    'sizes': dict(experiment.sizes),
  }


def sizes_line(experiment: Experiment) -> str:
  """Returns a line of text with the device, and the experiment's `sizes`."""
  device = experiment.device
  kind = '' if device.kind == device.backend else f' ({device.kind})'
  found = [f'{x.rpartition(".")[2]} {y}' for x, y in experiment.sizes.items()]
  return f'{device.backend}{kind}: {", ".join(found)}'
