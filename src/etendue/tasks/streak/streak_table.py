"""The straight trails found on one exposure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Streak:
    """One trail.

    Parameters
    ----------
    x0, y0, x1, y1 : float
        Ends in parent pixels; at the edges of the image for a trail that crosses it [px].
    angle_deg : float
        Direction from the x axis towards the y axis, in [0, 180) [deg].
    fwhm : float
        Full width at half maximum across [px].
    peak : float
        Surface brightness on the axis [image units per pixel].
    flux_per_px : float
        Light of one pixel of length [image units].
    reach : float
        Half the width that is masked [px].
    snr : float
        Significance of the whole trail, robust against stars.
    whole : bool
        Whether it crosses the image from edge to edge.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    angle_deg: float
    fwhm: float
    peak: float
    flux_per_px: float
    reach: float
    snr: float
    whole: bool

    @property
    def length(self) -> float:
        """Length [px]."""
        return float(np.hypot(self.x1 - self.x0, self.y1 - self.y0))


def streak_columns(streaks: Sequence[Streak]) -> dict[str, NDArray[Any]]:
    """Return trails as columns.

    Parameters
    ----------
    streaks : sequence of Streak
        Trails.

    Returns
    -------
    dict of str to ndarray
        The fields of `Streak` and ``length``, shape (n,) each.
    """
    names = [field.name for field in fields(Streak)]
    columns = {
        name: np.array([getattr(s, name) for s in streaks], bool if name == "whole" else float) for name in names
    }
    return columns | {"length": np.array([s.length for s in streaks], float)}
