"""Light curves of all stars of a series: scatter, variables, transits."""

from typing import Any

import numpy as np

from etendue.app.light_curves import StarCurve, curve_of, fit_transit, transit_summary
from etendue.app.report.light_curve_pictures import pictures
from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section
from etendue.errors import AlgorithmError
from etendue.table.table import Table
from etendue.tasks.lightcurve.transit import TransitFit

_BEST = 20
_SHOWN = 9
_FITTED = 4
_MMAG = 1e3
_MIN_LOG_ODDS = 10.0
_COMPLETE = 0.9


def gather(reader: Reader) -> dict[str, Any]:
    """Return how well the stars repeat, what all have in common, and which vary."""
    stars, curves = reader.table("light_curve_star"), reader.table("light_curve")
    if stars is None or curves is None:
        empty: tuple[str, ...] = ("best", "variables", "comparisons", "effects", "transits")
        return {"n_stars": 0} | {name: [] for name in empty}
    complete = np.asarray(stars["nUsable"] >= _COMPLETE * stars["nImage"])
    rms, detrended = (np.sort(_MMAG * np.asarray(stars[name], float)[complete]) for name in ("rms", "rmsDetrended"))
    variable = variables_of(stars)
    return {
        "n_stars": len(stars),
        "n_complete": int(complete.sum()),
        "n_below_20_mmag": int((rms < 20.0).sum()),
        "best20_raw_mmag": float(np.median(rms[:_BEST])) if rms.size else None,
        "best20_detrended_mmag": float(np.median(detrended[:_BEST])) if detrended.size else None,
        "best_raw_mmag": float(rms[0]) if rms.size else None,
        "best_detrended_mmag": float(detrended[0]) if detrended.size else None,
        "best": [_row(stars, k) for k in _best(stars, complete)],
        "variables": [_row(stars, k) for k in variable],
        "n_comparison": int(np.count_nonzero(stars["isComparison"])),
        "comparisons": [_row(stars, k) for k in _comparisons(stars)],
        "effects": _effects(reader.table("series_effect")),
        "transits": [
            transit_summary(curve, fit)
            for curve in _curves(curves, stars, variable[:_FITTED])
            if (fit := transit_of(curve))
        ],
    }


def variables_of(stars: Table) -> list[int]:
    """Return the rows of the claimed variables, the most significant first."""
    rows = np.flatnonzero(stars["isVariable"])
    return [int(k) for k in rows[np.argsort(-np.asarray(stars["significance"], float)[rows], kind="stable")]]


def _best(stars: Table, complete: np.ndarray) -> list[int]:
    order = np.argsort(np.where(complete, np.nan_to_num(stars["rmsDetrended"], nan=np.inf), np.inf), kind="stable")
    return [int(k) for k in order[:_BEST] if complete[k]]


def _row(stars: Table, k: int) -> dict[str, Any]:
    values = {name: stars[name][k].item() for name in stars.names}
    for name in ("rms", "rmsDetrended", "rmsExpected"):
        values[f"{name}_mmag"] = _MMAG * values.pop(name)
    period = values.pop("period")
    return values | {
        "isolated_star_id": str(values["isolated_star_id"]), "period_h": 24.0 * period,
        "flags": ", ".join(n.removeprefix("flag_") for n in stars.names if n.startswith("flag_") and values[n]),
    }  # fmt: skip


def _effects(effects: Table | None) -> list[dict[str, Any]]:
    if effects is None:
        return []
    rows = [{name: effects[name][k].item() for name in effects.names} for k in range(len(effects))]
    return [row | {"amplitude_mmag": _MMAG * row["amplitude"], "gain_percent": 100.0 * row["gain"]} for row in rows]


def transit_of(curve: StarCurve) -> TransitFit | None:
    """Return the transit of a variable if there is one worth showing."""
    try:
        fit = fit_transit(curve)
    except AlgorithmError:
        return None
    return fit if fit.log_odds > _MIN_LOG_ODDS else None


def _curves(curves: Table, stars: Table, rows: list[int]) -> list[StarCurve]:
    return [curve_of(curves, stars, k) for k in rows]


def _comparisons(stars: Table) -> list[int]:
    """Return the rows of the comparison stars that count most."""
    order = np.argsort(-np.nan_to_num(stars["comparisonWeight"]), kind="stable")
    return [int(k) for k in order[:_BEST] if stars["isComparison"][k]]


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section of `gather`'s numbers, with pictures."""
    name, title = "lightcurves", "Light curves"
    if not numbers["n_stars"]:
        return Section(name, title, missing=["No light curves in this repository: the pipeline “series” makes them, or "
                                             "“lightcurve” after “drp”."])  # fmt: skip
    lead = (
        f"{numbers['n_stars']} stars, {numbers['n_complete']} of them usable on more than 90% of the images and "
        f"{numbers['n_below_20_mmag']} of these below 20 mmag. Magnitudes are against the ensemble of all other stars; "
        "times are mid-exposures in UTC and, at the barycentre, in BJD (TDB). "
        "etendue lightcurve -b REPO --ra RA --dec DEC shows, draws and exports one."
    )
    facts = [
        (label, f"{numbers[key]:.1f} mmag")
        for label, key in (("best 20, raw", "best20_raw_mmag"), ("best 20, detrended", "best20_detrended_mmag"),
                           ("best star, raw", "best_raw_mmag"), ("best star, detrended", "best_detrended_mmag"))
        if numbers[key] is not None
    ]  # fmt: skip
    return Section(name, title, lead, facts, [grid for grid in _grids(numbers) if grid.rows], _drawn(reader))


def _grids(numbers: dict[str, Any]) -> list[Grid]:
    place = (Column("ra", "RA [deg]", ".5f"), Column("dec", "Dec [deg]", ".5f"), Column("mag", "mag", ".2f"))
    scatter = (Column("rms_mmag", "raw [mmag]", ".1f"), Column("rmsDetrended_mmag", "detrended", ".1f"),
               Column("rmsExpected_mmag", "usual", ".1f"))  # fmt: skip
    return [
        Grid("Stars that vary", (
            *place, *scatter, Column("significance", "σ above like stars", ".1f"),
            Column("confirmedFraction", "images that confirm", ".0%"), Column("stetsonJ", "Stetson J", ".2f"),
            Column("vonNeumann", "von Neumann η", ".2f"), Column("dipSnr", "best dip [σ]", ".1f"),
            Column("period_h", "period [h]", ".2f"),
            Column("periodFalseAlarm", "its false alarm", ".1e"), Column("flags", "flags"),
        ), numbers["variables"], note="Claimed only if the odd and the even images each predict the other and at "
        "least half of all images are nearer to the predicted curve than to a straight line: trends are not claimed. "
        "Periods beyond half of the "
        "series are no more than time scales."),
        Grid("Transits of these", (
            Column("star", "star"), Column("mid_mjd_utc", "middle, MJD (UTC)", ".5f"),
            Column("mid_bjd_tdb", "BJD (TDB)", ".5f"), Column("mid_err_h", "± [h]", ".3f"),
            Column("depth_mmag", "depth [mmag]", ".1f"), Column("depth_err_mmag", "±", ".1f"),
            Column("snr", "σ", ".1f"), Column("duration_h", "duration [h]", ".2f"),
            Column("duration_err_h", "±", ".2f"), Column("baseline_model", "baseline"),
            Column("baseline_probability", "its probability", ".0%"),
            Column("red_noise_mmag", "red noise [mmag]", ".1f"),
        ), numbers["transits"], note="A trapezoid and its baseline fitted together to the raw curve. "
        "The errors are averaged over all baselines and over white and red noise; the baseline named is the most "
        "probable one. One event: a half-cycle of another variable also fits."),
        Grid("Stars of least scatter", (*place, *scatter, Column("apertureRadius", "aperture [px]", ".1f")),
             numbers["best"]),
        Grid("Comparison stars that count most", (
            *place, *scatter, Column("comparisonWeight", "share of a zero point", ".2%"),
            Column("nUsable", "usable images"), Column("apertureRadius", "aperture [px]", ".1f"),
        ), numbers["comparisons"], note=f"{numbers['n_comparison']} stars compare; each is weighted by its own "
        "scatter, no star has a vote about itself, and no one should have more than a few percent."),
        Grid("What all stars have in common", (
            Column("band", "band"), Column("apertureRadius", "aperture [px]", ".1f"), Column("nStar", "stars"),
            Column("effect", "effect"), Column("nTerm", "terms"), Column("amplitude_mmag", "rms [mmag]", ".2f"),
            Column("gain_percent", "gain on stars held out [%]", ".2f"), Column("accepted", "taken off"),
        ), numbers["effects"], note="Flux residuals against position on the detector (response, flat field), against "
        "the sub-pixel position of the star, and against brightness times seeing, airmass and sky."),
    ]  # fmt: skip


def _drawn(reader: Reader) -> list[Picture]:
    stars, curves = reader.table("light_curve_star"), reader.table("light_curve")
    assert stars is not None
    assert curves is not None
    shown = _curves(curves, stars, variables_of(stars)[:_SHOWN])
    fits = [(curve, fit) for curve in shown[:_FITTED] if (fit := transit_of(curve))]
    return pictures(reader, stars, shown, fits)
