"""One line of the table of recovered against true."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class TruthRow:
    """One line of the truth table.

    Parameters
    ----------
    what : str
        Quantity.
    recovered, true : str
        Both values, as shown.
    ok : bool
        Whether they agree within the stated limit.
    numbers : dict of str to float
        The numbers behind, for JSON.
    """

    what: str
    recovered: str
    true: str
    ok: bool
    numbers: dict[str, float]


def pull_row(what: str, error: Vector, sigma: Vector, unit: str, limit: float) -> TruthRow:
    """Return a row about errors: their median, robust scatter, and the width of their pulls.

    Parameters
    ----------
    what : str
        Quantity.
    error, sigma : ndarray, shape (n,)
        Recovered minus true, and the error that the pipeline states.
    unit : str
        Of both.
    limit : float
        Largest bias that is right.

    Returns
    -------
    TruthRow
    """
    if error.size == 0:
        return TruthRow(what, "none found", "0", False, {"n": 0})
    bias, scatter, pull = float(np.median(error)), robust_width(error), robust_width(error / sigma)
    shown = f"bias {bias:+.1f}, scatter {scatter:.1f} {unit}, pull width {pull:.2f} (n={error.size})"
    numbers = {"bias": bias, "scatter": scatter, "pull": pull, "n": float(error.size)}
    return TruthRow(what, shown, "0", abs(bias) < limit, numbers)


def share_row(what: str, hit: NDArray[np.bool_], least: float, remark: str = "") -> TruthRow:
    """Return a row about how many of some things are right.

    Parameters
    ----------
    what : str
        The things.
    hit : ndarray of bool, shape (n,)
        Whether each is right.
    least : float
        Share from which on the row is right; a row about nothing is not.
    remark : str
        Shown behind the share.

    Returns
    -------
    TruthRow
    """
    share = float(hit.mean()) if hit.size else float("nan")
    shown = f"{100.0 * share:.1f}%, {int(hit.sum())}{remark}" if hit.size else "none in the survey"
    return TruthRow(what, shown, f"{hit.size}", share >= least, {"fraction": share, "n": float(hit.size)})


def robust_width(values: Vector) -> float:
    """Return the standard deviation of a normal distribution of equal quartiles.

    Parameters
    ----------
    values : ndarray, shape (n,)
        NaN makes NaN; none makes NaN.

    Returns
    -------
    float
    """
    if values.size == 0:
        return float("nan")
    low, high = np.percentile(values, [25.0, 75.0])
    return float(high - low) / 1.349


def all_ok(rows: Iterable[TruthRow]) -> bool:
    """Return whether every row agrees."""
    return all(row.ok for row in rows)


def to_json(rows: Iterable[TruthRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON-able dicts."""
    return [{"what": r.what, "recovered": r.recovered, "true": r.true, "ok": r.ok, **r.numbers} for r in rows]
