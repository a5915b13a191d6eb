import numpy as np
import pytest

from etendue.stages.associate_dia_sources import AssociateDiaSources
from etendue.table.table import Table

TRACT = {"skymap": "field", "tract": 0}


def tracklet_members(ids, tracklet=2019032600000001):
    n = len(ids)
    return Table("tracklet_source", {
        "trackletId": np.full(n, tracklet), "diaSourceId": ids, "visit": np.zeros(n, int), "detector": np.zeros(n, int),
        "band": ["r"] * n, "mjd_tai": np.full(n, 58568.0), "ra": np.full(n, 124.6), "dec": np.full(n, 25.3),
        "x": np.zeros(n), "y": np.zeros(n), "psfFlux": np.ones(n), "psfFluxErr": np.ones(n), "snr": np.ones(n),
        "raResidual": np.zeros(n), "decResidual": np.zeros(n), "status": ["detected"] * n,
    })  # fmt: skip


@pytest.fixture
def two_visits(dia_sources):
    ra, dec = [124.6, 124.61], [25.3, 25.31]
    first = dia_sources(ra, dec, diaSourceId=[1, 2], visit=[1, 1])
    later = dia_sources(ra, dec, diaSourceId=[3, 4], visit=[2, 2], midpointMjdTai=[58568.1, 58568.1])
    return first, later


def run(skymap, detections, tracklets=(), objects=()):
    return AssociateDiaSources().run(
        detections=tuple(detections), tracklets=tracklets, objects=objects, skymap=skymap, data_id=TRACT
    )


def test_detections_of_one_place_make_one_object(skymap, two_visits):
    result = run(skymap, two_visits)
    assert len(result.dia_objects) == 2
    owner = np.asarray(result.sources["diaObjectId"])
    assert owner[0] == owner[2]
    assert owner[1] == owner[3]


def test_members_of_tracklets_pass_without_an_object(skymap, two_visits):
    result = run(skymap, two_visits, tracklets=(tracklet_members([2, 4]), Table.empty("tracklet_source")))
    assert result.sources["diaSourceId"].tolist() == [1, 2, 3, 4]
    assert (np.asarray(result.sources["trackletId"]) > 0).tolist() == [False, True, False, True]
    assert result.sources["diaObjectId"][1] == result.sources["diaObjectId"][3] == 0
    assert len(result.dia_objects) == 1


def test_detections_outside_the_tract_belong_to_another_quantum(skymap, dia_sources):
    result = run(skymap, [dia_sources([124.6, 10.0], [25.3, -60.0])])
    assert result.sources["diaSourceId"].tolist() == [1]


def test_the_nearest_coadd_object_is_named(skymap, two_visits):
    objects = Table("object", {
        "objectId": [55, 66], "coord_ra": [124.6, 124.61], "coord_dec": [25.3 + 1.0 / 3600.0, 25.32],
        "tract": [0, 0], "patch": [0, 0], "refBand": ["r", "r"], "x": [0.0, 0.0], "y": [0.0, 0.0],
    })  # fmt: skip
    found = run(skymap, two_visits, objects=(objects,)).dia_objects
    assert sorted(found["objectId"].tolist()) == [0, 55]
    host = found["objectId"] == 55
    assert found["objectDistance"][host] == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(found["objectDistance"][~host]).all()


def test_a_tract_without_detections_has_empty_tables(skymap):
    result = run(skymap, [Table.empty("dia_source")])
    assert (len(result.sources), len(result.dia_objects)) == (0, 0)
