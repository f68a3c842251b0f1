"""Lists the benchmark suites: functions that return groups of cases."""

from collections.abc import Callable

from experiments.benchmark.cases import Group
from experiments.benchmark.suites import (
  accelerator,
  acting,
  environment,
  hopper,
  networks,
  population,
  replay,
  td3,
)

# Keyed by the suite's name. Each function takes a size ('smoke', 'small' or
# 'full') and the number of this machine's cores.
SUITES: dict[str, Callable[[str, int], list[Group]]] = {
  'networks': networks.groups,
  'environment': environment.groups,
  'replay': replay.groups,
  'td3': td3.groups,
  'acting': acting.groups,
  'population': population.groups,
  'accelerator': accelerator.groups,
  'hopper': hopper.groups,
}
