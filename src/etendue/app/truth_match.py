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
_BY_VISIT = ("source", "dia_source", "dia_source_detector", "tracklet_source")
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
        ``true_dec``, ``true_mag``, ``true_flux_njy``, ``distance_arcsec``.
    missed : int
        True sources brighter than ``depth_mag`` that no row is near to.
    expected : int
        True sources brighter than ``depth_mag``.
    depth_mag : float
        Magnitude at which half of the true sources are found, or the faintest one.
    """

    table: str
    columns: Columns
    missed: int
    expected: int
    depth_mag: float

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
        """Return the numbers of the match."""
        matched = self.columns["true_object_id"] != 0
        distance = self.columns["distance_arcsec"][matched]
        return {
            "table": self.table, "rows": int(matched.size), "matched": int(matched.sum()),
            "median_distance_arcsec": float(np.median(distance)) if distance.size else None,
            "depth_mag": round(self.depth_mag, 2), "true": self.expected, "found": self.expected - self.missed,
        }  # fmt: skip


def match_truth(
    home: Repository, truth: Path, table: str, *, collection: str | None = None, radius_arcsec: float = 1.0
) -> TruthMatch:
    """Match a table of a processed survey to its truth.

    Tables of single visits are matched in their visit, others to the places of all true objects.

    Parameters
    ----------
    home : Repository
        The repository.
    truth : Path
        The ``truth`` folder of the survey.
    table : str
        Dataset type: ``source``, ``object``, ``dia_source``, ``dia_object``, ``forced_source``...
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
        If there is no such table, or no truth.
    """
    true = read_survey_truth(truth)
    found = _read(home, table, collection)
    places = _true_sources(true) if table in _BY_VISIT else _true_objects(true)
    ra, dec = (found[name] for name in (("ra", "dec") if "ra" in found else ("coord_ra", "coord_dec")))
    row = np.full(len(found), -1)
    distance = np.full(len(found), np.nan)
    groups = [(slice(None), slice(None))] if table not in _BY_VISIT else _visits(found, places)
    hit = np.zeros(places["ra"].size, bool)
    for mine, theirs in groups:
        near, gap = _nearest(np.asarray(ra)[mine], np.asarray(dec)[mine], places, theirs, radius_arcsec)
        row[mine], distance[mine] = near, gap
        hit[near[near >= 0]] = True
    depth = _depth(places["mag"], hit)
    bright = places["mag"] < depth
    matched = row >= 0
    columns: Columns = {name: np.asarray(found[name]) for name in found.names}
    for name in _COPIED:
        columns[f"true_{name}"] = np.where(matched, places[name][row], 0 if name == "object_id" else np.nan)
    kinds = kind_of(places["object_id"])
    columns["true_kind"] = np.where(matched, kinds[row] if kinds.size else "", "")
    columns["distance_arcsec"] = distance
    return TruthMatch(table, columns, int((bright & ~hit).sum()), int(bright.sum()), depth)


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
    """Return the magnitude below which the share of true sources that are found falls under one half."""
    edges = np.arange(np.floor(mag.min()), np.ceil(mag.max()) + 0.5, 0.5) if mag.size else np.array([0.0])
    for low, high in pairwise(edges):
        inside = (mag >= low) & (mag < high)
        if inside.sum() >= 10 and hit[inside].mean() < 0.5:
            return float(low)
    return float(mag.max()) + 1e-6 if mag.size else 0.0
