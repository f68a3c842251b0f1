"""Learning from transitions: TD3 (with DDPG as a preset) and its replay."""

from eigen3.agent import replay
from eigen3.agent.td3 import TrainingState, make_td3

__all__ = ['TrainingState', 'make_td3', 'replay']
