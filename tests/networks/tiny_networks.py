"""What the networks of these tests are built for."""

from eigen3.environment import Rules
from experiments.configs import td3

# D=8, C=12, F=5, N=8 (columns 4 to 11).
SPEC = Rules.from_config(td3.get_config('smoke').environment).spec(
  num_columns=12, num_features=5, investable=(4, 12)
)
