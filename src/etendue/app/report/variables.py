"""What varied, and what appeared: light curves."""

from typing import Any

import numpy as np

from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.qa.light_curve_plot import LightCurve, light_curves_plot
from etendue.qa.variability import usable_rows, variability
from etendue.table.table import Table

_SHOWN = 9
_FLOOR = 0.005
_BAD_FLAGS = ("isDipole", "centroid_flag", "pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_interpolatedCenter")
_MIN_DETECTIONS = 2
_MIN_VISITS = 8  # below, a trend with the seeing takes too much of the freedom


def gather(reader: Reader) -> dict[str, Any]:
    """Return the most variable objects and the most significant transients."""
    forced, dia_objects = reader.table("forced_source"), reader.table("dia_object")
    dia_sources = reader.table("dia_source")
    return {
        "objects": [] if forced is None else _variables(forced, _seeing(reader, forced)),
        "n_dia_sources": 0 if dia_sources is None else len(dia_sources),
        "n_dia_objects": 0 if dia_objects is None else len(dia_objects),
        "dia_objects": [] if dia_objects is None or dia_sources is None else _transients(dia_objects, dia_sources),
    }


def _seeing(reader: Reader, forced: Table) -> np.ndarray | None:
    """Return the seeing of each row's image [arcsec]."""
    summary = reader.table("visit_summary")
    if summary is None or len({*summary["visit"].tolist()}) < _MIN_VISITS:
        return None
    keys = zip(summary["visit"].tolist(), summary["detector"].tolist(), strict=True)
    seeing = dict(zip(keys, summary["seeing"].tolist(), strict=True))
    rows = zip(forced["visit"].tolist(), forced["detector"].tolist(), strict=True)
    return np.array([seeing.get(key, np.nan) for key in rows], float)


def _variables(forced: Table, seeing: np.ndarray | None) -> list[dict[str, Any]]:
    found = variability(forced, covariate=seeing, floor=_FLOOR)
    rows = []
    for k in found.most_variable(_SHOWN):
        first = int(np.flatnonzero(forced["objectId"] == found.object_id[k])[0])
        rows.append({
            "objectId": str(found.object_id[k]),
            "ra_deg": forced["coord_ra"][first],
            "dec_deg": forced["coord_dec"][first],
            "measurements": found.count[k],
            "mag": 31.4 - 2.5 * np.log10(found.flux[k]) if found.flux[k] > 0 else None,
            "snr": found.snr[k],
            "chi2_per_dof": found.chi2_per_dof[k],
            "trimmed_chi2_per_dof": found.trimmed_chi2_per_dof[k],
        })  # fmt: skip
    return rows


def _transients(objects: Table, sources: Table) -> list[dict[str, Any]]:
    ids = np.asarray(objects["diaObjectId"])
    clean = sources.take(np.flatnonzero(_clean(sources) & np.isin(sources["diaObjectId"], ids)))
    order = np.argsort(ids, kind="stable")
    owner = order[np.searchsorted(ids[order], clean["diaObjectId"])]
    snr = np.abs(np.asarray(clean["snr"], float))
    number, total = np.bincount(owner, minlength=ids.size), np.sqrt(np.bincount(owner, snr**2, ids.size))
    best = np.zeros(ids.size)
    np.maximum.at(best, owner, snr)
    chosen = [k for k in np.argsort(-total, kind="stable") if number[k] >= _MIN_DETECTIONS][:_SHOWN]
    return [{
        "diaObjectId": str(ids[k]),
        "ra_deg": objects["ra"][k],
        "dec_deg": objects["dec"][k],
        "detections": number[k],
        "max_snr": best[k],
        "total_snr": total[k],
        "objectId": str(objects["objectId"][k]) if objects["objectId"][k] else None,
        "host_distance_arcsec": objects["objectDistance"][k] if objects["objectId"][k] else None,
    } for k in chosen]  # fmt: skip


def _clean(sources: Table) -> np.ndarray:
    """Return which detections look like a point source on good pixels."""
    bad = np.zeros(len(sources), bool)
    for flag in _BAD_FLAGS:
        bad |= np.asarray(sources[flag], bool)
    return ~bad


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section of `gather`'s numbers, with light curves."""
    missing = [absent(name, made_by) for name, made_by in (("forced_source", "drp"), ("dia_object", "ap"))
               if not reader.refs(name)]  # fmt: skip
    place = (Column("ra_deg", "RA [deg]", ".5f"), Column("dec_deg", "Dec [deg]", ".5f"))
    variables = Grid("Most variable objects (forced photometry)", (
        Column("objectId", "objectId"), *place, Column("measurements", "measurements"), Column("mag", "mag", ".2f"),
        Column("snr", "S/N", ".0f"), Column("chi2_per_dof", "χ²/dof", ".1f"),
        Column("trimmed_chi2_per_dof", "without the worst", ".1f"),
    ), numbers["objects"], note="χ² about a constant flux per band plus a trend with the seeing, which blends follow, "
        f"with {_FLOOR:.1%} for calibration errors; ranked by the value without the most deviant measurement. "
        "Only objects of S/N > 10 with at most a quarter of flagged measurements are listed, from 3 on.",
    )  # fmt: skip
    transients = Grid("Most significant difference-image objects", (
        Column("diaObjectId", "diaObjectId"), *place, Column("detections", "detections"),
        Column("max_snr", "largest S/N", ".1f"), Column("total_snr", "S/N of all", ".1f"),
        Column("objectId", "coadd object"), Column("host_distance_arcsec", "distance [″]", ".2f"),
    ), numbers["dia_objects"], note="Only detections that are no dipole and touch no saturated or edge pixel count.",
    )  # fmt: skip
    grids = [grid for grid in (variables, transients) if grid.rows]
    lead = f"{numbers['n_dia_sources']} detections on difference images form {numbers['n_dia_objects']} objects."
    return Section("variables", "Variables and transients", lead, (), grids, _pictures(numbers, reader), missing)


def _pictures(numbers: dict[str, Any], reader: Reader) -> list[Picture]:
    forced, dia = reader.table("forced_source"), reader.table("dia_source")
    pictures = []
    if numbers["objects"] and forced is not None:
        clean = forced.take(np.flatnonzero(usable_rows(forced)))
        curves = [_curve(clean, "objectId", row["objectId"]) for row in numbers["objects"]]
        pictures.append(Picture(
            "Light curves of the most variable objects", [(light_curves_plot(curves), "")],
            right="Smooth curves far larger than the error bars, the same in all bands.",
            wrong="many objects that jump in the same visits (zero point), or jumps only at poor seeing (blends).",
        ))  # fmt: skip
    if numbers["dia_objects"] and dia is not None:
        curves = [_curve(dia, "diaObjectId", row["diaObjectId"]) for row in numbers["dia_objects"]]
        pictures.append(Picture(
            "Difference fluxes of the difference-image objects", [(light_curves_plot(curves), "")],
            right="A transient rises and fades; a variable crosses zero; every point is a detection.",
            wrong="points of both signs at random beside a bright star (a residual of the subtraction).",
        ))  # fmt: skip
    return pictures


def _curve(rows: Table, key: str, value: str) -> LightCurve:
    mine = rows.take(np.flatnonzero(rows[key] == int(value)))
    mjd, flux, err = (np.asarray(mine[name], float) for name in ("midpointMjdTai", "psfFlux", "psfFluxErr"))
    return LightCurve(value, mjd, flux, err, np.asarray(mine["band"], str))
