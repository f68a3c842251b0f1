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
      config describes; `spread` shards it over all devices.
    record: `(experiment, evaluate, workdir, config, sinks) -> loop.Record`,
      returns the object that writes the logs.
    facts: `(experiment, final state)`, returns fields of summary.json.
    conclude: `(experiment, state, config, workdir, remark)`, writes reports
      that no other program has, and returns the names of their files; the
      remark is what every reader must know about the data.
  """

  title: str
  build: Callable[..., Experiment]
  record: Callable[..., loop.Record]
  facts: Callable[[Experiment, Any], Mapping[str, Any]]
  conclude: Callable[..., Sequence[str]] = lambda *unused: ()


def main(argv: Sequence[str], program: Program) -> int:
  """Trains or resumes, then reports; returns the exit status."""
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
  """Trains with one seed, or resumes; returns the exit status."""
  resume = options.RESUME.value
  if seed is not None and resume and not run_directory.holds_run(workdir):
    resume = False  # the program ended within an earlier seed
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
      # A run that began before the LSTM had other forms continues without them.
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
  """Returns the settings of --config or, without it, those of a resumed run.

  In both cases flags such as --config.seed change the settings.

  Raises:
    ValueError: if there is no run to resume, it is another program's, or a
      setting differs that must not change.
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
  """Returns the folder of a run to take settings from; None if there is none.

  A resumed run takes its own settings. With --resume, a seed that had not begun
  takes those of another seed's run.
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
  """Trains and reports in a locked folder; returns the exit status."""
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
  parallel.wait_for_all()  # for the first process to have reported
  return 0


def _check_start(config: ml_collections.ConfigDict) -> None:
  """Checks --start_from, before the run's folder is made.

  Raises:
    ValueError: for a population, or if the run to start from does not exist.
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
  """Returns the state before training, with the agent of another run.

  Raises:
    ValueError: if that run has no readable checkpoint, or its networks differ.
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
  """Checks that all processes train with the same settings and data."""
  if not parallel.is_same_everywhere(
    config.to_json(sort_keys=True)
    + experiment.panel.fingerprint
    + json.dumps(experiment.sizes, sort_keys=True)
  ):
    raise ValueError(
      '--config: found other settings or data in another process, expected the '
      'same in all processes of a run'
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
  """Returns the sinks of metrics besides the run's folder; see --wandb."""
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
  """Evaluates the champion, on held-out days if allowed, and reports."""
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
  """Returns the champion's attention on the last split it is judged on."""
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
  """Describes the last split that the champion was judged on."""
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
  """Judges champion and controls; writes measures and actions if requested.

  Returns:
    Results by split; how often the held-out days were opened; and the
    champion's actions on the last split.
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
