"""Frames of a stack that do not look like the others."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from etendue.camera.raw import RawFrame
from etendue.tasks.calib.selection import Refusal

T = TypeVar("T")
CELL = 64
"""Side of the cells in which frames are compared [px]."""
_FEWEST = 4  # of three frames nobody knows which one is odd
_TIMES = 5.0


class OddFrames(NamedTuple):
    """Which frames of a stack are odd."""

    odd: tuple[bool, ...]
    """One entry per frame."""

    refused: tuple[Refusal, ...]
    """The odd ones and why."""

    def others(self, items: Sequence[T]) -> list[T]:
        """Return the items that belong to frames that are not odd.

        Parameters
        ----------
        items : sequence
            One item per frame.

        Returns
        -------
        list
        """
        return [item for item, odd in zip(items, self.odd, strict=True) if not odd]


def odd_frames(
    frames: Sequence[NDArray[np.float32]], raws: Sequence[RawFrame], *, tolerance: float, unit: str
) -> OddFrames:
    """Tell which frames depart from the median of all on scales of 64 pixels.

    The departure of a frame is the rms of its cell medians about the median frame's. A frame is odd if its departure
    exceeds five times the median departure, and ``tolerance``: clouds, stray light, a lamp that was off, a bias that
    jumped, a closed dome.

    Parameters
    ----------
    frames : sequence of ndarray, float32, shape (ny, nx)
        Frames that should be equal but for noise.
    raws : sequence of RawFrame
        What they were made of.
    tolerance : float
        Departure that never matters [unit of the frames].
    unit : str
        Unit, for the reason, with its space.

    Returns
    -------
    OddFrames
        None is odd of fewer than four.
    """
    if len(frames) < _FEWEST:
        return OddFrames((False,) * len(frames), ())
    cells = np.stack([cell_medians(frame) for frame in frames])
    departure = np.sqrt(np.nanmean((cells - np.nanmedian(cells, axis=0)) ** 2, axis=(1, 2)))
    usual = float(np.median(departure))
    odd = tuple((~(departure <= max(_TIMES * usual, tolerance))).tolist())
    refused = tuple(
        Refusal(raw.info.file_name, f"departs from the others by {away:.3g}{unit}, they from each other by {usual:.3g}")
        for raw, away, is_odd in zip(raws, departure, odd, strict=True)
        if is_odd
    )
    return OddFrames(odd, refused)


def cell_medians(frame: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return medians of cells of 64 pixels a side.

    Parameters
    ----------
    frame : ndarray, float32, shape (ny, nx)
        Frame; NaN pixels are left out.

    Returns
    -------
    ndarray, float64, shape (max(ny // 64, 1), max(nx // 64, 1))
        NaN for a cell without a value. Pixels behind the last whole cell are left out.
    """
    ny, nx = (max(size // CELL, 1) for size in frame.shape)
    height, width = (min(size, CELL) for size in frame.shape)
    blocks = frame[: ny * height, : nx * width].reshape(ny, height, nx, width)
    with np.errstate(all="ignore"):
        found = np.asarray(np.isfinite(blocks).any(axis=(1, 3)))
        filled = np.where(found[:, None, :, None], blocks, 0.0)
        return np.where(found, np.nanmedian(filled, axis=(1, 3)), np.nan)
