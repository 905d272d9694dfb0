"""Names for the kinds of numpy arrays that are passed around."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
States = npt.NDArray[np.float16] | npt.NDArray[np.float32]
"""What a model makes of texts, shape (texts, width); in 16 bits where memory is short."""
