"""What is left of an image when its sources are drawn with the PSF and taken away."""

import numpy as np
from numpy.typing import NDArray

from etendue.image.exposure import Exposure
from etendue.table.table import Table

_AT_A_TIME = 500


def residual_image(exposure: Exposure, sources: Table) -> NDArray[np.float32]:
    """Return the image minus all its sources as point sources.

    Parameters
    ----------
    exposure : Exposure
        With PSF and flux scale.
    sources : Table
        Its sources; fluxes that are not finite draw nothing.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        In the unit of the image, in units of the noise of each pixel; NaN where the image is.
    """
    assert exposure.psf is not None
    assert exposure.photo_calib is not None
    x, y = np.asarray(sources["x"], float), np.asarray(sources["y"], float)
    flux = np.asarray(sources["psfFlux"], float) / exposure.photo_calib.scale_at(x=x, y=y)
    drawn = np.flatnonzero(np.isfinite(flux) & np.isfinite(x) & np.isfinite(y))
    margin = exposure.psf.size + 1
    ny, nx = exposure.bbox.shape
    model = np.zeros((ny + 2 * margin, nx + 2 * margin))
    for first in range(0, drawn.size, _AT_A_TIME):  # stamps of a whole crowded field would fill the memory
        rows = drawn[first : first + _AT_A_TIME]
        stamps = exposure.psf.draw(x=x[rows], y=y[rows])
        side = np.arange(stamps.value.shape[1])
        row = stamps.y0[:, None, None] - exposure.bbox.y.start + margin + side[None, :, None]
        column = stamps.x0[:, None, None] - exposure.bbox.x.start + margin + side[None, None, :]
        inside = (row >= 0) & (row < model.shape[0]) & (column >= 0) & (column < model.shape[1])
        place = np.where(inside, row * model.shape[1] + column, 0)
        values = np.where(inside, stamps.value * flux[rows][:, None, None], 0.0)
        model += np.bincount(place.ravel(), values.ravel(), model.size).reshape(model.shape)
    left = exposure.image.array - model[margin : margin + ny, margin : margin + nx]
    return np.asarray(left / np.sqrt(exposure.variance.array), np.float32)
