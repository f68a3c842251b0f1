"""Writes the champion of a run as a checkpoint of Eigen2.

python -m experiments.export_eigen2 --run=runs/first --out=agent.pth

The run has the settings of a preset with +eigen2; needs PyTorch.
"""

from collections.abc import Sequence

from absl import flags

from eigen3.interop import eigen2, eigen2_agents
from experiments import imported_run, mains, path_flags, saved_runs

_RUN = path_flags.DEFINE_path(
  'run',
  None,
  'Folder of the run, or RUN/checkpoints/STEP for the champion of then.',
  required=True,
)
_OUT = path_flags.DEFINE_path(
  'out', None, 'File to write, a .pth; an older one is replaced.', required=True
)
_AGENT_ID = flags.DEFINE_integer(
  'agent_id', 0, "Eigen2's number of it in a population.", lower_bound=0
)
_RUN_PANEL = saved_runs.define_run_panel()


def main(argv: Sequence[str]) -> None:
  step = export(_RUN.value, _OUT.value, _AGENT_ID.value, _RUN_PANEL.value)
  print(f'written: {_OUT.value}, the champion of step {step} of {_RUN.value}')


def export(
  path: str, out: str, agent_id: int = 0, panel: str | None = None
) -> int:
  """Writes the champion of a run; the step of its checkpoint.

  Args:
    path: see `saved_runs.load`, as `panel`.
    out: the file.
    agent_id: Eigen2's number of it.
    panel: of the run, if it was moved.

  Raises:
    ValueError: no run there, it is none that Eigen2 could have, or there is no
      PyTorch.
  """
  (run,) = saved_runs.load([path], panel)
  imported_run.check_eigen2(run.config, f'{run.name}: ')
  eigen2.save_agent(out, eigen2_agents.from_state(run.agent), agent_id)
  return run.step


if __name__ == '__main__':
  mains.run(main)
