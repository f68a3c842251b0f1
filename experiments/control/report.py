"""Reports results on a control task, with a published result if known."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from eigen3.evaluation import statistics
from eigen3.reporting import drawing

_DRAWS_SEED = 0  # of the bootstrap intervals


class Known(NamedTuple):
  """A published result on a task.

  Attributes:
    goal: the least mean return with which we count the task as solved.
    mean: mean return of another implementation of TD3, over many episodes.
    deviation: standard deviation of these episodes' returns.
    steps: number of steps for which that implementation was trained.
    source: where the result is published.
  """

  goal: float
  mean: float
  deviation: float
  steps: int
  source: str


KNOWN = {
  'Pendulum-v1': Known(
    goal=-200.0,
    mean=-151.855,
    deviation=90.227,
    steps=20_000,
    source='TD3 of RL Baselines3 Zoo, one run, 750 episodes: github.com/DLR-RM/'
    'rl-baselines3-zoo/blob/0088472b8cb622732bdbc4aa3d0d0abde86c67ed/'
    'benchmark.md',
  ),
}


def measure(env: str, curves: pd.DataFrame) -> dict[str, Any]:
  """Summarises the evaluations of all seeds, ready for JSON.

  Args:
    env: name of the task.
    curves: a row for each evaluation, a seed's rows in the order of steps. The
      columns seed, step, episodes, mean_return and deviation are read; the last
      two are mean and standard deviation of the episodes' returns.

  Returns:
    `env`; `known`, the published result or None; `interquartile_mean` of the
    seeds' last mean returns, with an interval; and `seeds`, for each seed (as
    text): `mean_return`, `deviation` and number of `episodes` of the seed's
    last evaluation; `curve`, the mean returns of all its evaluations, keyed by
    step; and, if there is a published result, `reached_goal_at`, the first step
    with a mean return of at least `Known.goal`, or None.
  """
  known = KNOWN.get(env)
  seeds = {}
  for seed, rows in curves.groupby('seed'):
    last = rows.iloc[-1]
    found = {
      'mean_return': float(last['mean_return']),
      'deviation': float(last['deviation']),
      'episodes': int(last['episodes']),
      'curve': rows.set_index('step')['mean_return'].to_dict(),
    }
    if known:
      good = rows.loc[rows['mean_return'] >= known.goal, 'step']
      found['reached_goal_at'] = int(good.iloc[0]) if len(good) else None
    seeds[str(seed)] = found
  last_returns = [[found['mean_return']] for found in seeds.values()]
  return {
    'env': env,
    'known': known._asdict() if known else None,
    'interquartile_mean': statistics.interquartile_mean(
      np.array(last_returns), _DRAWS_SEED
    )._asdict(),
    'seeds': seeds,
  }


def table(summary: Mapping[str, Any]) -> str:
  """Returns a summary by `measure` as text.

  It has a line for each seed's last evaluation, and one for any published
  result.
  """
  lines = []
  for seed, found in summary['seeds'].items():
    line = (
      f'seed {seed}: mean return {found["mean_return"]:.1f}, deviation '
      f'{found["deviation"]:.1f}, over {found["episodes"]} episodes'
    )
    if summary['known']:
      goal, step = summary['known']['goal'], found['reached_goal_at']
      when = 'never' if step is None else f'first at step {step:,}'
      line += f'; {goal:g} or more {when}'
    lines.append(line)
  if summary['known']:
    known = summary['known']
    lines.append(
      f'published: {known["mean"]:.1f}, deviation {known["deviation"]:.1f}, '
      f'after {known["steps"]:,} steps ({known["source"]})'
    )
  return '\n'.join(lines)


def draw_curves(
  path: os.PathLike | str, summary: Mapping[str, Any], title: str
) -> None:
  """Draws mean returns over steps: each seed's, and their interquartile mean.

  A published result and its goal are drawn as horizontal lines.

  Args:
    path: the PNG file to write, 1200 pixels wide.
    summary: returned by `measure`.
    title: title of the picture.
  """
  curves = pd.DataFrame({s: f['curve'] for s, f in summary['seeds'].items()})
  known = summary['known']
  remark = f'published: {known["source"]}' if known else ''
  with drawing.picture(path, 5, title, remark) as figure:
    axes = figure.subplots()
    for seed, colour in drawing.colours([*summary['seeds']]).items():
      if seed in curves:
        axes.plot(
          curves[seed], color=colour, linewidth=0.8, label=f'seed {seed}'
        )
    _middle(axes, curves)
    if known:
      _known(axes, known)
    axes.set_xlabel('steps of the task')
    axes.set_ylabel('mean return, without noise')
    drawing.finish(axes)


def _middle(axes, curves: pd.DataFrame) -> None:
  """Draws the seeds' interquartile mean at each step, with its interval."""
  middle = pd.DataFrame(
    [
      statistics.interquartile_mean(row[:, None], _DRAWS_SEED)
      for row in curves.to_numpy()
    ],
    curves.index,
  )
  colour = drawing.POPULATION
  axes.fill_between(
    curves.index,
    middle['low'],
    middle['high'],
    color=colour,
    alpha=0.2,
    linewidth=0,
    label='95 % of its bootstrap',
  )
  axes.plot(
    middle['value'], color=colour, linewidth=2, label='interquartile mean'
  )


def _known(axes, known: Mapping[str, Any]) -> None:
  """Draws the published result and the goal as horizontal lines."""
  axes.axhline(
    known['mean'],
    color=drawing.REFERENCE,
    linestyle='--',
    linewidth=1.2,
    label=f'published: {known["mean"]:.0f}\nafter {known["steps"]:,} steps',
  )
  axes.axhline(
    known['goal'],
    color='black',
    linestyle=':',
    linewidth=1.2,
    label=f'goal: {known["goal"]:g}',
  )
