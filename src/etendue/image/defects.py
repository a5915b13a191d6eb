"""Boxes of bad pixels on a detector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box


@dataclass(frozen=True, slots=True)
class Defects:
    """Rectangles of pixels that must not be used.

    Parameters
    ----------
    boxes : tuple of Box
        Trimmed detector coordinates; they may overlap.
    """

    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", tuple(self.boxes))

    @classmethod
    def from_mask(cls, bad: NDArray[np.bool_], *, y0: int = 0, x0: int = 0) -> "Defects":
        """Return boxes that cover exactly the True pixels.

        Parameters
        ----------
        bad : ndarray, bool, shape (ny, nx)
            Bad pixels.
        y0, x0 : int
            Parent coordinates of the first pixel.

        Returns
        -------
        Defects
            Vertical runs, so that a bad column is one box; equal neighbouring runs are merged.
        """
        padded = np.zeros((bad.shape[1], bad.shape[0] + 2), dtype=np.int8)
        padded[:, 1:-1] = bad.T
        step = np.diff(padded, axis=1)
        columns, starts = np.nonzero(step == 1)
        stops = np.nonzero(step == -1)[1]
        open_runs: dict[tuple[int, int], list[int]] = {}
        boxes: list[list[int]] = []
        for column, start, stop in zip(columns.tolist(), starts.tolist(), stops.tolist(), strict=True):
            run = open_runs.get((start, stop))
            if run is not None and run[3] == column + x0:
                run[3] += 1
            else:
                run = [start + y0, stop + y0, column + x0, column + x0 + 1]
                open_runs[start, stop] = run
                boxes.append(run)
        return cls(tuple(Box.from_list(run) for run in boxes))

    def mask(self, bbox: Box) -> NDArray[np.bool_]:
        """Return the bad pixels of a box.

        Parameters
        ----------
        bbox : Box
            Pixels wanted; defects outside are left out.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
        """
        bad = np.zeros(bbox.shape, dtype=bool)
        for box in self.boxes:
            bad[box.intersection(bbox).slices_in(bbox)] = True
        return bad

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {"boxes": [box.to_list() for box in self.boxes]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Defects":
        """Return the defects written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        Defects
        """
        return cls(tuple(Box.from_list(limits) for limits in state["boxes"]))
