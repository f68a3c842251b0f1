"""Installs eigen3 and its experiments."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent


def version() -> str:
  """The version that the package states of itself."""
  text = (ROOT / 'eigen3' / '__init__.py').read_text(encoding='utf-8')
  found = re.search(r"__version__ = '([^']+)'", text)
  if found is None:
    raise ValueError('eigen3/__init__.py: found no __version__')
  return found.group(1)


TEST = [
  'flatbuffers>=24.3.25',
  # Control tasks on which the agent is shown to be right.
  'gymnasium>=1.0',
  'hypothesis>=6.100',
  # The notebook is run from top to bottom.
  'ipykernel>=6.29',
  'mypy>=1.15',
  'nbclient>=0.10',
  'nbformat>=5.10',
  'pandas-stubs>=2.2.2.240603',
  'pytest>=8.3',
  'pytest-xdist>=3.6.1',
  'ruff>=0.17',
  'scikit-learn>=1.6',
  'wandb>=0.21',
]

DOCS = [
  'furo>=2024.8.6',
  # The reference imports eigen3.interop.gymnasium.
  'gymnasium>=1.0',
  'myst-parser>=4',
  'sphinx>=8.1',
]

setuptools.setup(
  name='eigen3',
  version=version(),
  description='Evolutionary reinforcement learning for trading, in JAX',
  long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  keywords=['reinforcement learning', 'evolution', 'trading', 'jax'],
  classifiers=[
    'Development Status :: 4 - Beta',
    'Intended Audience :: Science/Research',
    'Operating System :: MacOS',
    'Operating System :: POSIX :: Linux',
    'Programming Language :: Python :: 3',
    'Programming Language :: Python :: 3.11',
    'Programming Language :: Python :: 3.12',
    'Programming Language :: Python :: 3.13',
    'Topic :: Office/Business :: Financial :: Investment',
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
    'Typing :: Typed',
  ],
  entry_points={'console_scripts': ['eigen3 = experiments.__main__:main']},
  packages=setuptools.find_packages(
    include=['eigen3', 'eigen3.*', 'experiments', 'experiments.*']
  ),
  package_data={
    'eigen3': ['py.typed'],
    'eigen3.reporting': [
      *('base.html', 'cells_page.html', 'quality_page.html'),
      'study_page.html',
    ],
    'eigen3.reporting.run_page': ['page.html'],
  },
  python_requires='>=3.11',
  install_requires=[
    'absl-py>=2.3.1',
    # Stationary bootstrap, superior predictive ability, model confidence set.
    'arch>=8',
    'chex>=0.1.90',
    # Plain: its [jax] extra asks for a jax that needs Python 3.12.
    'dm-haiku>=0.0.14',
    'jax>=0.7',
    # The page of a quality report, with everything in it escaped.
    'jinja2>=3.1',
    'jmp>=0.0.4',
    'matplotlib>=3.9',
    'ml-collections>=1.0',
    'numpy>=2.0.1',
    'optax>=0.2.5',
    'optuna>=5.0',
    'pandas>=2.2.2',
    'pyarrow>=18',
    'rlax>=0.1.9',
    'scipy>=1.14',
    # Errors of alpha and beta that allow for autocorrelation.
    'statsmodels>=0.14.2',
    'tensorboardX>=2.6',
    'tqdm>=4.66',
  ],
  extras_require={
    'test': TEST,
    'docs': DOCS,
    'dev': [*TEST, *DOCS, 'pre-commit>=4'],
    'cuda': ['jax[cuda13]>=0.7.2'],
    'torch': ['torch>=2.4'],
    'download': ['yfinance>=1.0'],
    'control': ['gymnasium>=1.0'],
    # The environment for agents of other libraries.
    'gymnasium': ['gymnasium>=1.0'],
    # Metrics on a dashboard beside TensorBoard.
    'wandb': ['wandb>=0.21'],
    # Ridge and gradient boosting, beside which a study judges the agent.
    'study': ['scikit-learn>=1.6'],
    # JAX writes and reads exported programs with it.
    'export': ['flatbuffers>=24.3.25'],
    'mujoco': ['gymnasium[mujoco]>=1.0'],
  },
)
