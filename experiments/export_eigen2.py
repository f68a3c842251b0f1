"""Writes the champion of a run as a checkpoint of Eigen2.

eigen3 export_eigen2 --run=runs/first --out=agent.pth

The run must have the settings of a preset with +eigen2. This program needs
PyTorch.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('export_eigen2')  # reads flags before slow imports

from collections.abc import Sequence

from eigen3.interop import eigen2, eigen2_agents
from experiments import imported_run, saved_runs
from experiments.options import export_eigen2 as options
from experiments.options import run_panel


def main(argv: Sequence[str]) -> None:
  run, out = options.RUN.value, options.OUT.value
  step = export(run, out, options.AGENT_ID.value, run_panel.RUN_PANEL.value)
  print(f'written: {out}, the champion of step {step} of {run}')


def export(
  path: str, out: str, agent_id: int = 0, panel: str | None = None
) -> int:
  """Writes a run's champion to a file; returns the step of its checkpoint.

  That is the step at which the run saved the checkpoint that is read.

  Args:
    path: path of the run or of a checkpoint, see `saved_runs.load`.
    out: the `.pth` file to create or replace.
    agent_id: the agent's number in a population of Eigen2.
    panel: new path of the run's panel, if it was moved.

  Raises:
    ValueError: if the run cannot be loaded, its settings or networks are not
      those of Eigen2, or PyTorch is not installed.
  """
  (run,) = saved_runs.load([path], panel)
  imported_run.check_eigen2(run.config, f'{run.name}: ')
  eigen2.save_agent(out, eigen2_agents.from_state(run.agent), agent_id)
  return run.step
