"""Ridge regression and gradient boosting on the agent's features, as controls.

A model learns from rows, one for each stock and day. A row holds the features
of the stock that the agent observes, on that day and on some earlier days. Its
label is the outcome of a trade of the stock that is decided on that day.
`excess` subtracts each day's mean label, so that a model does not learn the
market's return; `TabularRanker` learns `learner.ranker.Labels` unchanged.
The models are from scikit-learn, an optional package:
`pip install 'eigen3[study]'`.
"""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eigen3.data import MarketPanel, observe
from eigen3.learner.ranker import Fitted, Labels

LAGS = (0, 1, 2, 3, 5, 10, 20)  # days back from the decision


def lagged_features(
  panel: MarketPanel, names: Sequence[str], lags: Sequence[int] = LAGS
) -> np.ndarray:
  """Returns each stock's features on every day and on some days before it.

  Args:
    panel: T days, N investable stocks.
    names: F names of features, see `data.observe`.
    lags: L numbers of days back; 0 is the day itself.

  Returns:
    float32 [T, N, L * F], all features of the first lag, then of the next; NaN
    where a feature is missing or the lag reaches back before the first day. The
    values of a day are known at its close.

  Raises:
    DataError: as in `data.observe`.
  """
  observed = observe(panel, names)[:, slice(*panel.investable)]
  lagged = np.full((*observed.shape[:2], len(lags), len(names)), np.nan, 'f4')
  for place, lag in enumerate(lags):
    lagged[lag:, :, place] = observed[: len(observed) - lag]
  return lagged.reshape(*observed.shape[:2], -1)


def excess(outcomes: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Subtracts from each outcome the mean of the day's known outcomes.

  Args:
    outcomes: float [S, N], for S days and N stocks.
    known: bool [S, N], which outcomes are known.

  Returns:
    float [S, N], NaN where not known.
  """
  count = np.maximum(known.sum(axis=1, keepdims=True), 1)
  mean = np.where(known, outcomes, 0.0).sum(axis=1, keepdims=True) / count
  return np.where(known, outcomes - mean, np.nan)


def ridge(seed: int = 0) -> Any:
  """Makes a ridge regression; missing features are set to training means.

  Args:
    seed: not used, nothing is random.

  Raises:
    ValueError: scikit-learn is not installed.
  """
  del seed
  _require()
  from sklearn import impute, linear_model, pipeline, preprocessing

  return pipeline.make_pipeline(
    preprocessing.StandardScaler(),
    impute.SimpleImputer(strategy='constant', fill_value=0.0),
    # Strong penalties: features of daily prices explain next to nothing.
    linear_model.RidgeCV(alphas=(1e2, 1e3, 1e4, 1e5, 1e6)),
  )


def boosting(seed: int = 0) -> Any:
  """Makes a histogram gradient boosting model, which accepts NaN features.

  Args:
    seed: seeds the choice of the rows from which bins are computed.

  Raises:
    ValueError: scikit-learn is not installed.
  """
  _require()
  from sklearn import ensemble

  return ensemble.HistGradientBoostingRegressor(
    learning_rate=0.05,
    max_iter=100,
    max_leaf_nodes=15,
    # Small leaves would overfit single days, as all stocks of a day move
    # together.
    min_samples_leaf=2000,
    l2_regularization=1.0,
    early_stopping=False,  # it would validate on rows of the fitted days
    random_state=seed,
  )


MODELS = {'ridge': ridge, 'boosting': boosting}


class TabularRanker:
  """One of `MODELS`, with the interface of `learner.ranker.Ranker`.

  As it is fitted in one step, `train` has no argument `report`.
  """

  def __init__(
    self,
    panel: MarketPanel,
    names: Sequence[str],
    training: Labels,
    validation: Labels,
    model: str,
    seed: int,
    stride: int,
  ):
    """Binds a model to a market.

    Args:
      panel: the market.
      names: names of the observed features.
      training: labels to learn from.
      validation: labels on which only a loss is computed.
      model: a name in `MODELS`.
      seed: random seed of the model.
      stride: the model learns from every `stride`-th day of `training`, because
        trades decided on successive days overlap.

    Raises:
      DataError: as in `data.observe`.
    """
    self._features = lagged_features(panel, names)
    self._training, self._validation = training, validation
    self._make, self._seed, self._stride = MODELS[model], seed, stride

  def train(self, key: Any = None, profit: Any = None) -> Fitted:
    """Fits the model; the returned `weights` are the pickled model.

    The arguments are not used.

    Raises:
      ValueError: no training row has both a label and a known feature, or
        scikit-learn is not installed.
    """
    del key, profit
    features, labels = self._rows(self._training, self._stride)
    if not len(labels):
      raise ValueError(
        'training days: found no trade with a known outcome and a known '
        'feature, expected at least one'
      )
    model = self._make(self._seed)
    model.fit(features, labels)
    losses = {'training_loss': _loss(model, features, labels, labels)}
    features, validated = self._rows(self._validation, 1)
    losses['validation_loss'] = _loss(model, features, validated, labels)
    weights: Any = np.frombuffer(pickle.dumps(model), np.uint8)
    return Fitted(weights, {}, [{'update': 1, **losses}], 1, 1, 0)

  def predictions(self, fitted: Fitted, days) -> np.ndarray:
    """Predicts like `Ranker.predictions`, float64 [M, N].

    The prediction is -inf where a stock has no known feature at any lag.
    """
    asked = self._features[np.asarray(days)]
    is_row = np.isfinite(asked).any(axis=2)
    found = np.full(is_row.shape, -np.inf)
    model = pickle.loads(np.asarray(fitted.weights).tobytes())
    if is_row.any():
      found[is_row] = model.predict(asked[is_row])
    return found

  def _rows(self, labels: Labels, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features [R, L * F] and labels [R] of every `stride`-th day.

    The R rows are the trades with a known outcome and at least one known
    feature; for L and F see `lagged_features`.
    """
    days = np.asarray(labels.days)[::stride]
    features = self._features[days]
    known = np.asarray(labels.known)[::stride]
    known = known & np.isfinite(features).any(axis=2)
    return features[known], np.asarray(labels.returns)[::stride][known]


def _loss(model: Any, features, labels, training) -> float:
  """Returns the mean squared error divided by the training labels' variance.

  The result is NaN if there are no labels.
  """
  if not len(labels):
    return float('nan')
  error = model.predict(features) - labels
  return float(np.mean(error**2) / np.var(training))


def predict_forward(
  make: Callable[[int], Any],
  features: np.ndarray,
  labels: np.ndarray,
  refits: Sequence[int],
  purge: int,
  seed: int = 0,
  stride: int = 1,
) -> np.ndarray:
  """Predicts each day's labels with a model that was fitted on earlier days.

  Args:
    make: a value of `MODELS`: maps a seed to a model with `fit` and `predict`.
    features: float [T, N, number of features]; a row [t, n] without any finite
      feature is used neither for fitting nor for prediction.
    labels: float [T, N], NaN if unknown; see `excess`.
    refits: increasing indices of days, on each of which a new model is fitted;
      it predicts that day and all days before the next refit.
    purge: the largest number of days from a decision until its trade is closed.
      A model is not fitted on the `purge` days just before its refit, because
      their labels may not be known yet.
    seed: random seed of the models.
    stride: models are fitted on every `stride`-th day from day 0, because
      trades decided on successive days overlap.

  Returns:
    float64 [T, N], NaN before the first refit and for rows without any finite
    feature.

  Raises:
    ValueError: there is no label to fit on for some refit, `refits` is empty or
      does not increase, or scikit-learn is not installed.
  """
  if not len(refits) or (np.diff(refits) <= 0).any():
    raise ValueError(
      f'refits: found {[*map(int, refits)]}, expected at least one day, in '
      'increasing order'
    )
  is_row = np.isfinite(features).any(axis=2)
  can_learn = is_row & np.isfinite(labels)
  can_learn[np.arange(len(labels)) % stride != 0] = False
  predictions = np.full(labels.shape, np.nan)
  for start, stop in zip(refits, [*refits[1:], len(labels)], strict=True):
    learnt = max(start - purge, 0)
    rows = can_learn[:learnt]
    if not rows.any():
      raise ValueError(
        f'refits: found no labels to fit on for day {start}, expected at least '
        f'one on a day more than {purge} days earlier that is a multiple of '
        f'stride, {stride}'
      )
    model = make(seed)
    model.fit(features[:learnt][rows], labels[:learnt][rows])
    asked = is_row[start:stop]
    predictions[start:stop][asked] = model.predict(features[start:stop][asked])
  return predictions


def _require() -> None:
  """Raises a ValueError if scikit-learn is not installed."""
  try:
    import sklearn  # noqa: F401
  except ImportError as error:
    raise ValueError(
      'scikit-learn: found no package sklearn, expected it to be installed for '
      "ridge regression and gradient boosting: pip install 'eigen3[study]'"
    ) from error
