"""Pictures of single images for people: every pixel shown, masks coloured, detections circled."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

PLANE_COLOURS: Mapping[str, tuple[int, int, int]] = {
    "SAT": (214, 69, 65),
    "CR": (46, 160, 90),
    "INTRP": (240, 190, 40),
    "BAD": (150, 90, 200),
    "VIGNETTED": (70, 110, 180),
    "CLIPPED": (230, 120, 200),
    "NO_DATA": (120, 120, 120),
}
"""Colours of mask planes; of a pixel in several planes the first one here shows."""

_MARGIN, _TINT = 100, 0.6
_CIRCLES = ((255, 150, 30), (60, 150, 255))


def linear_levels(image: NDArray, black: float, white: float) -> NDArray[np.uint8]:
    """Map pixel values to grey levels on a linear scale.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels; NaN becomes mid-grey.
    black, white : float
        Values of black and of white.

    Returns
    -------
    ndarray, uint8, shape (ny, nx)
    """
    grey = np.where(np.isfinite(image), np.clip((image - black) / (white - black), 0.0, 1.0), 0.5)
    return np.asarray(np.rint(grey * 255.0), np.uint8)


def image_panel(
    grey: NDArray[np.uint8],
    *,
    planes: Mapping[str, NDArray[np.bool_]] | None = None,
    circles: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]] = (),
    radius: float = 6.0,
    notes: Sequence[str] = (),
    zoom: int = 2,
) -> bytes:
    """Return a PNG with an image, north of the array up, and a margin for notes and the colours of masks.

    Parameters
    ----------
    grey : ndarray, uint8, shape (ny, nx)
        Grey levels, as `etendue.qa.thumbnail.stretch` and `linear_levels` make them.
    planes : mapping of str to ndarray, bool, shape (ny, nx), optional
        Masks to tint, with names of `PLANE_COLOURS`.
    circles : sequence of (x, y)
        Positions to circle [px of the array]; the first set orange, the second blue.
    radius : float
        Of the circles [px].
    notes : sequence of str
        Lines of the margin, at most 16 letters each.
    zoom : int
        Screen pixels per image pixel.

    Returns
    -------
    bytes
        PNG of at most 64 colours.
    """
    planes = planes or {}
    coloured = _tinted(grey, planes)
    picture = Picture.fromarray(coloured[::-1]).resize(
        (grey.shape[1] * zoom, grey.shape[0] * zoom), Picture.Resampling.NEAREST
    )
    pen = ImageDraw.Draw(picture)
    for (xs, ys), colour in zip(circles, _CIRCLES, strict=False):
        for x, y in zip((xs + 0.5) * zoom, (grey.shape[0] - 0.5 - ys) * zoom, strict=True):
            reach = radius * zoom
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=1)
    sheet = Picture.new("RGB", (picture.width + _MARGIN, picture.height), (255, 255, 255))
    sheet.paste(picture, (0, 0))
    present = [name for name in PLANE_COLOURS if name in planes and planes[name].any()]
    _legend(ImageDraw.Draw(sheet), picture.width + 6, notes, present)
    return compact_png(sheet)


def _tinted(grey: NDArray[np.uint8], planes: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    levels = grey // 8 * 8  # fewer greys compress better
    coloured = np.repeat(levels[:, :, None], 3, axis=2).astype(np.float64)
    for name in reversed(list(PLANE_COLOURS)):
        if name in planes:
            where = planes[name]
            coloured[where] = (1.0 - _TINT) * levels[where][:, None] + _TINT * np.array(PLANE_COLOURS[name], float)
    return np.asarray(coloured, np.uint8)


def _legend(pen: ImageDraw.ImageDraw, x: int, notes: Sequence[str], names: Sequence[str]) -> None:
    y = 4
    for line in notes:
        pen.text((x, y), line, fill=(40, 40, 40))
        y += 13
    for name in names:
        y += 4
        pen.rectangle((x, y, x + 10, y + 10), fill=PLANE_COLOURS[name])
        pen.text((x + 15, y - 1), name, fill=(40, 40, 40))
        y += 13


def compact_png(picture: Picture.Image, *, colours: int = 64) -> bytes:
    """Return a picture as a PNG of few colours; a grey one gets 32 even steps.

    Parameters
    ----------
    picture : PIL.Image.Image
        Picture.
    colours : int
        At most this many, of a coloured picture.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    if picture.mode == "L":  # evenly spaced greys: rare bright pixels stay bright
        few = picture.point([round(round(level / 255 * 31) * 255 / 31) for level in range(256)])
    else:
        few = picture.convert("RGB").quantize(colours, method=Picture.Quantize.MAXCOVERAGE, dither=Picture.Dither.NONE)
    few.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
