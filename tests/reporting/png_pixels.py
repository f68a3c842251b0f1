"""Where a picture has a colour."""

import matplotlib.image
import numpy as np


def pixels(path, colour, rows=slice(None)):
  """bool [height, width], where some rows of a picture have a colour."""
  image = matplotlib.image.imread(path)[rows, :, :3]
  return np.abs(image - np.array(colour) / 255).sum(-1) < 0.02
