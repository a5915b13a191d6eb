"""Rows are joined to the brightest true source within reach, in their own visit; what is missed is counted."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from etendue.app import truth_match
from etendue.app.truth_match import _OF_DETECTORS, match_truth
from etendue.errors import InputError
from etendue.simulate.population.layer import layer_ids
from etendue.simulate.surveys.truth_tables import SurveyTruth

ARCSEC = 1.0 / 3600.0
STARS, GALAXIES = layer_ids("stars", 40), layer_ids("galaxies", 1)


class Rows(dict):
    """Columns with the face of a table."""

    @property
    def names(self):
        return tuple(self)

    def __len__(self):
        return next(iter(self.values())).size


@pytest.fixture
def truth(tmp_path):
    """Forty stars 10 arcsec apart in two visits, brighter in the second, and a faint galaxy beside the first."""
    ra = 10.0 + np.arange(40) * 10.0 * ARCSEC
    mag = np.linspace(18.0, 25.8, 40)
    one = {"object_id": np.append(STARS, GALAXIES), "ra": np.append(ra, ra[0] + 0.5 * ARCSEC), "dec": np.zeros(41),
           "mag": np.append(mag, 26.5), "x": np.arange(41.0), "y": np.zeros(41),
           "detector": np.zeros(41, int)}  # fmt: skip
    parts = [one | {"visit": np.full(41, visit), "mag": one["mag"] - shift} for visit, shift in ((1, 0.0), (2, 0.5))]
    sources = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sources["flux_njy"] = 10.0 ** (-0.4 * (sources["mag"] - 31.4))
    exposures = {name: np.array([1.0, 2.0]) for name in ("airmass", "seeing_arcsec", "cloud_mag", "sky_mag_arcsec2")}
    frames = {name: np.array([0.1, 0.2]) for name in _OF_DETECTORS} | {"visit": np.array([1, 2]), "detector": [0, 0]}
    SurveyTruth(
        {
            "sources": sources,
            "exposures": exposures | {"exposure": np.array([1, 2])},
            "detectors": {name: np.asarray(values) for name, values in frames.items()},
        }
    ).write(tmp_path / "truth")
    return tmp_path / "truth"


def found_in(monkeypatch, **columns):
    monkeypatch.setattr(truth_match, "_read", lambda *_: Rows(columns))


def test_rows_are_matched_in_their_visit_to_the_brightest_source_in_reach(truth, monkeypatch):
    found_in(monkeypatch, ra=np.array([10.0 + 0.3 * ARCSEC, 10.0, 10.0 + 15.0 * ARCSEC]), dec=np.zeros(3),
             visit=np.array([1, 2, 2]))  # fmt: skip
    match = match_truth(None, truth, "source")
    columns = match.columns
    assert columns["true_object_id"].tolist() == [STARS[0], STARS[0], 0]  # not the galaxy, which is nearer to the first
    assert columns["true_kind"].tolist() == ["stars", "stars", ""]
    np.testing.assert_allclose(columns["true_mag"], [18.0, 17.5, np.nan])
    np.testing.assert_allclose(columns["distance_arcsec"], [0.3, 0.0, np.nan], atol=1e-6)


def test_the_depth_is_where_half_are_found_and_what_is_missed_above_is_counted(truth, monkeypatch):
    index = np.delete(np.arange(30), 3)  # stars down to mag 23.8, one left out
    ra = 10.0 + index * 10.0 * ARCSEC
    found_in(monkeypatch, ra=np.tile(ra, 2), dec=np.zeros(58), visit=np.repeat([1, 2], 29))
    match = match_truth(None, truth, "source")
    summary = match.summary()
    assert summary["matched"] == 58
    assert match.depth_mag > 23.0
    assert match.missed >= 2
    assert summary["found"] == match.expected - match.missed


def test_of_differences_only_matches_are_counted(truth, monkeypatch):
    found_in(monkeypatch, ra=np.array([10.0]), dec=np.zeros(1), visit=np.array([1]))
    summary = match_truth(None, truth, "dia_source").summary()
    assert summary == {"table": "dia_source", "rows": 1, "matched": 1, "median_distance_arcsec": 0.0}


def test_objects_are_matched_to_mean_places(truth, monkeypatch, tmp_path):
    found_in(monkeypatch, ra=np.array([10.0 + 10.0 * ARCSEC]), dec=np.zeros(1), objectId=np.array([7]))
    match = match_truth(None, truth, "object")
    assert match.columns["true_object_id"].tolist() == [STARS[1]]
    match.write(tmp_path / "object.parquet")
    assert pq.read_table(tmp_path / "object.parquet")["true_kind"].to_pylist() == ["stars"]


def test_the_brightest_may_be_saturated_and_do_not_count_as_too_faint(truth, monkeypatch):
    index = np.arange(12, 30)
    found_in(monkeypatch, ra=10.0 + index * 10.0 * ARCSEC, dec=np.zeros(18))
    assert match_truth(None, truth, "object").depth_mag > 23.0


def test_rows_of_any_table_with_visits_get_the_light_of_that_visit(truth, monkeypatch):
    found_in(monkeypatch, coord_ra=np.full(2, 10.0), coord_dec=np.zeros(2), visit=np.array([1, 2]))
    np.testing.assert_allclose(match_truth(None, truth, "forced_source").columns["true_mag"], [18.0, 17.5])


def test_tracks_are_of_the_object_of_most_of_their_detections(truth, monkeypatch):
    tables = {
        "tracklet_source": Rows(
            ra=10.0 + np.array([0.0, 0.0, 10.0, 3.0]) * ARCSEC, dec=np.zeros(4), visit=np.array([1, 2, 2, 2]),
            trackletId=np.array([7, 7, 7, 8]),
        ),
        "tracklet": Rows(trackletId=np.array([7, 8]), ra=np.zeros(2), dec=np.zeros(2)),
    }  # fmt: skip
    monkeypatch.setattr(truth_match, "_read", lambda home, table, collection: tables[table])
    match = match_truth(None, truth, "tracklet")
    assert match.columns["true_object_id"].tolist() == [STARS[0], 0]
    np.testing.assert_allclose(match.columns["true_share"], [2 / 3, np.nan])
    assert match.summary() == {"table": "tracklet", "rows": 2, "matched": 1}


def test_visit_summaries_get_what_is_true_of_their_frames(truth, monkeypatch):
    found_in(monkeypatch, visit=np.array([2, 1, 3]), detector=np.array([0, 0, 0]), ra=np.zeros(3))
    match = match_truth(None, truth, "visit_summary")
    np.testing.assert_allclose(match.columns["true_seeing"], [0.2, 0.1, np.nan])
    np.testing.assert_allclose(match.columns["true_airmass"], [2.0, 1.0, np.nan])
    assert match.summary() == {"table": "visit_summary", "rows": 3, "matched": 2}


def test_a_table_without_places_is_refused(truth, monkeypatch):
    found_in(monkeypatch, effect=np.zeros(2))
    with pytest.raises(InputError, match="no places on the sky"):
        match_truth(None, truth, "series_effect")


def test_a_folder_without_truth_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no truth"):
        match_truth(None, tmp_path, "source")
