"""The pixels of a picture that have a colour."""

import matplotlib.image
import numpy as np


def pixels(path, colour, rows=slice(None)):
  """Returns which pixels have a colour, bool [height, width]."""
  image = matplotlib.image.imread(path)[rows, :, :3]
  return np.abs(image - np.array(colour) / 255).sum(-1) < 0.02
