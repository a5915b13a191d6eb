"""Small pictures of images."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from etendue.qa.figure import new_figure, png


def stretch(image: NDArray, *, low: float | None = None, high: float | None = None) -> NDArray[np.uint8]:
    """Map pixel values to grey levels by an asinh curve around the noise.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels; NaN becomes mid-grey.
    low, high : float, optional
        Values of black and white; by default two noise widths below the median and thirty above.

    Returns
    -------
    ndarray, uint8, shape (ny, nx)
    """
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return np.full(image.shape, 128, np.uint8)
    middle = float(np.median(finite))
    noise = max(float(np.median(np.abs(finite - middle))) * 1.4826, 1e-6 * abs(middle), 1e-12)
    black = middle - 2.0 * noise if low is None else low
    white = middle + 30.0 * noise if high is None else high
    curve = np.arcsinh(np.clip((image - black) / noise, 0.0, None) / 2.0)
    top = np.arcsinh((white - black) / noise / 2.0)
    grey = np.where(np.isfinite(image), np.clip(curve / top, 0.0, 1.0), 0.5)
    return np.asarray(np.rint(grey * 255.0), np.uint8)


def thumbnail(image: NDArray, *, size: int = 360) -> bytes:
    """Return a PNG of an image, averaged down to at most ``size`` pixels a side, north of the array up.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels.
    size : int
        Longest side of the picture [px].

    Returns
    -------
    bytes
    """
    step = max(1, -(-max(image.shape) // size))
    step_y, step_x = (min(step, length) for length in image.shape)
    ny, nx = image.shape[0] // step_y, image.shape[1] // step_x
    cells = np.asarray(image[: ny * step_y, : nx * step_x], np.float32).reshape(ny, step_y, nx, step_x)
    grey = stretch(cells.mean(axis=(1, 3)))
    buffer = io.BytesIO()
    Picture.fromarray(grey[::-1]).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def stamp_strip(stamps: list[NDArray], labels: list[str], *, columns: int = 9) -> bytes:
    """Return a PNG with stamps side by side, all on one scale.

    Parameters
    ----------
    stamps : list of ndarray, shape (k, k)
        Cutouts; at least one.
    labels : list of str
        One line above each.
    columns : int
        Stamps in a row.

    Returns
    -------
    bytes
    """
    rows = -(-len(stamps) // columns)
    figure, axes = new_figure(
        0.95 * min(columns, len(stamps)), 1.15 * rows, rows, min(columns, len(stamps)), squeeze=False
    )
    values = np.concatenate([stamp[np.isfinite(stamp)] for stamp in stamps])
    noise = 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 1.0
    for index, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if index < len(stamps):
            axis.imshow(
                stamps[index], origin="lower", cmap="gray", vmin=-3 * noise, vmax=10 * noise, interpolation="nearest"
            )
            axis.set_title(labels[index], fontsize=6, fontweight="normal", pad=2)
    return png(figure)
