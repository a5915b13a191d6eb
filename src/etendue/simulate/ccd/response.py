"""Response of the pixels: each collects a little more or less light than its neighbours."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.random_numbers import fill_normal
from etendue.simulate.ccd.effect import EffectSpec
from etendue.simulate.ccd.streams import Streams


class ResponseSpec(EffectSpec):
    """Pixel response non-uniformity, white and by columns; the same in all bands."""

    pixel_rms: float = Field(0.006, ge=0.0, le=0.2)
    """Relative standard deviation of the pixels."""

    column_rms: float = Field(0.001, ge=0.0, le=0.2)
    """Relative standard deviation of whole columns, from the steps of the mask."""


def response_map(spec: ResponseSpec, shape: tuple[int, int], streams: Streams) -> NDArray[np.float32]:
    """Return the response of every pixel.

    Parameters
    ----------
    spec : ResponseSpec
        Sizes.
    shape : tuple of int
        ``(ny, nx)`` of the trimmed frame.
    streams : Streams
        The detector's.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        About 1, not negative.
    """
    response = np.empty(shape, np.float32)
    fill_normal(response, spec.pixel_rms, streams.words("pixel response", shape[0]))
    columns = 1.0 + spec.column_rms * streams.rng("column response").standard_normal(shape[1])
    response += columns.astype(np.float32)
    np.maximum(response, 0.0, out=response)
    return response
