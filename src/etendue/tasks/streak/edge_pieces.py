"""Candidates for short bright pieces of trails that leave the image."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

Vector = NDArray[np.float64]
_Ends = tuple[float, float, float, float]
_EIGHT = np.ones((3, 3), dtype=np.int64)


def pieces_at_edges(
    bright: NDArray[np.bool_], *, depth: int, edge: float, shortest: float, narrowest: float, slimness: float
) -> list[_Ends]:
    """Return straight slim groups of bright pixels that reach an edge.

    Parameters
    ----------
    bright : ndarray, bool, shape (ny, nx)
        Pixels that stand out of the sky and belong to no trail yet.
    depth : int
        Groups are looked for up to this distance from the edges [px].
    edge : float
        Distance from an edge at which a group reaches it [px].
    shortest : float
        Least length [px].
    narrowest : float
        Least width of a strip of the same rms across: columns of the detector are narrower [px].
    slimness : float
        Least length over that width.

    Returns
    -------
    list of tuple of float
        x0, y0, x1, y1 of each [px], the longest first; one in a corner can come twice.
    """
    found = [strip for window in _bands(bright.shape, depth) for strip in _strips(bright, window, edge, shortest)]
    slim = [(ends, _length(ends)) for ends, width in found if narrowest <= width <= _length(ends) / slimness]
    return [ends for ends, length in sorted(slim, key=lambda one: -one[1]) if length >= shortest]


def _length(ends: _Ends) -> float:
    return float(np.hypot(ends[2] - ends[0], ends[3] - ends[1]))


def _bands(shape: tuple[int, ...], depth: int) -> list[tuple[slice, slice]]:
    """Return the windows along the four edges; corners belong to two of them."""
    ny, nx = shape
    every = slice(None)
    return [(slice(0, depth), every), (slice(max(0, ny - depth), ny), every), (every, slice(0, depth)),
            (every, slice(max(0, nx - depth), nx))]  # fmt: skip


def _strips(
    bright: NDArray[np.bool_], window: tuple[slice, slice], edge: float, shortest: float
) -> Iterator[tuple[_Ends, float]]:
    """Give the ends and widths of the groups of one window that reach an edge."""
    ny, nx = bright.shape
    groups, _ = label(bright[window], _EIGHT)
    for number, box in enumerate(find_objects(groups), start=1):
        if np.hypot(box[0].stop - box[0].start, box[1].stop - box[1].start) < shortest:
            continue
        y, x = np.nonzero(groups[box] == number)
        y, x = y + (box[0].start + (window[0].start or 0)), x + (box[1].start + (window[1].start or 0))
        if min(x.min(), y.min(), nx - 1 - x.max(), ny - 1 - y.max()) <= edge:
            yield _strip(x.astype(float), y.astype(float))


def _strip(x: Vector, y: Vector) -> tuple[_Ends, float]:
    """Return the ends and the width of the strip that has the second moments of some points."""
    middle = np.array([x.mean(), y.mean()])
    away = np.stack([x, y]) - middle[:, np.newaxis]
    values, directions = np.linalg.eigh(away @ away.T / x.size)
    along = directions[:, 1] @ away
    first, last = (middle + place * directions[:, 1] for place in (along.min(), along.max()))
    return (float(first[0]), float(first[1]), float(last[0]), float(last[1])), float(
        np.sqrt(12.0 * max(values[0], 0.0))
    )
