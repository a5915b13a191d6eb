"""Join what was found in a simulated survey to what is true of it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.geom.sphere import unit_vector
from etendue.middleware.repository import Repository
from etendue.simulate.population.layer import kind_of
from etendue.simulate.surveys.truth_tables import SurveyTruth, read_survey_truth, to_arrow
from etendue.table.table import Table

Columns = dict[str, NDArray[Any]]

_RAD_PER_ARCSEC = np.pi / (180.0 * 3600.0)
_OF_FRAMES, _OF_TRACKS, _MEMBERS = "visit_summary", "tracklet", "tracklet_source"
_OF_DIFFERENCES = ("dia_", _MEMBERS)
_OF_DETECTORS = ("zero_point_mag", "sky_electrons", "seeing", "psfSigma", "psfArea", "psfIxx", "psfIyy", "psfIxy")
_OF_EXPOSURES = ("airmass", "seeing_arcsec", "cloud_mag", "sky_mag_arcsec2")
_COPIED = ("object_id", "ra", "dec", "mag", "flux_njy", "x", "y")


@dataclass(frozen=True, eq=False)
class TruthMatch:
    """Rows of a table with the truth beside them.

    Parameters
    ----------
    table : str
        Name of the table.
    columns : dict of ndarray
        The table's columns and ``true_object_id`` (0 where nothing true is near), ``true_kind``, ``true_ra``,
        ``true_dec``, ``true_mag``, ``true_flux_njy``, ``distance_arcsec``; of tracks the object of most of their
        detections and ``true_share``, the share of these; of visit summaries what the truth says of the frame.
    missed : int or None
        True sources brighter than ``depth_mag`` that no row is near to; None for tables of differences, of tracks and
        of frames.
    expected : int or None
        True sources brighter than ``depth_mag``.
    depth_mag : float or None
        Magnitude from which on less than half of the true sources are found, or the faintest one.
    """

    table: str
    columns: Columns
    missed: int | None = None
    expected: int | None = None
    depth_mag: float | None = None

    def write(self, path: Path) -> None:
        """Write all columns as Parquet.

        Parameters
        ----------
        path : Path
            File; it appears whole or not at all.
        """
        with whole_file(path, "truth-match") as part:
            pq.write_table(to_arrow(self.columns), part)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the match; what is not known of a table is left out."""
        matched = _is_matched(self.columns)
        facts: dict[str, Any] = {"table": self.table, "rows": int(matched.size), "matched": int(matched.sum())}
        if "distance_arcsec" in self.columns:
            distance = self.columns["distance_arcsec"][matched]
            facts["median_distance_arcsec"] = float(np.median(distance)) if distance.size else None
        if self.depth_mag is not None and self.expected is not None and self.missed is not None:
            facts |= {"depth_mag": round(self.depth_mag, 2), "true": self.expected,
                      "found": self.expected - self.missed}  # fmt: skip
        return facts


def _is_matched(columns: Columns) -> NDArray[np.bool_]:
    if "true_object_id" in columns:
        return np.asarray(columns["true_object_id"] != 0)
    return np.isfinite(columns["true_zero_point_mag"])


def match_truth(
    home: Repository, truth: Path, table: str, *, collection: str | None = None, radius_arcsec: float = 1.0
) -> TruthMatch:
    """Match a table of a processed survey to its truth.

    Rows of single visits are matched to what was true in their visit, others to the mean places of all objects, tracks
    by their detections, and visit summaries by visit and detector.

    Parameters
    ----------
    home : Repository
        The repository.
    truth : Path
        The ``truth`` folder of the survey.
    table : str
        Dataset type: ``source``, ``object``, ``forced_source``, ``dia_source``, ``light_curve``, ``tracklet``,
        ``visit_summary``...
    collection : str, optional
        Where it is searched; by default the newest release or alert run of the only camera.
    radius_arcsec : float
        Largest distance of a match [arcsec].

    Returns
    -------
    TruthMatch

    Raises
    ------
    InputError
        If there is no such table or truth, or the table's rows have no places.
    """
    true = read_survey_truth(truth)
    found = _read(home, table, collection)
    if table == _OF_FRAMES:
        return TruthMatch(table, _with_frames(found, true))
    if table == _OF_TRACKS:
        members = match_truth(home, truth, _MEMBERS, collection=collection, radius_arcsec=radius_arcsec)
        return TruthMatch(table, _with_objects_of_members(found, members.columns))
    if "ra" not in found and "coord_ra" not in found:
        raise InputError("has no places on the sky", source=table, remedy="match a table of stars, objects or sources")
    return _matched_by_place(table, found, true, radius_arcsec)


def _matched_by_place(table: str, found: Table, true: SurveyTruth, radius_arcsec: float) -> TruthMatch:
    by_visit = "visit" in found
    places = _true_sources(true) if by_visit else _true_objects(true)
    ra, dec = (np.asarray(found[name]) for name in (("ra", "dec") if "ra" in found else ("coord_ra", "coord_dec")))
    row = np.full(len(found), -1)
    distance = np.full(len(found), np.nan)
    hit = np.zeros(places["ra"].size, bool)
    for mine, theirs in _visits(found, places) if by_visit else [(slice(None), slice(None))]:
        near, gap = _nearest(ra[mine], dec[mine], places, theirs, radius_arcsec)
        row[mine], distance[mine] = near, gap
        hit[near[near >= 0]] = True
    columns = _columns_of(found) | _beside(places, row) | {"distance_arcsec": distance}
    if table.startswith(_OF_DIFFERENCES):  # most of what is there does not change
        return TruthMatch(table, columns)
    depth = _depth(places["mag"], hit)
    bright = places["mag"] < depth
    return TruthMatch(table, columns, int((bright & ~hit).sum()), int(bright.sum()), depth)


def _columns_of(found: Table) -> Columns:
    return {name: np.asarray(found[name]) for name in found.names}


def _beside(places: Columns, row: NDArray[np.int64]) -> Columns:
    """Return what is true of each row, 0, NaN or empty for those without a match."""
    matched, columns = row >= 0, {}
    for name in _COPIED:
        nothing = 0 if name == "object_id" else np.nan
        there = places[name][row] if places[name].size else np.full(row.size, nothing)
        columns[f"true_{name}"] = np.where(matched, there, nothing)
    columns["true_kind"] = np.where(matched, kind_of(columns["true_object_id"]), "")
    return columns


def _with_frames(found: Table, true: SurveyTruth) -> Columns:
    """Return a visit summary with the numbers that are true of its frames, NaN for frames that the truth lacks."""
    frames, exposures = true["detectors"], true["exposures"]
    known, asked = (np.stack([np.asarray(side[key]) for key in ("visit", "detector")], 1) for side in (frames, found))
    of = {tuple(key): number for number, key in enumerate(known.tolist())}
    row = np.array([of.get(tuple(key), -1) for key in asked.tolist()], np.int64)
    columns = _columns_of(found)
    for name in _OF_DETECTORS:
        columns[f"true_{name}"] = np.where(row >= 0, frames[name][row], np.nan)
    order = np.argsort(exposures["exposure"])
    at = order[np.minimum(np.searchsorted(exposures["exposure"], found["visit"], sorter=order), order.size - 1)]
    for name in _OF_EXPOSURES:
        columns[f"true_{name}"] = np.where(row >= 0, exposures[name][at], np.nan)
    return columns


def _with_objects_of_members(found: Table, members: Columns) -> Columns:
    """Return tracks with the object that most of their detections are of, and the share of these."""
    columns = _columns_of(found)
    number = np.zeros(len(found), np.int64)
    share = np.full(len(found), np.nan)
    for row, track in enumerate(np.asarray(found["trackletId"]).tolist()):
        mine = members["true_object_id"][members["trackletId"] == track]
        objects, count = np.unique(mine[mine != 0], return_counts=True)
        if count.size:
            number[row], share[row] = objects[count.argmax()], count.max() / mine.size
    return columns | {"true_object_id": number, "true_kind": np.where(number != 0, kind_of(number), ""),
                      "true_share": share}  # fmt: skip


def _read(home: Repository, table: str, collection: str | None) -> Table:
    camera = home.camera().name
    searched = [collection] if collection else [f"{camera}/{name}" for name in ("ap", "drp", "series", "lightcurve")]
    present = [name for name in searched if home.has_collection(name)]
    refs = next((refs for name in present if (refs := home.query(table, collections=name))), ())
    if not refs:
        raise InputError(
            "holds no such table", source=home.path, value=table, remedy="see 'butler query-datasets REPO'"
        )
    return Table.concat(home.get(ref) for ref in refs)


def _true_sources(truth: SurveyTruth) -> Columns:
    return {name: truth["sources"][name] for name in (*_COPIED, "visit", "detector")}


def _true_objects(truth: SurveyTruth) -> Columns:
    """Return every object that was on a detector once, at its mean place and its mean flux."""
    sources = truth["sources"]
    number, group = np.unique(sources["object_id"], return_inverse=True)
    count = np.bincount(group)
    columns = {"object_id": number, "x": np.full(number.size, np.nan), "y": np.full(number.size, np.nan)}
    vectors = np.stack([np.bincount(group, part) for part in unit_vector(sources["ra"], sources["dec"]).T])
    columns["ra"] = np.degrees(np.arctan2(vectors[1], vectors[0])) % 360.0
    columns["dec"] = np.degrees(np.arctan2(vectors[2], np.hypot(vectors[0], vectors[1])))
    columns["flux_njy"] = np.bincount(group, sources["flux_njy"]) / count
    columns["mag"] = 31.4 - 2.5 * np.log10(columns["flux_njy"])
    return columns


def _visits(found: Table, places: Columns) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows of both sides that belong to one visit, for every visit."""
    visits = np.asarray(found["visit"])
    return [
        (np.flatnonzero(visits == visit), np.flatnonzero(places["visit"] == visit))
        for visit in np.unique(visits).tolist()
    ]


def _nearest(
    ra: NDArray[Any], dec: NDArray[Any], places: Columns, rows: Any, radius_arcsec: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the brightest true source within the radius, -1 for none, and its distance [arcsec]."""
    chosen = np.arange(places["ra"].size)[rows]
    best, gap = np.full(ra.size, -1), np.full(ra.size, np.nan)
    if chosen.size == 0 or ra.size == 0:
        return best, gap
    order = chosen[np.argsort(places["mag"][chosen], kind="stable")]  # so that the first hit is the brightest
    vectors = unit_vector(places["ra"][order], places["dec"][order])
    mine = unit_vector(ra, dec)
    finite = np.isfinite(mine).all(axis=1)
    hits = cKDTree(vectors).query_ball_point(mine[finite], radius_arcsec * _RAD_PER_ARCSEC)
    first = np.array([min(hit) if hit else -1 for hit in hits], np.int64)
    found = np.flatnonzero(finite)[first >= 0]
    best[found] = order[first[first >= 0]]
    gap[found] = np.linalg.norm(vectors[first[first >= 0]] - mine[found], axis=1) / _RAD_PER_ARCSEC
    return best, gap


def _depth(mag: NDArray[np.float64], hit: NDArray[np.bool_]) -> float:
    """Return the magnitude from which on the share of true sources that are found falls under one half.

    What is brighter than the magnitude at which most are found does not count: the brightest stars are saturated.
    """
    edges = np.arange(np.floor(mag.min()), np.ceil(mag.max()) + 0.5, 0.5) if mag.size else np.array([0.0])
    bins = [(mag >= low) & (mag < high) for low, high in pairwise(edges)]
    share = np.array([hit[inside].mean() if inside.sum() >= 10 else np.nan for inside in bins])
    if not np.isfinite(share).any():
        return float(mag.max()) + 1e-6 if mag.size else 0.0
    best = int(np.nanargmax(share))
    failed = np.flatnonzero(share[best:] < 0.5)
    return float(edges[best + failed[0]]) if failed.size else float(mag.max()) + 1e-6
