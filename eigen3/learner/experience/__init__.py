"""Observations, transitions and counterfactual orders."""

from eigen3.learner.experience.observations import (
  AnyObservation,
  FullObservation,
  Observation,
  constrain,
  first_observation,
  observations_of,
  observe,
  packed,
  unpacked,
)
from eigen3.learner.experience.transitions import (
  empty_transition,
  stored_steps,
  transitions_of,
)

__all__ = (
  'AnyObservation',
  'FullObservation',
  'Observation',
  'constrain',
  'empty_transition',
  'first_observation',
  'observations_of',
  'observe',
  'packed',
  'stored_steps',
  'transitions_of',
  'unpacked',
)
