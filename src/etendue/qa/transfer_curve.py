"""Completeness, bias and scatter against magnitude, of sources that were added to an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Real = NDArray[np.float64]

_FEWEST = 5  # sources from which scatter is told


@dataclass(frozen=True, slots=True, eq=False)
class TransferCurve:
    """One row per bin; NaN where a bin holds too few sources.

    Parameters
    ----------
    low, high : ndarray, float64, shape (n,)
        Limits of the bins.
    n : ndarray, int64, shape (n,)
        Sources added.
    completeness, completeness_err : ndarray, float64, shape (n,)
        Share that is detected, without what would be by chance; binomial error.
    bias, bias_err, scatter : ndarray, float64, shape (n,)
        Median of measured minus true magnitude and its error; robust scatter [mag].
    pull, pull_width : ndarray, float64, shape (n,)
        Median and robust width of measured minus true flux over its error.
    extended : ndarray, float64, shape (n,)
        Share of the detected that count as extended.
    """

    low: Real
    high: Real
    n: NDArray[np.int64]
    completeness: Real
    completeness_err: Real
    bias: Real
    bias_err: Real
    scatter: Real
    pull: Real
    pull_width: Real
    extended: Real

    def rows(self) -> list[dict[str, float | int]]:
        """Return the bins as rows of a table."""
        names = self.__slots__
        return [
            {name: (int if name == "n" else float)(getattr(self, name)[k]) for name in names}
            for k in range(self.n.size)
        ]

    def crossing(self, share: float) -> float:
        """Return where the completeness falls below a share for the first time, between middles of bins; NaN if never.

        Parameters
        ----------
        share : float
            0 to 1.

        Returns
        -------
        float
        """
        middle, value = 0.5 * (self.low + self.high), self.completeness
        usable = np.flatnonzero(np.isfinite(value))
        for before, after in pairwise(usable):
            if value[before] >= share > value[after]:
                part = (value[before] - share) / (value[before] - value[after])
                return float(middle[before] + part * (middle[after] - middle[before]))
        return float("nan")


def transfer_curve(
    columns: Columns, edges: Real, *, flux: str = "psfFlux", by: str = "mag", use: NDArray[np.bool_] | None = None
) -> TransferCurve:
    """Sum up added sources in bins.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        As of `etendue.tasks.characterize.transfer.TransferResult`.
    edges : ndarray, float64, shape (n_bins + 1,)
        Limits of the bins, rising.
    flux : str
        Which measured flux is compared; its error is the column with ``Err`` behind.
    by : str
        Column that is binned: ``mag``, ``half_light_radius``, ``blendedness``...
    use : ndarray, bool, shape (n,), optional
        Sources to take, such as stars; all by default.

    Returns
    -------
    TransferCurve
    """
    used = np.ones(columns["mag"].size, bool) if use is None else use
    place = np.digitize(columns[by], edges) - 1
    bins = [_bin(columns, np.flatnonzero(used & (place == k)), flux) for k in range(len(edges) - 1)]
    values = {name: np.array([one[name] for one in bins]) for name in bins[0]}
    return TransferCurve(low=np.asarray(edges[:-1], float), high=np.asarray(edges[1:], float), **values)


def _bin(columns: Columns, rows: NDArray[np.int64], flux: str) -> dict[str, float | int]:
    """Return the figures of one bin."""
    nan = float("nan")
    found = dict.fromkeys(
        ("completeness", "completeness_err", "bias", "bias_err", "scatter", "pull", "pull_width", "extended"), nan
    )
    detected, chance = columns["detected"][rows], columns["by_chance"][rows]
    clear = rows[~chance]  # beside a source that was there already nothing tells which of the two was found
    if clear.size:
        share = float(columns["detected"][clear].mean())
        found |= {"completeness": share, "completeness_err": float(np.sqrt(share * (1 - share) / clear.size))}
    seen = rows[detected & ~chance]
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = -2.5 * np.log10(columns[flux][seen] / columns["flux"][seen])
        pull = (columns[flux][seen] - columns["flux"][seen]) / columns[f"{flux}Err"][seen]
    magnitude, pull = magnitude[np.isfinite(magnitude)], pull[np.isfinite(pull)]
    if magnitude.size >= _FEWEST:
        scatter = _width(magnitude)
        error = 1.253 * scatter / np.sqrt(magnitude.size)
        found |= {"bias": float(np.median(magnitude)), "bias_err": float(error), "scatter": scatter}
    if pull.size >= _FEWEST:
        found |= {"pull": float(np.median(pull)), "pull_width": _width(pull)}
    if "extendedness" in columns and seen.size >= _FEWEST:
        found["extended"] = float(np.nanmean(columns["extendedness"][seen]))
    return {"n": int(rows.size), **found}


def _width(values: Real) -> float:
    """Return the robust width: that of a Gaussian with the same quartiles."""
    low, high = np.percentile(values, [25.0, 75.0])
    return float(high - low) / 1.349
