"""Association groups detections by place, never two of one visit."""

import numpy as np
import pytest

from etendue.table.table import Table
from etendue.tasks.associate.associate import AssociateTask


def dia_sources(ra, dec, visit, flux=None, tracklet=None):
    n = len(ra)
    flux = np.full(n, 100.0) if flux is None else flux
    return Table(
        "dia_source",
        {
            "diaSourceId": np.arange(1, n + 1), "visit": visit, "detector": np.zeros(n, int), "band": np.full(n, "r"),
            "midpointMjdTai": 60000.0 + np.asarray(visit) * 0.01, "ra": ra, "dec": dec,
            "raErr": np.full(n, 0.05 / 3600), "decErr": np.full(n, 0.05 / 3600), "x": np.zeros(n), "y": np.zeros(n),
            "snr": np.full(n, 10.0), "psfFlux": flux, "psfFluxErr": np.full(n, 10.0),
            "trackletId": np.zeros(n, int) if tracklet is None else tracklet,
        },
    )  # fmt: skip


def test_detections_of_scattered_objects_come_back_as_those_objects():
    rng = np.random.default_rng(5)
    n_objects, n_visits = 40, 12
    ra0, dec0 = rng.uniform(150.0, 150.2, n_objects), rng.uniform(2.0, 2.2, n_objects)
    visit = np.repeat(np.arange(n_visits), n_objects)
    ra = np.tile(ra0, n_visits) + rng.normal(0.0, 0.1 / 3600, visit.size)
    dec = np.tile(dec0, n_visits) + rng.normal(0.0, 0.1 / 3600, visit.size)
    result = AssociateTask().run(sources=dia_sources(ra, dec, visit), tract=0)
    labels = np.asarray(result.sources["diaObjectId"]).reshape(n_visits, n_objects)
    assert (labels == labels[0]).all()
    assert len(result.objects) == n_objects
    np.testing.assert_array_equal(result.objects["nDiaSources"], n_visits)


def test_two_detections_of_one_visit_never_share_an_object():
    sources = dia_sources(np.array([10.0, 10.0, 10.0001]), np.zeros(3), np.array([0, 1, 1]))
    ids = np.asarray(AssociateTask().run(sources=sources, tract=0).sources["diaObjectId"])
    assert ids[0] == ids[1] != ids[2]


def test_tracklet_members_make_no_object():
    sources = dia_sources(np.array([10.0, 11.0]), np.zeros(2), np.array([0, 0]), tracklet=np.array([7, 0]))
    result = AssociateTask().run(sources=sources, tract=0)
    assert result.sources["diaObjectId"][0] == 0
    assert len(result.objects) == 1


def test_nothing_in_gives_nothing_out():
    sources = dia_sources(np.zeros(0), np.zeros(0), np.zeros(0, int))
    assert len(AssociateTask().run(sources=sources, tract=0).objects) == 0


def test_flux_statistics_agree_with_their_definition():
    flux = np.array([100.0, 130.0, 70.0])
    sources = dia_sources(np.full(3, 10.0), np.zeros(3), np.array([0, 1, 3]), flux=flux)
    row = AssociateTask().run(sources=sources, tract=0).objects
    assert row["r_psfFluxMean"][0] == pytest.approx(100.0)
    assert row["r_psfFluxMeanErr"][0] == pytest.approx(10.0 / 3**0.5)
    assert row["r_psfFluxSigma"][0] == pytest.approx(30.0)
    assert row["r_psfFluxChi2"][0] == pytest.approx(18.0)
    assert row["r_psfFluxMaxSlope"][0] == pytest.approx(3000.0, rel=1e-5)
