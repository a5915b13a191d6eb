"""Score catalogs of the survey frame against its truth: completeness, false detections, positions, fluxes, pulls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from survey_frame import Columns

MATCH_PX = 2.5
ISOLATION_PX, ISOLATION_RATIO = 14.0, 0.1  # no neighbour this near with this share of the flux
FALSE_PER_MEGAPIXEL = 10.0  # at which completeness is compared
SNR_BINS = ((3.5, 5.0), (5.0, 7.0), (7.0, 10.0), (10.0, 30.0))
SCATTER_BINS = ((10.0, 30.0), (30.0, 100.0), (100.0, 300.0))
Index = NDArray[np.int64]


def match(truth: Columns, x: NDArray[np.float64], y: NDArray[np.float64]) -> Index:
    """Return the detection of every source, -1 for none: one to one, nearest first, bright sources first."""
    usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    tree = cKDTree(np.stack([x[usable], y[usable]], -1))
    distance, candidate = tree.query(np.stack([truth["x"], truth["y"]], -1), k=3, distance_upper_bound=MATCH_PX)
    found, taken = np.full(truth["x"].size, -1), np.zeros(x.size, bool)
    for source in np.argsort(-truth["flux"], kind="stable"):
        for k in range(3):
            if np.isfinite(distance[source, k]) and not taken[usable[candidate[source, k]]]:
                found[source] = usable[candidate[source, k]]
                taken[found[source]] = True
                break
    return found


def isolated(truth: Columns) -> NDArray[np.bool_]:
    """Tell which sources have no neighbour that matters."""
    pairs = cKDTree(np.stack([truth["x"], truth["y"]], -1)).query_pairs(ISOLATION_PX, output_type="ndarray")
    alone = np.ones(truth["x"].size, bool)
    for one, other in (pairs.T, pairs.T[::-1]):
        alone[one[truth["flux"][other] > ISOLATION_RATIO * truth["flux"][one]]] = False
    return alone


def detection(truth: Columns, found: dict[str, Any], area_px: float) -> dict[str, Any]:
    """Count the detections of no source, and of isolated stars per bin of true S/N, chance matches subtracted."""
    x, y = found["x"], found["y"]
    index = match(truth, x, y)
    claimed = np.zeros(x.size, bool)
    claimed[index[index >= 0]] = True
    near = cKDTree(np.stack([truth["x"], truth["y"]], -1)).query(np.nan_to_num(np.stack([x, y], -1), nan=-99.0))[0]
    blank = ~claimed & (near > MATCH_PX)
    unclaimed = blank.sum() / max(1.0 - truth["x"].size * np.pi * MATCH_PX**2 / area_px, 0.5)
    chance = unclaimed * np.pi * MATCH_PX**2 / area_px
    chosen = isolated(truth) & (truth["is_star"] > 0.0)
    rates = {}
    for low, high in SNR_BINS:
        inside = chosen & (truth["snr"] >= low) & (truth["snr"] < high)
        seen = np.mean(index[inside] >= 0) if inside.any() else np.nan
        rates[f"{low:g}-{high:g}"] = float((seen - chance) / (1.0 - chance))
    return {
        "n": int(x.size),
        "false_per_megapixel": float(1e6 * unclaimed / area_px),
        "duplicates_per_megapixel": float(1e6 * (~claimed & ~blank).sum() / area_px),
        "completeness_of_isolated_stars": rates,
        "completeness_of_all_above_snr_10": float(np.mean(index[truth["snr"] >= 10.0] >= 0)),
    }


def at_equal_false_rate(scan: list[dict[str, Any]], rate: float = FALSE_PER_MEGAPIXEL) -> dict[str, float | None]:
    """Interpolate completeness between thresholds at one rate of false and double detections; None beyond the scan."""
    false = np.array([max(s["false_per_megapixel"] + s["duplicates_per_megapixel"], 1e-3) for s in scan])
    order = np.argsort(false)
    if not false.min() <= rate <= false.max():
        return dict.fromkeys(scan[0]["completeness_of_isolated_stars"])
    return {
        name: float(np.interp(np.log(rate), np.log(false[order]),
                              np.array([s["completeness_of_isolated_stars"][name] for s in scan])[order]))
        for name in scan[0]["completeness_of_isolated_stars"]
    }  # fmt: skip


def scatter(truth: Columns, found: dict[str, Any]) -> dict[str, Any]:
    """Return scatter and pulls of positions and fluxes of isolated stars per bin of true S/N that has any.

    Fluxes are divided by the median ratio to the truth of stars of S/N above 30, for apertures leave light out.
    """
    index = match(truth, found["x"], found["y"])
    chosen = np.flatnonzero(isolated(truth) & (truth["is_star"] > 0.0) & (index >= 0))
    rows = index[chosen]
    snr, result = truth["snr"][chosen], {}
    offset = np.stack([found[axis][rows] - truth[axis][chosen] for axis in ("x", "y")])
    for low, high in SCATTER_BINS:
        inside = (snr >= low) & (snr < high)
        if not inside.any():
            continue
        entry: dict[str, Any] = {"n": int(inside.sum()), "position_mpx": 1e3 * _width(offset[:, inside].ravel())}
        if "x_err" in found:
            errors = np.stack([found["x_err"][rows], found["y_err"][rows]])
            entry["position_pull_width"] = _width((offset / errors)[:, inside].ravel())
        for name, flux, error in _fluxes(found):
            ratio = flux[rows] / truth["flux"][chosen]
            scale = np.nanmedian(ratio[snr > 30.0])
            entry[f"{name}_scatter_percent"] = 100.0 * _width(ratio[inside] / scale)
            entry[f"{name}_bias_percent"] = 100.0 * float(np.nanmedian(ratio[inside] / scale) - 1.0)
            pull = (flux[rows] / scale - truth["flux"][chosen]) / (error[rows] / scale)
            entry[f"{name}_pull_width"] = _width(pull[inside])
        result[f"{low:g}-{high:g}"] = entry
    return result


def _fluxes(found: dict[str, Any]) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    fluxes = [("aperture_3px", found["aper"][:, 0], found["aper_err"][:, 0])]
    return fluxes + ([("psf", found["flux"], found["flux_err"])] if "flux" in found else [])


def _width(values: NDArray[np.float64]) -> float:
    """Return 0.741 of the interquartile range of the finite values."""
    low, high = np.nanpercentile(np.where(np.isfinite(values), values, np.nan), [25.0, 75.0])
    return float(0.7413 * (high - low))
