"""Compares champions of runs, their committee and controls.

eigen3 evaluate --runs='runs/td3_*,runs/erl_*' --out=evaluations/first

The folder of a run stands for the latest checkpoint of the run, and
RUN/checkpoints/STEP for the checkpoint of that step. Champions are ranked on
the validation days. They are evaluated on the held-out days only if --holdout
allows it, and every opening of these days is recorded in the runs' folders.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('evaluate')  # reads flags before slow imports

import contextlib
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from eigen3 import settings
from eigen3.evaluation import (
  Results,
  comparison,
  ranking,
  statistics,
  summary,
)
from eigen3.evaluation.comparison import Comparison, Policy
from eigen3.evaluation.training_slices import TrainingSlices
from eigen3.files import write_json, write_table
from eigen3.reporting import tables
from eigen3.reporting.comparison_picture import draw_comparison
from eigen3.runs import ledger, lock
from experiments import saved_runs, wiring
from experiments.configs import ranker as ranker_config
from experiments.options import evaluate as options
from experiments.options import run_panel
from experiments.saved_runs import SavedRun

# Settings in the section `environment` in which compared runs may differ,
# because they determine how agents learn, not how the account works.
_MAY_DIFFER = (
  'context_days',
  'inaction_penalty',
  'loss_multiplier',
  'market_timing',
  'observe_account',
  'portfolio_scale',
  'reward',
  'scaled_actions',
  'trading_days',
)
_SEATS = 3  # default size of the committee; smaller with fewer runs
_FILES = ('evaluation.json', 'evaluation.csv', 'evaluation.png')


def main(argv: Sequence[str]) -> None:
  """Loads runs, evaluates and ranks their champions, and reports."""
  out = pathlib.Path(options.OUT.value)
  _check_out(out)
  named = saved_runs.find(options.RUNS.value)
  others = saved_runs.find(options.AGAINST.value)
  runs = saved_runs.load(
    list(dict.fromkeys([*named, *others])), run_panel.RUN_PANEL.value
  )
  _check_alike(runs)
  pairs = _pairs(runs, named, others)
  compared, policies, opened = _compare(runs)
  panel = runs[0].experiment.panel
  remark = '; '.join(
    filter(None, (panel.notes, panel.survivorship, ledger.remark(opened)))
  )
  differences = {
    split: _difference(results, pairs)
    for split in ('validation', 'holdout')
    if pairs and (results := getattr(compared, split)) is not None
  }
  out.mkdir(parents=True, exist_ok=True)
  write_json(
    out / _FILES[0],
    {
      'runs': {r.name: {'step': r.step, 'seed': r.config.seed} for r in runs},
      'ranking': [p.name for p in policies if p.name != comparison.COMMITTEE],
      'ranked_by': f'{options.RANK_BY.value} on the validation days',
      'validation': summary.means(compared.validation),
      'training': {k: v.tolist() for k, v in compared.training.items()},
      'holdout': summary.means(compared.holdout or {}),
      'holdout_openings': opened,
      'differences': {k: v._asdict() for k, v in differences.items()},
      'data': panel.fingerprint,
      'remark': remark,
    },
  )
  write_table(out / _FILES[1], comparison.rows(compared))
  draw_comparison(out / _FILES[2], compared, 'Champions side by side', remark)
  _print_report(compared, differences, remark)
  print(f'written: {out}/{", ".join(_FILES)}')


def _check_out(out: pathlib.Path) -> None:
  """Checks that `out` can be written, before held-out days are opened.

  Raises:
    ValueError: if `out`, or its nearest existing parent if `out` does not
      exist, is not a folder or not writable.
  """
  there = next(x for x in (out, *out.absolute().parents) if x.exists())
  if not there.is_dir():
    raise ValueError(
      f'--out: found {there}, which is not a folder, expected a folder'
    )
  if not os.access(there, os.W_OK):
    raise ValueError(
      f'--out: found no permission to write in {there}, expected a writable '
      'folder'
    )


def _compare(runs: list[SavedRun]) -> tuple[Comparison, list[Policy], int]:
  """Evaluates the champions, a committee if there is one, and the controls.

  Returns:
    The results; the policies, which are the champions by rank, then the
    committee, if there is one; and how often held-out days were opened so far,
    for the run with the most openings, 0 if they are not evaluated now.

  Raises:
    ValueError: if --committee is larger than the number of runs, the held-out
      days may not be opened, or another program uses a run's folder.
  """
  experiment = runs[0].experiment
  policies, validation = comparison.ranked(
    [_policy(run) for run in runs], experiment.validation, options.RANK_BY.value
  )
  seats = _seats(len(runs))
  if seats:
    chosen = comparison.committee(policies[:seats])
    policies = [*policies, chosen]
    validation = {
      **validation,
      **comparison.judged([chosen], experiment.validation),
    }
  config = runs[0].config
  controls, digests = _controls(runs[0])
  slices = TrainingSlices(
    experiment.panel,
    config.environment,
    experiment.splits.train,
    options.TRAINING_SLICES.value,
  )
  compared = Comparison(
    {**validation, **controls('validation')},
    comparison.training_profits(policies, slices),
  )
  if options.HOLDOUT.value == 'no':
    return compared, policies, 0
  with contextlib.ExitStack() as stack:
    for folder in {_folder(run) for run in runs}:
      stack.enter_context(lock.locked(folder))  # their ledgers are written
    opened = _open_holdout(runs, policies, digests)
  held_out = comparison.judged(policies, experiment.holdout)
  holdout = {**held_out, **controls('holdout')}
  return compared._replace(holdout=holdout), policies, opened


def _seats(runs: int) -> int:
  """Returns the number of committee members; 0 for no committee.

  By default it is `_SEATS`, or `runs` if that is less; for a single run, 0.

  Args:
    runs: number of runs.

  Raises:
    ValueError: if --committee asks for more members than there are runs.
  """
  if options.COMMITTEE.value is None:
    return min(_SEATS, runs) if runs > 1 else 0
  settings.require(
    options.COMMITTEE.value <= runs,
    '--committee',
    options.COMMITTEE.value,
    f'at most {runs}, the number of runs',
  )
  return options.COMMITTEE.value


def _controls(run: SavedRun) -> tuple[Callable[[str], Results], list[str]]:
  """Returns a function that backtests controls, and digests of trained ones.

  The function maps the name of a split to the controls' backtests on its days.
  With --ranker, a ranker is trained with the run's settings and is one of the
  controls; the list holds the ranker's digest. Otherwise the list is empty.
  """

  def of_split(split: str) -> Results:
    judge = getattr(run.experiment, split)
    if ranker is None:
      return judge.controls
    return {ranking.NAME: [ranker.backtest(judge)], **judge.controls}

  ranker, digests = None, []
  if options.RANKER.value:
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
      config.ranker = ranker_config.settings()
    experiment = wiring.build_ranker(config, False)
    fitted, ranker = wiring.fit_ranker(experiment, config)
    digests.append(wiring.ranker_digest(fitted, ranker))
  return of_split, digests


def _policy(run: SavedRun) -> Policy:
  learner, agent = run.experiment.learner, run.agent

  def actions(days: np.ndarray):
    return learner.greedy_actions(agent, days)

  return Policy(run.name, actions, ledger.policy_digest(run.policy))


def _open_holdout(
  runs: list[SavedRun], policies: list[Policy], others: list[str]
) -> int:
  """Records in each run's folder that its held-out days are opened.

  Args:
    runs: the runs whose held-out days are opened.
    policies: champions by rank, then the committee, if there is one. Each run's
      folder records the run's champion, and the committee if this champion is a
      member.
    others: digests of other trained policies that are evaluated; every run's
      folder records them.

  Returns:
    How often held-out days were opened so far, for the run with the most
    openings.

  Raises:
    ValueError: see `ledger.open_holdout`.
  """
  digests = {policy.name: policy.digest for policy in policies}
  members = [p.name for p in policies[: _seats(len(runs))]]
  behind: dict[pathlib.Path, set[str]] = {}
  for run in runs:
    behind.setdefault(_folder(run), {*others}).add(digests[run.name])
    if run.name in members:
      behind[_folder(run)].add(digests[comparison.COMMITTEE])
  return ledger.open_holdout(
    {workdir: sorted(found) for workdir, found in behind.items()},
    'experiments.evaluate',
    again=options.HOLDOUT.value == 'again',
  )


def _folder(run: SavedRun) -> pathlib.Path:
  """Returns the run's folder as an absolute path, with links resolved."""
  return run.workdir.resolve()


def _check_alike(runs: list[SavedRun]) -> None:
  """Checks that profits of the runs are comparable.

  Raises:
    ValueError: if runs differ in their data, splits or rules of the account.
  """
  first = runs[0]
  for run in runs[1:]:
    for what in ('fingerprint', 'survivorship'):
      found = getattr(run.experiment.panel, what)
      expected = getattr(first.experiment.panel, what)
      settings.require(
        found == expected,
        f'{run.name}: {what} of the data',
        found,
        f'{expected!r}, that of {first.name}: compare only runs on the same '
        'data',
      )
    settings.require(
      run.experiment.splits == first.experiment.splits,
      f'{run.name}: splits',
      run.experiment.splits,
      f'those of {first.name}, {first.experiment.splits}: train both with the '
      'same data.validation_days, data.holdout_days and data.embargo_days',
    )
    for name, value in first.config.environment.items():
      if name not in _MAY_DIFFER:
        settings.require(
          run.config.environment[name] == value,
          f'{run.name}: environment.{name}',
          run.config.environment[name],
          f'{value!r}, as in {first.name}',
        )


def _pairs(
  runs: list[SavedRun], named: list[str], others: list[str]
) -> list[tuple[str, str]]:
  """Pairs each run of --runs with the run of --against that has its seed.

  Args:
    runs: all loaded runs.
    named: names of the runs in --runs.
    others: names of the runs in --against; may be empty.

  Returns:
    Pairs of names, (of --runs, of --against); empty without --against.

  Raises:
    ValueError: if --against is given, and either flag names fewer than two
      runs, or two with the same seed, or the seeds of both flags differ.
  """
  if not others:
    return []
  sides = []
  for flag, names in (('--runs', named), ('--against', others)):
    chosen = [run for run in runs if run.name in names]
    seeds = {run.config.seed: run.name for run in chosen}
    settings.require(
      len(seeds) == len(names) and len(seeds) > 1,
      f'{flag}: seeds',
      [run.config.seed for run in chosen],
      'two or more different ones, to form pairs',
    )
    sides.append(seeds)
  settings.require(
    sides[0].keys() == sides[1].keys(),
    '--against: seeds',
    sorted(sides[1]),
    f'those of --runs, {sorted(sides[0])}',
  )
  return [(sides[0][seed], sides[1][seed]) for seed in sorted(sides[0])]


def _difference(results, pairs: list[tuple[str, str]]) -> statistics.Interval:
  """Returns the mean difference in profit within pairs, with its interval.

  Args:
    results: backtests on one split, by name of policy.
    pairs: pairs of names; the second policy's profit is subtracted from the
      first's.
  """

  def profit(name: str) -> float:
    return results[name][0].summary['profit']

  return statistics.mean_interval(
    np.array([profit(one) - profit(other) for one, other in pairs])
  )


def _print_report(compared: Comparison, differences, remark: str) -> None:
  print('Slices of the training days, profit:')
  print(tables.training_slices(compared.training))
  for title, results in (
    ('Validation days, by rank', compared.validation),
    ('Held-out days', compared.holdout),
  ):
    if results is not None:
      print(f'{title}, net of costs:')
      print(tables.policies(results))
  for split, interval in differences.items():
    print(
      f'{split}: --runs less --against {interval.mean:+.2%} of initial cash, '
      f'95 % interval {interval.low:+.2%} to {interval.high:+.2%} '
      f'({interval.size} pairs of seeds)'
    )
  print(remark)
