"""TD3 and DDPG in NumPy and float64, with the gradients written out by hand.

Only for the networks of `tiny_agent`: one layer tanh(x w - mean + b) for the
actor, and for every critic one such layer and a linear value. Trees are the
two-level dictionaries that Haiku makes.
"""

import copy

import jax
import numpy as np
from tiny_agent import MOMENTUM, SPEC

LOW = np.array(SPEC.minimum)
HIGH = np.array(SPEC.maximum)


def actor_forward(params, state, x, training):
  """Unit actions [B, N, 2] and the layer's new state."""
  y, mean = _layer(params['actor'], state['actor']['mean'], x, training)
  new = {'actor': {'mean': _moved(state['actor']['mean'], mean, training)}}
  return y.reshape(len(x), *SPEC.shape), new


def actor_gradient(params, state, x, training, d_unit):
  """Gradient of a loss whose gradient in the unit actions is `d_unit`."""
  y, _ = _layer(params['actor'], state['actor']['mean'], x, training)
  d_y = d_unit.reshape(len(x), -1)
  gradient, _ = _layer_gradient(params['actor'], x, y, d_y, training)
  return {'actor': gradient}


def critic_forward(params, state, x, unit, training):
  """Values [B, K] and the layers' new state."""
  inputs = np.concatenate([x, unit.reshape(len(x), -1)], axis=1)
  values, new = [], {}
  for k in range(len(state)):
    name = f'critic_{k}'
    h, mean = _layer(params[name], state[name]['mean'], inputs, training)
    value = params[f'value_{k}']
    values.append(h @ value['w'][:, 0] + value['b'][0])
    new[name] = {'mean': _moved(state[name]['mean'], mean, training)}
  return np.stack(values, axis=1), new


def critic_gradient(params, state, x, unit, training, d_q):
  """Gradients in (parameters, unit actions), given that in the values."""
  inputs = np.concatenate([x, unit.reshape(len(x), -1)], axis=1)
  gradients, d_inputs = {}, np.zeros_like(inputs)
  for k in range(len(state)):
    name, value = f'critic_{k}', params[f'value_{k}']
    h, _ = _layer(params[name], state[name]['mean'], inputs, training)
    d = d_q[:, k : k + 1]
    gradients[f'value_{k}'] = {'w': h.T @ d, 'b': d.sum(0)}
    gradients[name], d_in = _layer_gradient(
      params[name], inputs, h, d @ value['w'].T, training
    )
    d_inputs += d_in
  return gradients, d_inputs[:, x.shape[1] :].reshape(unit.shape)


class Adam:
  """Adam as PyTorch's, after clipping by the norm over all parameters."""

  def __init__(self, params, learning_rate, clip, decay):
    self.learning_rate = learning_rate
    self.clip = clip
    self.decay = decay
    self.first = jax.tree.map(np.zeros_like, params)
    self.second = jax.tree.map(np.zeros_like, params)
    self.count = 0

  def step(self, params, gradients):
    """New parameters and the norm before clipping."""
    norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradients)))
    scale = self.clip / norm if self.clip and norm > self.clip else 1.0
    self.count += 1
    params = copy.deepcopy(params)
    for module, leaves in params.items():
      for name, w in leaves.items():
        g = scale * gradients[module][name] + self.decay * w
        m = self.first[module][name] = 0.9 * self.first[module][name] + 0.1 * g
        v = self.second[module][name] = (
          0.999 * self.second[module][name] + 0.001 * g**2
        )
        m_hat = m / (1 - 0.9**self.count)
        v_hat = v / (1 - 0.999**self.count)
        leaves[name] = w - self.learning_rate * m_hat / (np.sqrt(v_hat) + 1e-8)
    return params, norm


class SlowAgent:
  """What TD3 and DDPG share: networks, optimisers, soft updates."""

  def __init__(self, state, config):
    for name in ('actor', 'critic'):
      network = getattr(state, name)
      for part in (
        'online_params',
        'online_state',
        'target_params',
        'target_state',
      ):
        tree = jax.tree.map(
          lambda x: np.array(x, np.float64), getattr(network, part)
        )
        setattr(self, f'{name}_{part}', tree)
    options = config.gradient_clip, config.weight_decay
    self.actor_adam = Adam(
      self.actor_online_params, config.actor_learning_rate, *options
    )
    self.critic_adam = Adam(
      self.critic_online_params, config.critic_learning_rate, *options
    )
    self.config = config
    # Which stocks of an example count, [B, N]; -1 stands for what does not.
    self.counts_tm1 = self.counts_t = np.ones((1, 1), bool)
    self.noise_scale = config.exploration_noise
    self.steps = 0

  def trees(self, name):
    """The four trees of 'actor' or 'critic', as in `td3.Network`."""
    return [
      getattr(self, f'{name}_{part}')
      for part in (
        'online_params',
        'online_state',
        'target_params',
        'target_state',
      )
    ]

  def fit_critic(self, x, a, targets):
    """One step of every critic towards `targets` [B]; (loss, q, norm)."""
    unit = 2 * (a - LOW) / (HIGH - LOW) - 1
    unit = np.where(self.counts_tm1[..., None], unit, -1)
    arguments = self.critic_online_params, self.critic_online_state, x, unit
    q, new_state = critic_forward(*arguments, training=True)
    loss, d_q = 0.0, np.zeros_like(q)
    for b in range(len(x)):
      for k in range(q.shape[1]):
        error = targets[b] - q[b, k]
        loss += 0.5 * error**2 / len(x)
        d_q[b, k] = -error / len(x)
    gradients, _ = critic_gradient(*arguments, True, d_q)
    self.critic_online_params, norm = self.critic_adam.step(
      self.critic_online_params, gradients
    )
    self.critic_online_state = new_state
    return loss, q.mean(), norm

  def improve_actor(self, x):
    """One step of the actor up the first critic; (loss, norm)."""
    unit, new_state = actor_forward(
      self.actor_online_params, self.actor_online_state, x, training=True
    )
    d_q = np.zeros((len(x), len(self.critic_online_state)))
    d_q[:, 0] = 1.0
    seen = np.where(self.counts_tm1[..., None], unit, -1)
    _, dqda = critic_gradient(
      self.critic_online_params, self.critic_online_state, x, seen, False, d_q
    )
    dqda = np.where(self.counts_tm1[..., None], dqda, 0)
    dqda = dqda - self.config.action_penalty * unit
    gradients = actor_gradient(
      self.actor_online_params,
      self.actor_online_state,
      x,
      True,
      -dqda / len(x),
    )
    self.actor_online_params, norm = self.actor_adam.step(
      self.actor_online_params, gradients
    )
    self.actor_online_state = new_state
    return 0.5 * np.sum(dqda**2) / len(x), norm

  def move_targets(self):
    """Targets follow slowly; their network state is the online one's."""
    tau = self.config.tau
    for name in ('actor', 'critic'):
      online, state, target, _ = self.trees(name)
      setattr(
        self,
        f'{name}_target_params',
        jax.tree.map(lambda o, t: tau * o + (1 - tau) * t, online, target),
      )
      setattr(self, f'{name}_target_state', copy.deepcopy(state))


class SlowTD3(SlowAgent):
  """Fujimoto et al. 2018, for any number of critics."""

  def update(self, x_tm1, a_tm1, r_t, discount_t, x_t, draws):
    """One update; `draws` [B, N, 2] are standard normal."""
    config = self.config
    unit, _ = actor_forward(
      self.actor_target_params, self.actor_target_state, x_t, training=False
    )
    clip = config.target_noise_clip
    noise = np.minimum(np.maximum(config.target_noise * draws, -clip), clip)
    self.clipped_noise = np.mean(np.abs(noise) == clip)
    self.clipped_actions = np.mean(np.abs(unit + noise) > 1)
    unit = np.minimum(np.maximum(unit + noise, -1), 1)
    unit = np.where(self.counts_t[..., None], unit, -1)
    q_t, _ = critic_forward(
      self.critic_target_params, self.critic_target_state, x_t, unit, False
    )
    targets = []
    for b in range(len(r_t)):
      lowest = min(q_t[b])
      targets.append(r_t[b] + config.gamma * discount_t[b] * lowest)
    loss, q, norm = self.fit_critic(x_tm1, a_tm1, targets)
    metrics = {
      'critic_loss': loss,
      'critic_gradient_norm': norm,
      'q': q,
      'actor_loss': 0.0,
      'actor_gradient_norm': 0.0,
      'actor_updates': 0.0,
    }
    self.steps += 1
    if self.steps % config.policy_delay == 0:
      loss, norm = self.improve_actor(x_tm1)
      metrics |= {
        'actor_loss': loss,
        'actor_gradient_norm': norm,
        'actor_updates': 1.0,
      }
      self.move_targets()
    self.noise_scale = max(
      self.noise_scale * config.exploration_noise_decay,
      config.exploration_noise_min,
    )
    return metrics


class SlowDDPG(SlowAgent):
  """Lillicrap et al. 2016: one critic, no delay and no smoothing."""

  def update(self, x_tm1, a_tm1, r_t, discount_t, x_t):
    """One update; the norm of the actor's gradient."""
    unit, _ = actor_forward(
      self.actor_target_params, self.actor_target_state, x_t, training=False
    )
    q_t, _ = critic_forward(
      self.critic_target_params, self.critic_target_state, x_t, unit, False
    )
    targets = r_t + self.config.gamma * discount_t * q_t[:, 0]
    self.fit_critic(x_tm1, a_tm1, targets)
    _, norm = self.improve_actor(x_tm1)
    self.move_targets()
    return norm


def _layer(params, running, x, training):
  z = x @ params['w']
  mean = z.mean(0) if training else running
  return np.tanh(z - mean + params['b']), mean


def _layer_gradient(params, x, y, d_y, training):
  d_z = d_y * (1 - y**2)
  d_b = d_z.sum(0)
  if training:  # Every row also moved the mean that all rows subtract.
    d_z = d_z - d_z.mean(0)
  return {'w': x.T @ d_z, 'b': d_b}, d_z @ params['w'].T


def _moved(running, mean, training):
  return MOMENTUM * running + (1 - MOMENTUM) * mean if training else running
