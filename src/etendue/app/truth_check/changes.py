"""What brightened or faded: detections on difference images against the true light curves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.row import TruthRow, pull_row, share_row
from etendue.geom.sphere import unit_vector
from etendue.simulate.population.layer import Columns, kind_of
from etendue.simulate.surveys.truth_tables import SurveyTruth
from etendue.table.table import Table

Vector = NDArray[np.float64]

_VARYING = ("variables", "agn", "transients", "flashes")
_ARCSEC = np.radians(1.0 / 3600.0)
_MATCH_ARCSEC = 1.0
_LIMIT, _SHARE = 10.0, 0.12
_TRAIL_PX = 15.0
_TRAIL = ("x", "y", "trail_dx", "trail_dy")


@dataclass(frozen=True)
class _Changes:
    """Appearances of varying objects on detectors; one row per object and visit."""

    object_id: NDArray[np.int64]
    visit: NDArray[np.int64]
    kind: NDArray[np.str_]
    ra: Vector
    dec: Vector
    group: NDArray[np.intp]
    """Object and band."""
    flux: Vector
    expected: Vector
    """True flux minus what stands in the template at least [nJy]."""
    noise: Vector
    """Noise of the frame [nJy]."""

    @property
    def strong(self) -> NDArray[np.bool_]:
        """Whether a change must be found."""
        size = np.abs(self.expected)
        return (size > _LIMIT * self.noise) & (size > _SHARE * (self.flux - self.expected))


def change_rows(truth: SurveyTruth, found: Catalogs) -> list[TruthRow]:
    """Return the rows about differences.

    Changes count from 10 sigma and 12% of the object's flux on, for differences of bright stars are uncertain by their
    PSF. A template is made of all visits of its band, and outliers are clipped: what is seen is the change against the
    mean or the median, whichever is nearer, and none in between. Fluxes are therefore compared up to one constant for
    every object and band.

    Parameters
    ----------
    truth : SurveyTruth
        Of the survey.
    found : Catalogs
        What the pipelines made of it.

    Returns
    -------
    list of TruthRow
    """
    changes = _changes(truth["sources"], found)
    row = _detected(changes, found)
    strong = changes.strong
    rows = [share_row(f"changes over {_LIMIT:.0f} sigma and {_SHARE:.0%} found", row[strong] >= 0, 0.85)]
    for kind, name in (("transients", "transients"), ("variables", "variable stars"), ("agn", "active nuclei")):
        rows += _object_row(name, changes, strong & (changes.kind == kind), found)
    rows.append(_flux_row(changes, row, found))
    rows.append(_false_row(truth, found))
    return rows


def _changes(sources: Columns, found: Catalogs) -> _Changes:
    kept = np.isin(kind_of(sources["object_id"]), _VARYING)
    rows = {name: sources[name][kept] for name in ("object_id", "visit", "detector", "band", "ra", "dec", "flux_njy")}
    names = np.char.add(rows["object_id"].astype(str), rows["band"].astype(str))
    group = np.unique(names, return_inverse=True)[1]
    flux = rows["flux_njy"]
    expected = _against_template(flux, group)
    noise, kind = found.noise(rows["visit"], rows["detector"]), kind_of(rows["object_id"])
    return _Changes(rows["object_id"], rows["visit"], kind, rows["ra"], rows["dec"], group, flux, expected, noise)


def _against_template(flux: Vector, group: NDArray[np.intp]) -> Vector:
    """Return fluxes minus the mean or the median of their group, whichever is nearer; 0 in between."""
    expected = np.zeros(flux.size)
    for one in range(group.max(initial=-1) + 1):
        mine = flux[group == one]
        change = mine - np.array([[np.mean(mine)], [np.median(mine)]])
        agree = np.sign(change[0]) == np.sign(change[1])
        expected[group == one] = np.where(agree, np.sign(change[0]) * np.abs(change).min(axis=0), 0.0)
    return expected


def _detected(changes: _Changes, found: Catalogs) -> NDArray[np.intp]:
    """Return the nearest detection of the right sign in each appearance's visit; -1 for none."""
    table = found.dia_sources
    row = np.full(changes.visit.size, -1)
    negative = np.asarray(table["isNegative"])
    vectors = unit_vector(table["ra"], table["dec"])
    visit = np.asarray(table["visit"])
    for one in np.unique(changes.visit):
        for sign in (False, True):
            mine = np.flatnonzero((changes.visit == one) & ((changes.expected < 0.0) == sign))
            theirs = np.flatnonzero((visit == one) & (negative == sign))
            if mine.size and theirs.size:
                distance, near = cKDTree(vectors[theirs]).query(unit_vector(changes.ra[mine], changes.dec[mine]))
                row[mine] = np.where(distance < _MATCH_ARCSEC * _ARCSEC, theirs[near], -1)
    return row


def _object_row(name: str, changes: _Changes, rows: NDArray[np.bool_], found: Catalogs) -> list[TruthRow]:
    """Return how many objects of a kind that changed are a dia_object; no row if none did."""
    number, first = np.unique(changes.object_id[rows], return_index=True)
    if number.size == 0:
        return []
    places = unit_vector(changes.ra[rows][first], changes.dec[rows][first])
    tree = cKDTree(unit_vector(found.dia_objects["ra"], found.dia_objects["dec"]))
    return [share_row(f"{name} that changed", tree.query(places)[0] < _MATCH_ARCSEC * _ARCSEC, 0.9, " are dia_objects")]


def _flux_row(changes: _Changes, row: NDArray[np.intp], found: Catalogs) -> TruthRow:
    """Return the slope of measured against true changes, each object and band with a constant of its own."""
    unflagged = ~np.asarray(found.dia_sources["pixelFlags_saturated"])
    seen = np.flatnonzero((row >= 0) & (np.abs(changes.expected) > _LIMIT * changes.noise))
    seen = seen[unflagged[row[seen]]]
    group = np.unique(changes.group[seen], return_inverse=True)[1]
    seen = seen[np.bincount(group)[group] > 1] if seen.size else seen
    if seen.size == 0:
        return TruthRow("fluxes of changes", "none seen twice", "100%", False, {"n": 0})
    group = np.unique(changes.group[seen], return_inverse=True)[1]
    measured = np.asarray(found.dia_sources["psfFlux"], float)[row[seen]]
    error = np.asarray(found.dia_sources["psfFluxErr"], float)[row[seen]]
    weight = 1.0 / error**2

    def centred(values: Vector) -> Vector:
        return values - (np.bincount(group, weight * values) / np.bincount(group, weight))[group]

    y, x = centred(measured), centred(changes.flux[seen])
    slope = float(np.sum(weight * x * y) / np.sum(weight * x * x))
    freedom = np.sqrt(1.0 - 1.0 / np.bincount(group)[group])
    pulls = (y - slope * x) / (error * freedom)
    middle = pull_row("", pulls, np.ones(pulls.size), "", np.inf).numbers["pull"]
    numbers = {"slope": slope, "pull": middle, "n": float(seen.size)}
    shown = f"{100.0 * slope:.1f}%, pull width {middle:.2f} (n={seen.size})"
    return TruthRow("fluxes of changes", shown, "100%", abs(slope - 1.0) < 0.03, numbers)


def _false_row(truth: SurveyTruth, found: Catalogs) -> TruthRow:
    """Return the detections per frame that nothing true explains; those on satellite trails are counted apart."""
    sources, table = truth["sources"], found.dia_sources
    kind = kind_of(sources["object_id"])
    point = np.isin(kind, (*_VARYING, "moving", "comets"))
    visit, detector = np.asarray(table["visit"]), np.asarray(table["detector"])
    vectors, places = unit_vector(table["ra"], table["dec"]), unit_vector(sources["ra"], sources["dec"])
    explained, on_trail = np.zeros(visit.size, bool), np.zeros(visit.size, bool)
    for one in np.unique(visit):
        mine, here = np.flatnonzero(visit == one), np.flatnonzero(point & (sources["visit"] == one))
        if here.size:
            explained[mine] = cKDTree(places[here]).query(vectors[mine])[0] < _MATCH_ARCSEC * _ARCSEC
    for trail in np.flatnonzero(kind == "satellites"):
        mine = np.flatnonzero((visit == sources["visit"][trail]) & (detector == sources["detector"][trail]))
        on_trail[mine] |= _near_trail(table.take(mine), {name: sources[name][trail] for name in _TRAIL})
    frames = truth["detectors"]["visit"].size
    rate, trails = float((~explained & ~on_trail).sum()) / frames, int((~explained & on_trail).sum())
    numbers = {"per_frame": rate, "on_trails": float(trails), "n": float(visit.size)}
    shown = f"{rate:.1f} per frame, and {trails} on satellite trails"
    return TruthRow("false detections on differences", shown, "0", rate < 10.0, numbers)


def _near_trail(table: Table, trail: Mapping[str, float]) -> NDArray[np.bool_]:
    """Return which rows lie beside the line that a satellite drew."""
    length = np.hypot(trail["trail_dx"], trail["trail_dy"])
    along_x, along_y = trail["trail_dx"] / length, trail["trail_dy"] / length
    dx, dy = np.asarray(table["x"], float) - trail["x"], np.asarray(table["y"], float) - trail["y"]
    inside = np.abs(dx * along_x + dy * along_y) < 0.5 * length + _TRAIL_PX
    return inside & (np.abs(dx * along_y - dy * along_x) < _TRAIL_PX)
