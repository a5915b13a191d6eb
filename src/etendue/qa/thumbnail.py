"""Small pictures of images."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw


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


def thumbnail(image: NDArray, *, size: int = 360, linear: tuple[float, float] | None = None) -> bytes:
    """Return a PNG of an image, averaged down to at most ``size`` pixels a side, north of the array up.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels.
    size : int
        Longest side of the picture [px].
    linear : tuple of float, optional
        Values of black and white of a linear scale, instead of an asinh curve around the noise.

    Returns
    -------
    bytes
    """
    step = max(1, -(-max(image.shape) // size))
    step_y, step_x = (min(step, length) for length in image.shape)
    ny, nx = image.shape[0] // step_y, image.shape[1] // step_x
    cells = np.asarray(image[: ny * step_y, : nx * step_x], np.float32).reshape(ny, step_y, nx, step_x)
    means = cells.mean(axis=(1, 3))
    grey = stretch(means) if linear is None else _linear(means, *linear)
    buffer = io.BytesIO()
    Picture.fromarray(grey[::-1]).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _linear(image: NDArray, black: float, white: float) -> NDArray[np.uint8]:
    grey = np.where(np.isfinite(image), np.clip((image - black) / (white - black), 0.0, 1.0), 0.5)
    return np.asarray(np.rint(grey * 255.0), np.uint8)


def difference_thumbnail(image: NDArray, *, size: int = 360, sigmas: float = 6.0) -> bytes:
    """Return a PNG of a difference image: grey is zero, white and black are ``sigmas`` noise widths.

    Of every cell the pixel farthest from zero is shown, so that point sources survive.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels; NaN is shown as zero.
    size : int
        Longest side of the picture [px].
    sigmas : float
        Range of the grey scale, in robust noise widths of the full-size image.

    Returns
    -------
    bytes
    """
    finite = image[np.isfinite(image)]
    noise = 1.4826 * float(np.median(np.abs(finite))) if finite.size else 1.0
    step = max(1, -(-max(image.shape) // size))
    step_y, step_x = (min(step, length) for length in image.shape)
    ny, nx = image.shape[0] // step_y, image.shape[1] // step_x
    cells = np.nan_to_num(np.asarray(image[: ny * step_y, : nx * step_x], np.float32)).reshape(ny, step_y, nx, step_x)
    highest, lowest = cells.max(axis=(1, 3)), cells.min(axis=(1, 3))
    extreme = np.where(highest > -lowest, highest, lowest) / max(noise, 1e-30)
    # Extremes of pure noise lie near +-2 to 3 sigma: they stay dim.
    grey = np.clip(0.5 + 0.5 * np.sign(extreme) * (np.abs(extreme) / sigmas) ** 2, 0.0, 1.0)
    buffer = io.BytesIO()
    Picture.fromarray(np.asarray(np.rint(grey[::-1] * 255.0), np.uint8)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def stamp_strip(
    stamps: list[NDArray], labels: list[str], *, columns: int = 9, zoom: int = 4, noise: float | None = None
) -> bytes:
    """Return a PNG with stamps side by side, all on one linear scale from -3 to 10 noise widths.

    Parameters
    ----------
    stamps : list of ndarray, shape (k, k)
        Cutouts of one size; at least one. NaN becomes mid-grey.
    labels : list of str
        One line above each.
    columns : int
        Stamps in a row.
    zoom : int
        Screen pixels per image pixel.
    noise : float, optional
        Noise width; by default measured on the stamps.

    Returns
    -------
    bytes
    """
    values = np.concatenate([stamp[np.isfinite(stamp)] for stamp in stamps])
    if noise is None:
        noise = 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 1.0
    noise = max(noise, 1e-30)
    columns = min(columns, len(stamps))
    side, gap, head = stamps[0].shape[0] * zoom, 6, 13
    rows = -(-len(stamps) // columns)
    sheet = Picture.new("L", (columns * (side + gap) - gap, rows * (side + head + gap) - gap), 255)
    pen = ImageDraw.Draw(sheet)
    for index, (stamp, label) in enumerate(zip(stamps, labels, strict=True)):
        row, column = divmod(index, columns)
        x, y = column * (side + gap), row * (side + head + gap)
        grey = np.where(np.isfinite(stamp), np.clip((stamp / noise + 3.0) / 13.0, 0.0, 1.0), 0.5)
        tile = Picture.fromarray(np.asarray(np.rint(grey[::-1] * 255.0), np.uint8))
        sheet.paste(tile.resize((side, side), Picture.Resampling.NEAREST), (x, y + head))
        pen.text((x, y), label, fill=40)
    buffer = io.BytesIO()
    sheet.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
