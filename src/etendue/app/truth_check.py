"""Compare what the pipelines found in a simulated survey with what is true of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.geom.sphere import separation_deg, tangent_plane, unit_vector
from etendue.simulate.truth import Truth
from etendue.table.table import Table

_ARCSEC = np.radians(1.0 / 3600.0)
_MMAG = 2.5 / np.log(10.0) * 1e3


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


@dataclass(frozen=True)
class Catalogs:
    """The catalogs that are compared.

    Parameters
    ----------
    sources, dia_sources, dia_objects, forced_sources, objects, tracklets, tracklet_sources : Table
        All rows of the tables of these names.
    """

    sources: Table
    dia_sources: Table
    dia_objects: Table
    forced_sources: Table
    objects: Table
    tracklets: Table
    tracklet_sources: Table


def compare(truth: Truth, found: Catalogs) -> list[TruthRow]:
    """Return the truth table: stars, then transient, variable and movers.

    Parameters
    ----------
    truth : Truth
        Of the simulated survey.
    found : Catalogs
        What the pipelines made of it.

    Returns
    -------
    list of TruthRow
    """
    stars = _match_stars(truth, found.sources)
    rows = [*_star_rows(stars), _completeness_row(stars)]
    curves = truth["light_curves"]
    for kind, check in (("transient", _transient_row), ("variable", _variable_row)):
        for object_id in np.unique(curves["object_id"][curves["type"] == kind]):
            rows.append(check(truth, found, int(object_id)))
    ephemeris = truth["mover_ephemeris"]
    rows += [_mover_row(truth, found, int(number)) for number in np.unique(ephemeris["object_id"])]
    return rows


@dataclass(frozen=True)
class _Stars:
    """Isolated true stars and what was measured of them; NaN where nothing was found."""

    snr: NDArray[np.float64]
    east: NDArray[np.float64]
    north: NDArray[np.float64]
    position_err: NDArray[np.float64]
    relative_flux: NDArray[np.float64]
    relative_err: NDArray[np.float64]
    relative_psf_flux: NDArray[np.float64]
    relative_psf_err: NDArray[np.float64]


def _match_stars(truth: Truth, sources: Table) -> _Stars:
    true = truth["sources"]
    kinds = truth["objects"]
    is_star = np.isin(true["object_id"], kinds["object_id"][kinds["type"] == "star"])
    columns = []
    for visit, detector in sorted({*zip(true["visit"].tolist(), true["detector"].tolist(), strict=True)}):
        inside = (true["visit"] == visit) & (true["detector"] == detector)
        measured = sources.take(np.flatnonzero((sources["visit"] == visit) & (sources["detector"] == detector)))
        if len(measured):
            columns.append(_match_exposure({k: v[inside] for k, v in true.items()}, is_star[inside], measured))
    return _Stars(*np.concatenate(columns, axis=1)) if columns else _Stars(*np.zeros((8, 0)))


def _match_exposure(true: dict[str, NDArray], is_star: NDArray[np.bool_], measured: Table) -> NDArray[np.float64]:
    """Return the columns of `_Stars` for the isolated, unsaturated stars on one exposure."""
    vectors = unit_vector(true["ra"], true["dec"])
    gap = cKDTree(vectors).query(vectors, k=2)[0][:, 1] if is_star.size > 1 else np.full(is_star.size, np.inf)
    chosen = np.flatnonzero(is_star & (gap > 6.0 * _ARCSEC))
    distance, index = cKDTree(unit_vector(measured["ra"], measured["dec"])).query(vectors[chosen])
    rows = measured.take(index)
    far = distance > 1.5 * _ARCSEC
    east, north = tangent_plane(rows["ra"], rows["dec"], true["ra"][chosen], true["dec"][chosen])
    flux = true["flux_njy"][chosen]
    flagged = np.zeros(len(rows), bool)
    for flag in (
        "pixelFlags_saturated",
        "pixelFlags_edge",
        "pixelFlags_bad",
        "pixelFlags_interpolated",
        "pixelFlags_cr",
    ):
        flagged |= np.asarray(rows[flag])
    values = [
        east * 3.6e6, north * 3.6e6, np.asarray(rows["raErr"], float) * 3.6e6,
        np.asarray(rows["calibFlux"]) / flux - 1.0, np.asarray(rows["calibFluxErr"]) / flux,
        np.asarray(rows["psfFlux"]) / flux - 1.0, np.asarray(rows["psfFluxErr"]) / flux,
    ]  # fmt: skip
    noise = float(np.nanmedian(measured["psfFluxErr"][np.asarray(measured["snr"]) < 30.0]))
    kept = ~(flagged & ~far)
    return np.stack([flux / noise, *(np.where(far, np.nan, value) for value in values)])[:, kept]


def _star_rows(stars: _Stars) -> list[TruthRow]:
    bright = (stars.snr > 30.0) & np.isfinite(stars.east)
    east, north = stars.east[bright], stars.north[bright]
    rows = [
        _pull_row("star positions, S/N > 30", np.concatenate([east, north]),
                  np.tile(stars.position_err[bright], 2), "mas", 10.0),
        _pull_row("star fluxes (aperture), S/N > 30", stars.relative_flux[bright] * _MMAG,
                  stars.relative_err[bright] * _MMAG, "mmag", 5.0),
    ]  # fmt: skip
    faint = (stars.snr > 10.0) & np.isfinite(stars.east)
    rows.append(
        _pull_row("star fluxes (PSF), S/N > 10", stars.relative_psf_flux[faint] * _MMAG,
                  stars.relative_psf_err[faint] * _MMAG, "mmag", 10.0)
    )  # fmt: skip
    return rows


def _pull_row(what: str, error: NDArray[np.float64], sigma: NDArray[np.float64], unit: str, limit: float) -> TruthRow:
    """Describe errors by median and robust scatter, and by the width of their pulls."""
    if error.size == 0:
        return TruthRow(what, "none found", "0", False, {"n": 0})
    bias, scatter = float(np.median(error)), _robust_width(error)
    pull = _robust_width(error / sigma)
    shown = f"bias {bias:+.1f}, scatter {scatter:.1f} {unit}, pull width {pull:.2f} (n={error.size})"
    return TruthRow(
        what, shown, "0", abs(bias) < limit, {"bias": bias, "scatter": scatter, "pull": pull, "n": error.size}
    )


def _robust_width(values: NDArray[np.float64]) -> float:
    low, high = np.percentile(values, [25.0, 75.0])
    return float(high - low) / 1.349


def _completeness_row(stars: _Stars) -> TruthRow:
    expected = stars.snr > 10.0
    fraction = float(np.isfinite(stars.east[expected]).mean()) if expected.any() else float("nan")
    shown = f"{100.0 * fraction:.1f}% of {int(expected.sum())}"
    numbers = {"fraction": fraction, "n": int(expected.sum())}
    return TruthRow("isolated stars found, S/N > 10", shown, "100%", fraction > 0.97, numbers)


def _place(truth: Truth, object_id: int) -> tuple[float, float]:
    row = int(np.flatnonzero(truth["objects"]["object_id"] == object_id)[0])
    return float(truth["objects"]["ra"][row]), float(truth["objects"]["dec"][row])


def _curve(truth: Truth, object_id: int) -> dict[str, NDArray]:
    """Return the true light curve in the visits that have the object on a detector."""
    curve, seen = truth["light_curves"], truth["sources"]
    visits = np.unique(seen["visit"][seen["object_id"] == object_id])
    rows = (curve["object_id"] == object_id) & np.isin(curve["visit"], visits)
    return {name: values[rows] for name, values in curve.items()}


def _near(table: Table, ra: float, dec: float, radius_arcsec: float) -> NDArray[np.intp]:
    ra_name, dec_name = ("ra", "dec") if "ra" in table else ("coord_ra", "coord_dec")
    distance = separation_deg(ra, dec, table[ra_name], table[dec_name]) * 3600.0
    near = np.flatnonzero(distance < radius_arcsec)
    return near[np.argsort(distance[near], kind="stable")]


def _transient_row(truth: Truth, found: Catalogs, object_id: int) -> TruthRow:
    curve = _curve(truth, object_id)
    curve = {name: values[curve["flux_njy"] > 0.0] for name, values in curve.items()}
    near = found.dia_sources.take(_near(found.dia_sources, *_place(truth, object_id), 1.0))
    near = near.take(np.flatnonzero(~np.asarray(near["isNegative"])))
    visits = np.intersect1d(near["visit"], curve["visit"])
    n = curve["visit"].size
    if visits.size == 0:
        return TruthRow(f"transient {object_id}", "not found", f"{n} visits", False, {"found": 0, "of": n})
    ratio = [
        float(near["psfFlux"][near["visit"] == visit][0] / curve["flux_njy"][curve["visit"] == visit][0])
        for visit in visits
    ]
    shown = f"found in {visits.size} visits, flux {100 * np.median(ratio):.1f}% of true"
    numbers = {"found": int(visits.size), "of": n, "flux_ratio": float(np.median(ratio))}
    return TruthRow(f"transient {object_id}", shown, f"{n} visits", visits.size >= max(1, n - 1), numbers)


def _variable_row(truth: Truth, found: Catalogs, object_id: int) -> TruthRow:
    curve = _curve(truth, object_id)
    amplitude = _amplitude(curve["mag"], curve["band"])
    name = f"variable {object_id}"
    match = _near(found.objects, *_place(truth, object_id), 1.0)
    is_dia = _near(found.dia_objects, *_place(truth, object_id), 1.0).size > 0
    if match.size == 0:
        return TruthRow(name, "not found", f"amplitude {amplitude:.2f} mag", False, {"found": 0})
    rows = found.forced_sources.take(
        np.flatnonzero(found.forced_sources["objectId"] == found.objects["objectId"][match[0]])
    )
    rows = rows.take(np.flatnonzero(~np.asarray(rows["psfFlux_flag"]) & (rows["psfFlux"] > 0)))
    mag = 31.4 - 2.5 * np.log10(np.asarray(rows["psfFlux"], float))
    expected = np.array([curve["mag"][curve["visit"] == visit][0] for visit in rows["visit"]])
    rms = float(np.sqrt(np.mean((mag - expected) ** 2))) if mag.size else float("nan")
    measured = _amplitude(mag, np.asarray(rows["band"]))
    shown = f"amplitude {measured:.2f} mag, {mag.size} points, rms {1e3 * rms:.0f} mmag"
    shown += ", a dia_object" if is_dia else ", no dia_object"
    ok = is_dia and rms < 0.05
    return TruthRow(
        name,
        shown,
        f"amplitude {amplitude:.2f} mag",
        ok,
        {"found": int(is_dia), "amplitude": measured, "true_amplitude": amplitude, "rms_mag": rms},
    )


def _amplitude(mag: NDArray[np.float64], band: NDArray) -> float:
    """Return the largest peak-to-peak range of any band [mag]."""
    return max((float(np.ptp(mag[band == name])) for name in np.unique(band)), default=float("nan"))


def _mover_row(truth: Truth, found: Catalogs, object_id: int) -> TruthRow:
    ephemeris = truth["mover_ephemeris"]
    seen = truth["sources"]
    visits = np.unique(seen["visit"][seen["object_id"] == object_id])
    rows = (ephemeris["object_id"] == object_id) & np.isin(ephemeris["visit"], visits)
    true = {name: values[rows] for name, values in ephemeris.items()}
    name, expected = f"mover {object_id}", f"{visits.size} visits"
    members = _members_near(found.tracklet_sources, true)
    if members.size == 0:
        return TruthRow(name, "not linked", expected, visits.size < 4, {"found": 0, "of": int(visits.size)})
    tracklet = int(np.bincount(np.unique(members, return_inverse=True)[1]).argmax())
    tracklet_id = np.unique(members)[tracklet]
    n = int((members == tracklet_id).sum())
    row = int(np.flatnonzero(found.tracklets["trackletId"] == tracklet_id)[0])
    rate = _true_rate(true)
    error = float(np.hypot(found.tracklets["raRate"][row] - rate[0], found.tracklets["decRate"][row] - rate[1]))
    shown = f'linked in {n} visits, rate {found.tracklets["rate"][row]:.1f}"/h, off by {error:.2f}"/h'
    ok = n >= 0.75 * visits.size and error < 1.0
    return TruthRow(
        name,
        shown,
        f'{expected}, {np.hypot(*rate):.1f}"/h',
        ok,
        {"found": n, "of": int(visits.size), "rate_error": error},
    )


def _members_near(members: Table, true: dict[str, NDArray]) -> NDArray[np.int64]:
    """Return the tracklet of every detection within 1 arcsec of the mover in its visit."""
    ids: list[int] = []
    for visit, ra, dec in zip(true["visit"], true["ra"], true["dec"], strict=True):
        rows = np.flatnonzero(members["visit"] == visit)
        close = separation_deg(ra, dec, members["ra"][rows], members["dec"][rows]) * 3600.0 < 1.0
        ids += np.asarray(members["trackletId"])[rows[close]].tolist()
    return np.array(ids, np.int64)


def _true_rate(true: dict[str, NDArray]) -> tuple[float, float]:
    """Return the mean rate east and north over the arc [arcsec/h]."""
    hours = (true["mjd_tai"] - true["mjd_tai"].mean()) * 24.0
    east, north = tangent_plane(true["ra"], true["dec"], float(true["ra"][0]), float(true["dec"][0]))
    slope = [float(np.sum(hours * (axis - axis.mean())) / np.sum(hours**2)) * 3600.0 for axis in (east, north)]
    return slope[0], slope[1]


def all_ok(rows: Iterable[TruthRow]) -> bool:
    """Return whether every row agrees."""
    return all(row.ok for row in rows)


def to_json(rows: Iterable[TruthRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON-able dicts."""
    return [{"what": r.what, "recovered": r.recovered, "true": r.true, "ok": r.ok, **r.numbers} for r in rows]
