"""What is recovered perfectly is right, what is biased, lost or false is said to be so."""

import numpy as np
import pytest

from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.compare import compare
from etendue.app.truth_check.row import all_ok, pull_row, share_row, to_json
from etendue.simulate.population.layer import layer_ids
from etendue.simulate.surveys.truth_tables import SurveyTruth

ARCSEC = 1.0 / 3600.0
VISITS, NIGHT = np.arange(1, 7), 20250722
NOISE = 10.0
FLAGS = ("saturated", "edge", "bad", "interpolated", "cr")
KINDS = {"stars": 60, "variables": 3, "moving": 1, "satellites": 1}


class Rows(dict):
    """Columns with the face of a table."""

    def __len__(self):
        return len(next(iter(self.values())))

    def take(self, rows):
        return Rows({name: column[rows] for name, column in self.items()})


def true_sources():
    """Sixty stars, three that double every other visit, one that moves by 30 arcsec/h; visits are 15 minutes apart."""
    ids = np.concatenate([layer_ids(kind, count) for kind, count in KINDS.items()])
    kinds = np.repeat(list(KINDS), list(KINDS.values()))
    parts = []
    for visit in VISITS:
        ra = 10.0 + np.arange(ids.size) * 20.0 * ARCSEC
        ra[kinds == "moving"] += visit * 7.5 * ARCSEC
        flux = np.where(kinds == "variables", 5e3 * (1.0 + visit % 2), 1e3)
        parts.append({
            "object_id": ids, "ra": ra, "dec": np.zeros(ids.size), "x": np.arange(ids.size) * 20.0, "flux_njy": flux,
            "y": np.full(ids.size, 50.0), "visit": np.full(ids.size, visit), "detector": np.zeros(ids.size, np.int64),
            "band": np.full(ids.size, "r"), "mjd_tai": np.full(ids.size, 60000.0 + visit * 0.25 / 24.0),
            "trail_dx": np.where(kinds == "satellites", 200.0, 0.0), "trail_dy": np.zeros(ids.size),
        })  # fmt: skip
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture
def sources():
    return true_sources()


@pytest.fixture
def truth(sources):
    exposures = {"exposure": VISITS, "day_obs": np.full(VISITS.size, NIGHT)}
    return SurveyTruth({"sources": sources, "exposures": exposures, "detectors": {"visit": VISITS}})


def rows_of(sources, kind):
    return np.flatnonzero(np.isin(sources["object_id"], layer_ids(kind, KINDS[kind])))


@pytest.fixture
def found(sources):
    """Catalogs with normal errors about the truth."""
    rng = np.random.default_rng(3)

    def scattered(rows):
        error = np.full(rows.size, 0.01 * ARCSEC)
        flux = sources["flux_njy"][rows] + rng.normal(0.0, NOISE, rows.size)
        return Rows(
            {name: sources[name][rows] for name in ("visit", "detector", "x", "y")}
            | {"ra": sources["ra"][rows] + rng.normal(0.0, error), "dec": rng.normal(0.0, error), "raErr": error}
            | dict.fromkeys(("psfFlux", "calibFlux"), flux)
            | {name: np.full(rows.size, NOISE) for name in ("psfFluxErr", "calibFluxErr")}
            | {f"pixelFlags_{name}": np.zeros(rows.size, bool) for name in FLAGS}
            | {"snr": flux / NOISE, "psfFlux_flag": np.zeros(rows.size, bool)}
        )

    static = np.concatenate([rows_of(sources, "stars"), rows_of(sources, "variables")])
    varying, moving = rows_of(sources, "variables"), rows_of(sources, "moving")
    faint = scattered(np.tile(static[:1], 5 * VISITS.size))
    faint |= {"visit": np.repeat(VISITS, 5), "snr": np.full(5 * VISITS.size, 9.0)}
    first = static[sources["visit"][static] == VISITS[0]]
    objects = Rows({"coord_ra": sources["ra"][first], "coord_dec": np.zeros(first.size),
                    "objectId": np.arange(first.size)})  # fmt: skip
    detections = scattered(np.concatenate([varying, moving]))
    level = np.where(np.arange(varying.size + moving.size) < varying.size, 7.5e3, 0.0)
    detections["psfFlux"] = detections["psfFlux"] - level
    detections |= {"isNegative": detections["psfFlux"] < 0.0}
    number = np.searchsorted(sources["object_id"][first], sources["object_id"][static])
    forced = scattered(static) | {"objectId": number}
    every = scattered(static)
    members = scattered(moving) | {"trackletId": np.full(moving.size, 5)}
    track = Rows({"trackletId": np.array([5]), "raRate": np.array([30.0]), "decRate": np.array([0.0])})
    together = Rows({name: np.concatenate([every[name], faint[name]]) for name in every})
    return {
        "sources": together, "dia_sources": detections, "forced_sources": Rows(forced), "objects": objects,
        "dia_objects": Rows({"ra": sources["ra"][varying[:3]], "dec": np.zeros(3)}), "tracklets": track,
        "tracklet_sources": Rows(members),
    }  # fmt: skip


def table(truth, found):
    return {row.what: row for row in compare(truth, Catalogs(**found))}


def test_what_is_recovered_is_right_with_pulls_of_one(truth, found):
    rows = table(truth, found)
    assert all_ok(rows.values()), [row for row in rows.values() if not row.ok]
    for what in ("star positions, S/N > 30", "star fluxes (PSF), S/N > 10", "light curves of variable stars"):
        assert rows[what].numbers["pull"] == pytest.approx(1.0, abs=0.25)
    assert rows["changes over 10 sigma and 12% found"].numbers["n"] == 18
    assert rows["variable stars that changed"].true == "3"
    assert rows["fluxes of changes"].numbers["slope"] == pytest.approx(1.0, abs=0.01)
    assert rows["asteroids linked, night by night"].numbers == {"fraction": 1.0, "n": 1.0}


def test_a_bias_of_positions_and_fluxes_is_reported(truth, found):
    for axis in ("ra", "dec"):
        found["sources"][axis] = found["sources"][axis] + 0.05 * ARCSEC
    found["sources"]["psfFlux"] = found["sources"]["psfFlux"] * 1.02
    rows = table(truth, found)
    assert rows["star positions, S/N > 30"].numbers["bias"] == pytest.approx(50.0, abs=3.0)
    assert not rows["star positions, S/N > 30"].ok
    fluxes = rows["star fluxes (PSF), S/N > 10"]
    assert not fluxes.ok
    assert fluxes.numbers["bias"] == pytest.approx(0.02 * 1085.7, abs=2.0)


def test_lost_stars_and_false_detections_are_counted(truth, found):
    sources = found["sources"]
    kept = np.flatnonzero(np.arange(len(sources)) % 10 != 0)
    found["sources"] = sources.take(kept)
    found["sources"]["dec"] = np.where(np.arange(kept.size) % 10 == 0, 0.1, found["sources"]["dec"])
    rows = table(truth, found)
    assert not rows["isolated stars found, S/N > 10"].ok
    assert rows["detections that are true, S/N > 10"].numbers["fraction"] == pytest.approx(0.9, abs=0.03)


def test_changes_of_the_wrong_sign_do_not_count(truth, found):
    found["dia_sources"]["isNegative"] = ~found["dia_sources"]["isNegative"]
    assert table(truth, found)["changes over 10 sigma and 12% found"].numbers["fraction"] == 0.0


def test_detections_on_a_satellite_trail_are_counted_apart(truth, found, sources):
    trail = rows_of(sources, "satellites")[:1]
    extra = found["dia_sources"].take(np.zeros(4, int))
    extra |= {"visit": np.repeat(sources["visit"][trail], 4), "ra": np.full(4, 200.0), "x": sources["x"][trail] + 30.0,
              "y": np.array([50.0, 52.0, 48.0, 400.0])}  # fmt: skip
    extra["x"] = np.repeat(extra["x"], 4)
    found["dia_sources"] = Rows({name: np.concatenate([column, extra[name]])
                                 for name, column in found["dia_sources"].items()})  # fmt: skip
    row = table(truth, found)["false detections on differences"]
    assert row.numbers["on_trails"] == 3
    assert row.numbers["per_frame"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("damage", ["rate", "members"])
def test_a_mover_of_wrong_rate_or_without_track_is_not_linked(truth, found, damage):
    if damage == "rate":
        found["tracklets"]["raRate"] = np.array([35.0])
    else:
        found["tracklet_sources"]["dec"] = np.full(6, 0.2)
    rows = table(truth, found)
    assert rows["asteroids linked, night by night"].numbers["fraction"] == 0.0
    assert rows["tracks that are true"].ok is (damage == "rate")


def test_rows_about_nothing_are_not_right():
    nothing = np.zeros(0)
    rows = [pull_row("fluxes", nothing, nothing, "mmag", 5.0), share_row("stars", nothing.astype(bool), 0.9)]
    assert not any(row.ok for row in rows)
    assert to_json(rows)[0]["recovered"] == "none found"
