"""Builds cases of Eigen2's networks and DDPG update in PyTorch, as references.

The PyTorch modules were written for the benchmark; their parameters are named
as in Eigen2's state dicts. Of the benchmark's workers, only those that run
PyTorch cases import this file: PyTorch is optional, and would add to the memory
of the others.
"""

import copy
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

# mypy must pass with and without PyTorch.
import torch  # type: ignore[import-not-found, unused-ignore]
import torch.utils.checkpoint  # type: ignore[import-not-found, unused-ignore]
from torch import nn  # type: ignore[import-not-found, unused-ignore]

from experiments.benchmark import parameters
from experiments.benchmark.cases import Built
from experiments.benchmark.settings import config_of, networks_of, spec_of

_MOMENTUM = 0.1  # of batch norm: the weight of the new batch
_CHUNK = 64  # columns at a time, as in Eigen2


class Extractor(nn.Module):
  """Convolution, batch norm, ReLU, `nn.LSTM`, mean over the last days.

  Blocks of `chunk` columns (0: all) run one after another, each with its own
  batch statistics. With `checkpointing` only the window of each block is
  stored, and the backward pass recomputes the rest.
  """

  def __init__(self, config, spec, chunk: int, checkpointing: bool):
    super().__init__()
    channels = config.convolution_channels
    self._pooled_days = config.pooled_days
    self._chunk = chunk
    self._checkpointing = checkpointing
    self.conv1 = nn.Conv1d(spec.num_features, channels, 3, padding=1)
    self.bn1 = nn.BatchNorm1d(channels, momentum=_MOMENTUM)
    self.lstm = nn.LSTM(
      channels,
      config.hidden,
      num_layers=2,
      batch_first=True,
      bidirectional=True,
      dropout=config.lstm_dropout,
    )

  def forward(self, window):
    """Maps windows [B, D, C, F] to features [B, C, 2H]."""
    blocks = window.split(self._chunk or window.shape[2], dim=2)
    return torch.cat([self._block(block) for block in blocks], dim=1)

  def _block(self, window):
    if self._checkpointing and torch.is_grad_enabled():
      return torch.utils.checkpoint.checkpoint(
        self._encode, window, use_reentrant=False
      )
    return self._encode(window)

  def _encode(self, window):
    batch, days, columns, features = window.shape
    x = window.permute(0, 2, 3, 1).reshape(-1, features, days)
    x = nn.functional.relu(self.bn1(self.conv1(x)))
    x, _ = self.lstm(x.transpose(1, 2))
    return x[:, -self._pooled_days :].mean(1).reshape(batch, columns, -1)


class Attention(nn.Module):
  """Cross-attention with a learned query, or self-attention, over columns."""

  def __init__(self, config: ml_collections.ConfigDict, cross: bool):
    super().__init__()
    width = 2 * config.hidden
    self.attention = nn.MultiheadAttention(
      width,
      config.num_heads,
      dropout=config.attention_dropout,
      batch_first=True,
    )
    self.norm = nn.LayerNorm(width)
    self.query = nn.Parameter(torch.zeros(1, 1, width)) if cross else None

  def forward(self, features):
    """Maps [B, C, 2H] to [B, 1, 2H] (cross) or [B, C, 2H] (self; residual)."""
    queries = features
    if self.query is not None:
      queries = self.query.expand(features.shape[0], -1, -1)
    attended, _ = self.attention(
      queries, features, features, need_weights=False
    )
    if self.query is None:
      attended = features + attended
    return self.norm(attended)


class Critic(nn.Module):
  """The value of an action, from features averaged over columns."""

  def __init__(self, config, spec, chunk: int, checkpointing: bool):
    super().__init__()
    self.feature_extractor = Extractor(config, spec, chunk, checkpointing)
    self.attention = (
      Attention(config, cross=False) if config.critic.self_attention else None
    )
    inner, outer = config.critic.sizes
    self.critic_fc = nn.Sequential(
      nn.Linear(2 * (config.hidden + spec.num_investable), inner),
      nn.ReLU(),
      nn.Dropout(config.critic.dropout),
      nn.Linear(inner, outer),
      nn.ReLU(),
      nn.Dropout(config.critic.dropout),
      nn.Linear(outer, 1),
    )

  def forward(self, window, action):
    """Maps windows [B, D, C, F] and actions [B, N, 2] to values [B, 1]."""
    features = self.feature_extractor(window)
    if self.attention is not None:
      features = self.attention(features)
    return self.critic_fc(torch.cat([features.mean(1), action.flatten(1)], -1))


class Actor(nn.Module):
  """The policy: a coefficient and a sale target for every stock."""

  def __init__(self, config, spec, chunk: int, checkpointing: bool):
    super().__init__()
    sizes, width = config.actor, 2 * config.hidden
    self._investable = slice(*spec.investable)
    self._targets = (spec.action.minimum[1], spec.action.maximum[1])
    self.feature_extractor = Extractor(config, spec, chunk, checkpointing)
    self.attention = Attention(config, cross=True)
    inner, outer = sizes.investable_sizes
    self.investable_fc = nn.Sequential(
      nn.Linear(width, inner),
      nn.ReLU(),
      nn.Dropout(sizes.dropout),
      nn.Linear(inner, outer),
      nn.ReLU(),
    )
    self.context_fc = nn.Sequential(
      nn.Linear(width, sizes.context_size), nn.ReLU()
    )
    joined = outer + sizes.context_size
    self.coefficient_head = _head(joined, sizes)
    self.sale_target_head = _head(joined, sizes)

  def forward(self, window):
    """Maps [B, D, C, F] to actions [B, N, 2] in the environment's units."""
    features = self.feature_extractor(window)
    context = self.context_fc(self.attention(features))
    stocks = self.investable_fc(features[:, self._investable])
    context = context.expand(-1, stocks.shape[1], -1)
    joined = torch.cat([stocks, context], -1)
    raw = self.coefficient_head(joined)
    coefficient = torch.where(
      raw > 0,
      torch.exp(raw.clamp(min=0) / 2) + 0.5,
      0.1 * torch.sigmoid(2 * raw),
    )
    low, high = self._targets
    target = low + (high - low) * torch.sigmoid(self.sale_target_head(joined))
    return torch.cat([coefficient, target], -1)


class Ddpg:
  """DDPG as in Eigen2, with windows gathered from a market.

  It has one critic, actions that are not scaled, weight decay that is added to
  the gradient, gradient clipping, micro-batches, and a soft update of the
  target networks' parameters after every update. The targets' batch statistics
  are copied from the online networks.

  Attributes:
    networks: the online critic and actor, in the order of their updates.
  """

  def __init__(self, config: ml_collections.ConfigDict, market: np.ndarray):
    """Makes untrained networks; `market` holds features, float32 [T, C, F]."""
    self._config = config.agent
    self._days = torch.arange(1 - config.environment.context_days, 1)
    self._market = torch.from_numpy(market)
    sizes = config.networks, spec_of(config)
    self._actor = Actor(*sizes, _CHUNK, checkpointing=False)
    self._critic = Critic(*sizes, _CHUNK, checkpointing=False)
    load(self._actor, parameters.actor(*sizes))
    load(self._critic, parameters.critic(*sizes))
    self.networks = (self._critic, self._actor)
    self._target_actor = copy.deepcopy(self._actor).eval()
    self._target_critic = copy.deepcopy(self._critic).eval()
    self._optimisers = [
      torch.optim.Adam(
        network.parameters(), rate, weight_decay=self._config.weight_decay
      )
      for network, rate in (
        (self._actor, self._config.actor_learning_rate),
        (self._critic, self._config.critic_learning_rate),
      )
    ]

  def update(self, batch: Mapping[str, Any]) -> None:
    """Updates critic, actor and targets; `batch` has the keys of `_replay`."""
    count = self._config.accumulation_steps
    parts = [
      dict(zip(batch, tensors, strict=True))
      for tensors in zip(*(x.chunk(count) for x in batch.values()), strict=True)
    ]
    actor_optimiser, critic_optimiser = self._optimisers
    self._critic.train()
    for part in parts:
      (self._critic_loss(part) / count).backward()
    self._step(self._critic, critic_optimiser)
    self._critic.eval().requires_grad_(False)
    self._actor.train()
    for part in parts:
      (self._actor_loss(part) / count).backward()
    self._step(self._actor, actor_optimiser)
    self._critic.requires_grad_(True)
    for online, target in (
      (self._actor, self._target_actor),
      (self._critic, self._target_critic),
    ):
      self._follow(online, target)

  def _critic_loss(self, part):
    q_tm1 = self._critic(self._windows(part['day_tm1']), part['action'])
    with torch.no_grad():
      window = self._windows(part['day_t'])
      q_t = self._target_critic(window, self._target_actor(window))
      discount = self._config.gamma * part['discount']
      wanted = part['reward'] + discount * q_t[:, 0]
    return 0.5 * nn.functional.mse_loss(q_tm1[:, 0], wanted)

  def _actor_loss(self, part):
    window = self._windows(part['day_tm1'])
    return -self._critic(window, self._actor(window)).mean()

  def _windows(self, days):
    return self._market[days[:, None] + self._days]

  def _step(self, network, optimiser) -> None:
    nn.utils.clip_grad_norm_(network.parameters(), self._config.gradient_clip)
    optimiser.step()
    optimiser.zero_grad()

  @torch.no_grad()
  def _follow(self, online, target) -> None:
    pairs = zip(target.parameters(), online.parameters(), strict=True)
    for slow, fast in pairs:
      slow.lerp_(fast, self._config.tau)
    for slow, fast in zip(target.buffers(), online.buffers(), strict=True):
      slow.copy_(fast)


def extractor_case(**settings: Any) -> Built:
  """Builds the case of the extractor, forward and backward in training mode."""
  config, spec = networks_of(settings)
  network = Extractor(config, spec, chunk=0, checkpointing=False).train()
  load(network, parameters.extractor(config, spec))
  window = torch.from_numpy(parameters.case_window(spec, settings))

  def run():
    features = network(window)
    features.square().sum().backward()
    network.zero_grad()
    return features.detach()

  return Built(run, output=lambda features: features.numpy())


def critic_case(*, checkpointing: bool, **settings: Any) -> Built:
  """Builds the case of the critic, forward and backward in training mode."""
  config, spec = networks_of(settings)
  network = Critic(config, spec, _CHUNK, checkpointing).train()
  load(network, parameters.critic(config, spec))
  window = torch.from_numpy(parameters.case_window(spec, settings))
  action = parameters.action(len(window), spec.num_investable)
  action = torch.from_numpy(action)

  def run():
    network(window, action).square().sum().backward()
    network.zero_grad()

  return Built(run)


def actor_case(**settings: Any) -> Built:
  """Builds the case of the actor's forward pass in evaluation mode."""
  config, spec = networks_of(settings)
  network = Actor(config, spec, _CHUNK, checkpointing=False).eval()
  load(network, parameters.actor(config, spec))
  window = torch.from_numpy(parameters.case_window(spec, settings))

  @torch.no_grad()
  def run():
    return network(window)

  return Built(run, output=lambda actions: actions.numpy())


def update_case(*, num_days: int, **settings: Any) -> Built:
  """Builds the case of a DDPG update on a batch sampled from replay.

  `num_days` is the number of days in the market.
  """
  config = config_of(settings)
  spec = spec_of(config)
  market = parameters.window(1, num_days, spec.num_columns, spec.num_features)
  learner = Ddpg(config, market[0])
  replay = _replay(config, num_days)
  size = config.agent.batch_size

  def run():
    places = torch.randint(config.learner.replay_capacity, (size,))
    learner.update({name: ring[places] for name, ring in replay.items()})

  return Built(run)


def core_case(
  *, rows: int, dtype: str, tf32: bool, backward: bool, **settings: Any
) -> Built:
  """Builds the case of `nn.LSTM` alone, computed by cuDNN if there is a GPU.

  Args:
    rows: number of sequences.
    dtype: dtype of weights and inputs.
    tf32: whether float32 products may use TF32.
    backward: whether to compute gradients, too.
    **settings: see `config_of`.
  """
  config, spec = networks_of(settings)
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.backends.cuda.matmul.allow_tf32 = tf32
  torch.backends.cudnn.allow_tf32 = tf32
  lstm = nn.LSTM(
    config.convolution_channels,
    config.hidden,
    num_layers=2,
    bidirectional=True,
    device=device,
    dtype=getattr(torch, dtype),
  )
  x = torch.randn(
    (spec.context_days, rows, config.convolution_channels),
    device=device,
    dtype=getattr(torch, dtype),
    requires_grad=backward,
  )

  def run():
    with torch.set_grad_enabled(backward):
      pooled = lstm(x)[0][-config.pooled_days :].mean(0)
    if backward:
      lstm.zero_grad()
      x.grad = None
      pooled.float().sum().backward()
    if device == 'cuda':
      torch.cuda.synchronize()

  return Built(run)


def _replay(config: ml_collections.ConfigDict, num_days: int) -> dict[str, Any]:
  """Draws random transitions to fill a replay; tensors keyed by field name."""
  capacity = config.learner.replay_capacity
  first_day = config.environment.context_days - 1
  day = torch.randint(first_day, num_days - 1, (capacity,))
  action = parameters.action(capacity, spec_of(config).num_investable)
  return {
    'day_tm1': day,
    'action': torch.from_numpy(action),
    'reward': torch.randn(capacity),
    'discount': torch.ones(capacity),
    'day_t': day + 1,
  }


def _head(inputs: int, sizes: ml_collections.ConfigDict) -> Any:
  return nn.Sequential(
    nn.Linear(inputs, sizes.head_size),
    nn.ReLU(),
    nn.Dropout(sizes.dropout),
    nn.Linear(sizes.head_size, 1),
  )


def load(network, state_dict: parameters.StateDict) -> None:
  """Loads a state dict of arrays into `network`.

  A batch norm's counter of batches may be absent.

  Raises:
    ValueError: if any other entry of the network is missing, or an entry is
      unknown.
    RuntimeError: if an array has the wrong shape.
  """
  tensors = {name: torch.from_numpy(x) for name, x in state_dict.items()}
  missing, unknown = network.load_state_dict(tensors, strict=False)
  wrong = [name for name in missing if not name.endswith('_tracked')]
  if wrong or unknown:
    raise ValueError(
      f'state dict: found missing ({", ".join(wrong) or "none"}) or unknown '
      f'entries ({", ".join(unknown) or "none"}), expected those of '
      f'{type(network).__name__}'
    )
