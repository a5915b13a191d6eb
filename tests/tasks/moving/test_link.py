"""Linking finds what moves, refuses what chance makes, and its errors are right."""

import numpy as np
import pytest

from etendue.table.table import Table
from etendue.tasks.moving.frames import Site
from etendue.tasks.moving.link import LinkTask
from etendue.tasks.moving.track import TrackPrior, design_matrix, fit_track

SITE = Site(-111.5, 35.1, 2200.0)
EPOCH = 58568.2


def night(tracks, *, frames=18, noise=0.1, clutter=30, ring=0, seed=0):
    """Detections of movers (x, y, vx, vy in arcsec and arcsec/h at mid-night) among random ones, some around a star."""
    rng = np.random.default_rng(seed)
    hours = (np.arange(frames) - (frames - 1) / 2) * 0.172
    observer = SITE.position_au(EPOCH + hours / 24.0)
    design = design_matrix(hours, observer, 124.6, 25.3)
    rows = []
    for k in range(frames):
        for x, y, vx, vy, per_distance in tracks:
            place = design[k] @ np.array([x, vx, 0.0, y, vy, 0.0, per_distance])
            rows.append((k, *(place + rng.normal(0.0, noise, 2))))
        rows.extend((k, *rng.uniform(-700, 700, 2)) for _ in range(clutter))
        rows.extend((k, 5.0 * np.cos(a), 5.0 * np.sin(a)) for a in rng.uniform(0.0, 2.0 * np.pi, ring))
    frame, x, y = np.array(rows).T
    n = frame.size
    dec = 25.3 + y / 3600.0
    return Table(
        "dia_source",
        {
            "diaSourceId": np.arange(1, n + 1), "visit": frame.astype(int) + 1, "detector": np.zeros(n, int),
            "band": np.full(n, "r"), "midpointMjdTai": EPOCH + hours[frame.astype(int)] / 24.0,
            "ra": 124.6 + x / 3600.0 / np.cos(np.radians(dec)), "dec": dec, "raErr": np.full(n, noise / 3600),
            "decErr": np.full(n, noise / 3600), "x": np.zeros(n), "y": np.zeros(n), "snr": np.full(n, 10.0),
            "psfFlux": np.full(n, 100.0), "psfFluxErr": np.full(n, 10.0), "isNegative": np.zeros(n, bool),
        },
    )  # fmt: skip


MOVERS = [(10.0, 20.0, 4.0, -8.0, 0.5), (-300.0, 100.0, 14.0, -4.0, 0.8), (200.0, -400.0, -60.0, 30.0, 1.2)]


@pytest.mark.parametrize("seed", range(4))
def test_movers_are_linked_whole_and_clutter_makes_no_track(seed):
    linked = LinkTask().run(sources=night(MOVERS, seed=seed), site=SITE)
    assert sorted(track.rows.size for track in linked) == [18, 18, 18]


@pytest.mark.parametrize("seed", range(4))
def test_pure_clutter_makes_no_track(seed):
    assert LinkTask().run(sources=night([], clutter=80, seed=seed), site=SITE) == ()


def test_rings_of_residuals_around_a_star_hardly_make_a_track():
    linked = [
        LinkTask().run(sources=night([], frames=4, clutter=10, ring=14, seed=seed), site=SITE) for seed in range(30)
    ]
    assert sum(map(len, linked)) <= 1  # 14 by the density within 40 arcsec alone


def test_a_star_that_stands_still_is_no_mover():
    assert LinkTask().run(sources=night([(0.0, 0.0, 0.0, 0.0, 0.0)], clutter=10), site=SITE) == ()


def test_no_detections_give_no_tracks():
    assert LinkTask().run(sources=Table.empty("dia_source"), site=None) == ()


def test_fitted_rates_have_calibrated_errors():
    rng = np.random.default_rng(11)
    hours = np.linspace(-1.5, 1.5, 18)
    mjd = EPOCH + hours / 24.0
    observer = SITE.position_au(mjd)
    design = design_matrix(hours, observer, 124.6, 25.3)
    pulls = []
    for _ in range(400):
        parameters = np.array([0.0, 8.0, rng.normal(0, 0.03), 0.0, -5.0, rng.normal(0, 0.03), rng.normal(0.6, 0.6)])
        place = design @ parameters + rng.normal(0.0, 0.15, (18, 2))
        dec = 25.3 + place[:, 1] / 3600.0
        track = fit_track(
            mjd_tai=mjd, ra_deg=124.6 + place[:, 0] / 3600.0 / np.cos(np.radians(dec)), dec_deg=dec,
            err_arcsec=np.full((18, 2), 0.15), observer_au=observer, prior=TrackPrior(),
        )  # fmt: skip
        rate, err = track.rate(SITE.position_au)
        step = np.diff(design_matrix(np.array([-0.5, 0.5]), SITE.position_au(EPOCH + np.array([-0.5, 0.5]) / 24.0),
                                     124.6, 25.3), axis=0)[0]  # fmt: skip
        pulls.append((rate - step @ parameters) / err)
    pulls = np.array(pulls)
    assert np.abs(pulls.std() - 1.0) < 4.0 / np.sqrt(2 * pulls.size)
    assert np.abs(pulls.mean()) < 4.0 / np.sqrt(pulls.size)


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_a_neighbour_that_is_not_on_a_short_track_is_left_out(seed):
    """One of eight, six errors off, draws the track towards itself; its deleted residual gives it away."""
    sources = night([(10.0, 20.0, 2.5, -7.0, 0.5)], frames=8, noise=0.1, clutter=0, seed=seed)
    dec = np.asarray(sources["dec"]).copy()
    dec[5] += 0.6 / 3600.0
    (track,) = LinkTask().run(sources=sources.with_columns(dec=dec), site=SITE)
    assert 5 not in track.rows
    assert track.rows.size >= 6
