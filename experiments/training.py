"""Runs what the training programs have in common, from flags to the report."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from absl import flags, logging
from ml_collections import config_flags

from eigen3 import parallel, sizes
from eigen3.environment.rollout import Actions
from eigen3.evaluation import Results, summary
from eigen3.files import remove_leftovers, write_json, write_table
from eigen3.learner import loop
from eigen3.learner.agent_record import Evaluate
from eigen3.reporting import run_page, tables
from eigen3.reporting.run_picture import draw_run
from eigen3.runs import (
  ledger,
  lock,
  logs,
  run_directory,
  trials,
  weights_and_biases,
)
from eigen3.runs.checkpoint import Checkpointer
from eigen3.settings import require
from experiments import (
  backend,
  command_line,
  mains,
  measuring,
  panels,
  processes,
  profiling,
  run_titles,
  saved_runs,
  seeds,
  wiring,
)
from experiments.checks import check_reward
from experiments.options import training as options
from experiments.wiring import Experiment, about_data

_SPLIT_TITLES = {
  'validation': 'Validation days',
  'holdout': 'Held-out days',
}


class Program(NamedTuple):
  """The parts in which training programs differ.

  Attributes:
    title: the program's name in capitals, such as TD3.
    build: `(config, spread=True) -> Experiment`, builds the experiment that a
      config describes, for all devices if `spread` is True, else for one.
    record: `(experiment, evaluate, workdir, config, sinks) -> loop.Record`,
      returns the object that writes the logs.
    facts: `(experiment, state) -> Mapping`, returns the fields of summary.json
      that only this program has; `state` is the learner's final state.
    conclude: `(experiment, state, config, workdir, remark) -> names`, writes
      the reports that only this program has, and returns the names of these
      files and of logs that only this program writes. `state` is as in `facts`;
      `remark` states caveats about the data, for readers of the reports.
  """

  title: str
  build: Callable[..., Experiment]
  record: Callable[..., loop.Record]
  facts: Callable[[Experiment, Any], Mapping[str, Any]]
  conclude: Callable[..., Sequence[str]] = lambda *unused: ()


def main(argv: Sequence[str], program: Program) -> int:
  """Trains or resumes, then reports; returns the exit status.

  With --seeds, this is done for one seed after another. If a run is stopped
  early, the exit status is `mains.STOPPED`, and later seeds are not started.
  """
  processes.join()
  if options.WANDB.value is not None:
    weights_and_biases.package()  # fails before anything is made
  shared = seeds.Shared(program.build)
  for seed, workdir in seeds.runs(options.WORKDIR.value):
    status = _begin(program, shared, workdir, seed)
    if status:
      return status
  return 0


def _begin(
  program: Program,
  shared: seeds.Shared,
  workdir: pathlib.Path,
  seed: int | None,
) -> int:
  """Trains or resumes one run, then reports; returns the exit status.

  With --seeds and --resume, a finished run is skipped, and a run that has not
  begun is started.

  Args:
    program: the training program.
    shared: builds the run's experiment.
    workdir: the run's folder.
    seed: the run's seed; None without --seeds, for the seed of the settings.
  """
  resume = options.RESUME.value
  if seed is not None and resume and not run_directory.holds_run(workdir):
    resume = False  # the program was stopped before it reached this seed
  if seed is not None and resume and (workdir / 'summary.json').exists():
    _settings(workdir, seed, resume)
    print(f'{workdir}: already done')
    return 0
  with contextlib.ExitStack() as stack:
    if resume:
      run_directory.check_resumable(workdir)
      stack.enter_context(lock.locked(workdir))
      if parallel.is_first_process():
        remove_leftovers(workdir)
    config = _settings(workdir, seed, resume)
    profiling.check(config)
    if not resume:
      run_directory.check_new(workdir)
      check_reward(config)
      _check_start(config)
    begun = _begun(workdir, seed, resume)
    panels.settle(config.data, begun)
    before = {}
    if begun is not None:
      # A run that began before these settings existed continues as it began.
      before = {
        'networks.lstm_kernel': 'scan',
        'networks.lstm_directions': 'apart',
      }
      before |= run_directory.read_sizes(begun)
    experiment = shared.build(sizes.filled(config, before))
    _check_same_run(config, experiment)
    about = about_data(experiment)
    if resume:
      run_directory.check_data(workdir, about)
    else:
      run_directory.make_folder(workdir)
      stack.enter_context(lock.locked(workdir))
      way = panels.way_to(config.data, workdir)
      machine = wiring.about_machine(experiment)
      run_directory.create(workdir, config, about | way, machine=machine)
    in_use = {**experiment.sizes, 'agent.batch_size': config.agent.batch_size}
    with backend.advising_on_memory(in_use):
      return _run(program, experiment, config, workdir, resume)


def _settings(
  workdir: pathlib.Path, seed: int | None, resume: bool
) -> ml_collections.ConfigDict:
  """Returns a run's settings, from --config or from a run that has begun.

  With --resume but without --config, they are the settings of the run that
  `_begun` finds. In both cases flags such as --config.learner.iterations change
  the settings, and `seed` replaces their seed.

  Args:
    workdir: the run's folder.
    seed: the run's seed; None to keep the seed of the settings.
    resume: whether the run has begun and is to be resumed.

  Raises:
    ValueError: if there is no run to take settings from, its settings cannot be
      read or are another program's, a resumed run's setting differs that must
      not change, or --vary_market is given and the panel is a file.
  """
  flag = flags.FLAGS['config']
  config = options.CONFIG.value.copy_and_resolve_references()
  begun = _begun(workdir, seed, resume)
  if options.RESUME.value and flag.using_default_value:
    begun = begun or workdir
    run_directory.check_resumable(begun)
    stored = saved_runs.settings_of(begun)
    command_line.check_program(stored, config, f'--workdir={begun}')
    config = stored
    changes = config_flags.get_override_values(flag)
    with config.ignore_type():  # a setting that was 'auto' may be a number
      config.update_from_flattened_dict(changes)
  seeds.settle(config, seed)
  if resume:
    # A run from before 'auto' continues with its own values.
    config = sizes.filled(config, saved_runs.sizes_given(workdir))
    defaults = saved_runs.defaults_of(config)
    run_directory.check_same(workdir, config, defaults)
  return config


def _begun(
  workdir: pathlib.Path, seed: int | None, resume: bool
) -> pathlib.Path | None:
  """Returns the folder of the run to take settings from; None if there is none.

  A resumed run takes its own settings. With --resume, a seed that has not begun
  takes those of the first run in the order of --seeds that has begun. Values
  chosen for 'auto' are also taken from the returned folder, and its `run.json`
  helps to find a panel that was moved; see `panels.settle`.

  Args:
    workdir: the run's folder.
    seed: the run's seed; None without --seeds.
    resume: whether the run has begun and is to be resumed.
  """
  if resume or seed is None or not options.RESUME.value:
    return workdir if resume else None
  others = (other for _, other in seeds.runs(options.WORKDIR.value))
  return next(filter(run_directory.holds_run, others), None)


def _run(
  program: Program,
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  resume: bool,
) -> int:
  """Trains and reports in a locked folder; returns the exit status.

  The status is `mains.STOPPED`, and there is no report, if an interrupt stopped
  the training; otherwise it is 0.
  """
  if parallel.is_first_process():
    print(wiring.sizes_line(experiment))
    print('Controls on the validation days:')
    print(tables.policies(experiment.validation.controls))
    print(backend.about_compiling())
  learner = experiment.learner
  record = program.record(
    experiment,
    _evaluation(experiment, config),
    workdir,
    config,
    _sinks(workdir, config),
  )
  profile = profiling.of_flag(learner, workdir)
  with (
    contextlib.closing(
      Checkpointer(
        workdir / 'checkpoints',
        config.learner.keep_checkpoints,
        experiment.panel.fingerprint,
      )
    ) as checkpointer,
    contextlib.closing(profile),
  ):
    if options.START_FROM.value and checkpointer.is_empty:
      state = _started(learner, config, pathlib.Path(options.START_FROM.value))
      checkpointer.save(0, state)
      checkpointer.wait()
      resume = True
    state, done = loop.train(profile, record, checkpointer, config, resume)
  if not done:
    total = config.learner[f'{learner.unit}s']
    logging.warning(
      'stopped after %s %d of %d; add --resume to continue',
      learner.unit,
      learner.count(state),
      total,
    )
    return mains.STOPPED
  _conclude(program, experiment, config, workdir, state)
  profiling.print_report(profile, program.build, config, experiment.sizes)
  parallel.wait_for_all()  # until the first process has written its reports
  return 0


def _check_start(config: ml_collections.ConfigDict) -> None:
  """Checks --start_from, before the run's folder is made.

  Raises:
    ValueError: if --start_from is given for a population, or names a folder
      without a run or with a damaged `config.json`.
  """
  start = options.START_FROM.value
  if start:
    require(
      'evolution' not in config, '--start_from', start, 'none for a population'
    )
    try:
      run_directory.read_config(start)
    except ValueError as error:
      raise ValueError(f'--start_from: {error}') from error


def _started(
  learner: Any, config: ml_collections.ConfigDict, run: pathlib.Path
) -> Any:
  """Returns a new run's state before training, with another run's agent.

  The agent has that run's champion as its policy, and the critics and
  optimisers of that run's latest readable checkpoint.

  Args:
    learner: the new run's `SingleAgent`.
    config: the new run's settings.
    run: the other run's folder.

  Raises:
    OSError: if the other run's `run.json` cannot be read.
    ValueError: if its `run.json` is damaged, it has no readable checkpoint, or
      the checkpoint's arrays differ in shape from the new run's, for example
      because the networks or the replay capacity differ.
  """
  fingerprint = run_directory.read_hash(run)
  try:
    _, agent = saved_runs.champion(learner, run, fingerprint)
  except ValueError as error:
    raise ValueError(f'--start_from: {error}') from error
  policy = learner.agent.policy(agent)
  blank = learner.blank(jax.random.PRNGKey(config.seed))
  champion = blank.champion._replace(params=policy.params, state=policy.state)
  return blank._replace(agent=agent, champion=champion)


def _check_same_run(
  config: ml_collections.ConfigDict, experiment: Experiment
) -> None:
  """Checks that all processes train with the same settings and data.

  All processes must call this function.

  Raises:
    ValueError: if settings, values chosen for 'auto', or data differ.
  """
  if not parallel.is_same_everywhere(
    config.to_json(sort_keys=True)
    + experiment.panel.fingerprint
    + json.dumps(experiment.sizes, sort_keys=True)
  ):
    raise ValueError(
      "--config: found other settings, other data or other values for 'auto' "
      'in another process, expected the same in all processes of a run'
    )


def _evaluation(
  experiment: Experiment, config: ml_collections.ConfigDict
) -> Evaluate:
  judge = experiment.validation
  mean_ic = None
  if config.evaluation.champion_by == 'validation_ic':
    mean_ic = measuring.validation_ic(experiment, config)

  def evaluate(agent: Any) -> Mapping[str, float]:
    actions = experiment.learner.greedy_actions(agent, judge.days)
    scores = judge.scores(actions, 'validation')
    if mean_ic is not None:
      scores['validation_ic'] = mean_ic(actions)
    return scores

  return evaluate


def _sinks(
  workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> Sequence[logs.Sink]:
  """Returns further destinations of metrics: Weights & Biases with --wandb.

  The tuple is empty without --wandb, and in all processes but the first.
  """
  project = options.WANDB.value
  if project is None or not parallel.is_first_process():
    return ()
  return (weights_and_biases.Run(workdir, project, config.to_dict()),)


def _conclude(
  program: Program,
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  state: Any,
) -> None:
  """Evaluates champion and controls after training, and reports the results.

  The days are the validation days and, unless --holdout=no, the held-out days.
  All processes must call this function; only the first one writes and prints.
  """
  results, opened, actions = _judged(
    program, experiment, config, workdir, state
  )
  looks_at = _attention(experiment, state) if options.PAGE.value else None
  facts = program.facts(experiment, state)
  if not parallel.is_first_process():
    return
  panel = experiment.panel
  split, last = list(results.items())[-1]
  agent = last['agent'][0]
  write_table(workdir / 'daily.csv', summary.daily_returns(results))
  write_table(workdir / 'trades.csv', agent.trades)
  deflated = summary.deflated(results, trials.read([workdir]))
  # This file marks the run as done, so a picture or a page that fails later
  # does not lose the result.
  write_json(
    workdir / 'summary.json',
    {
      **{name: summary.means(found) for name, found in results.items()},
      **facts,
      'data': about_data(experiment),
      'holdout_openings': opened,
      'preset': config.preset,
      'seed': config.seed,
      **summary.champion(results, deflated),
    },
  )
  remark = '; '.join(
    filter(None, (panel.notes, panel.survivorship, ledger.remark(opened)))
  )
  title = f'{program.title}, preset {config.preset}, seed {config.seed}'
  draw_run(
    workdir / 'report.png',
    logs.read(workdir / logs.METRICS),
    experiment.validation.controls,
    last,
    f'{_SPLIT_TITLES[split]}, net of costs',
    title,
    remark,
  )
  more = program.conclude(experiment, state, config, workdir, remark)
  days = f'{agent.dates[0]} to {agent.dates[-1]}'
  print(f'{_SPLIT_TITLES[split]} {days}, net of costs:')
  print(tables.policies(last))
  print(remark)
  own = ['summary.json', 'daily.csv', 'trades.csv', 'report.png']
  if options.PAGE.value:
    champion = run_page.Champion(
      workdir, agent, lambda judge: judge.backtest(actions), deflated, looks_at
    )
    _write_page(champion, _occasion(experiment, split, remark))
    own.append('report.html')
  names = ', '.join([*own, *more])
  print(f'written: {workdir}/{names}')


def _attention(experiment: Experiment, state: Any) -> np.ndarray:
  """Returns the champion's mean attention to each column, float [C].

  The mean is over the held-out days; with --holdout=no, over the validation
  days.
  """
  is_opened = options.HOLDOUT.value != 'no'
  judge = experiment.holdout if is_opened else experiment.validation
  learner = experiment.learner
  return learner.attention(learner.champion(state), judge.days)


def _write_page(
  champion: run_page.Champion, occasion: run_page.Occasion
) -> None:
  workdir = champion.workdir
  run_page.write(
    workdir / 'report.html',
    run_titles.title([workdir]),
    [champion],
    occasion,
    run_titles.changes(workdir),
  )


def _occasion(
  experiment: Experiment, split: str, remark: str
) -> run_page.Occasion:
  """Describes the days of a split, 'validation' or 'holdout', for the page."""
  is_held_out = split == 'holdout'
  return run_page.Occasion(
    is_held_out=is_held_out,
    judge=experiment.holdout if is_held_out else experiment.validation,
    panel=experiment.panel,
    remark=remark,
    why_not='' if is_held_out else 'The held-out days were not opened.',
  )


def _judged(
  program: Program,
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  state: Any,
) -> tuple[dict[str, Results], int, Actions]:
  """Backtests champion and controls on the validation and held-out days.

  With --holdout=no, the held-out days are left out. With the setting
  `evaluation.critic_hurdle`, the policy of that name is evaluated, too. With
  `evaluation.measures`, the champion's measures and actions on the held-out
  days are written to the run's folder.

  Returns:
    `Results` keyed by split, in which 'agent' is the champion; how often the
    held-out days were opened so far, or 0 with --holdout=no; and the champion's
    actions on the last of these splits.

  Raises:
    ValueError: if the held-out days were opened before for another policy and
      --holdout is 'once', the list of openings is damaged, or there are too few
      held-out days to measure; see also `wiring.critic_hurdle`.
  """
  learner = experiment.learner
  champion = learner.champion(state)
  beside = {}
  if config.evaluation.critic_hurdle:
    beside['critic_hurdle'] = wiring.critic_hurdle(experiment, config, state)
  judges, opened = {'validation': experiment.validation}, 0
  if options.HOLDOUT.value != 'no':
    opened = ledger.open_holdout(
      {workdir: [ledger.policy_digest(learner.agent.policy(champion))]},
      f'experiments.{program.title.lower()}',
      again=options.HOLDOUT.value == 'again',
    )
    judges['holdout'] = experiment.holdout
  results: dict[str, Results] = {}
  for split, judge in judges.items():
    actions = learner.greedy_actions(champion, judge.days)
    agent = judge.backtest(actions)
    others = {name: [x.backtest(judge)] for name, x in beside.items()}
    results[split] = {'agent': [agent], **others, **judge.controls}
  is_asked = config.evaluation.measures and 'holdout' in judges
  if is_asked and parallel.is_first_process():
    known = np.asarray(actions)
    measuring.write_measures(experiment, config, workdir, known[..., 0], agent)
    measuring.write_actions(workdir, known)
  return results, opened, actions
