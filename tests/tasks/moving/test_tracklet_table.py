import numpy as np
import pytest

from etendue.table.table import Table
from etendue.tasks.moving.frames import Site
from etendue.tasks.moving.link import LinkTask
from etendue.tasks.moving.tracklet_table import tracklet_tables

SITE = Site(-111.5, 35.1, 2200.0)
RATE_EAST, RATE_NORTH, FRAMES, STEP_H = -24.0, 32.0, 12, 0.17


@pytest.fixture(scope="module")
def sources() -> Table:
    rng = np.random.default_rng(1)
    hours = (np.arange(FRAMES) - 5.5) * STEP_H
    x, y = RATE_EAST * hours + rng.normal(0, 0.05, FRAMES), RATE_NORTH * hours + rng.normal(0, 0.05, FRAMES)
    dec = 25.3 + y / 3600.0
    order = rng.permutation(FRAMES)  # rows come in no order
    flux = np.full(FRAMES, 1000.0) + rng.normal(0, 20.0, FRAMES)
    columns = {
        "diaSourceId": np.arange(FRAMES) + 1, "visit": np.arange(FRAMES) + 10, "detector": np.zeros(FRAMES, int),
        "band": np.where(np.arange(FRAMES) < 8, "r", "g"), "midpointMjdTai": 58568.2 + hours / 24.0,
        "ra": 124.6 + x / 3600.0 / np.cos(np.radians(dec)), "dec": dec, "raErr": np.full(FRAMES, 0.05 / 3600),
        "decErr": np.full(FRAMES, 0.05 / 3600), "x": x, "y": y, "snr": np.full(FRAMES, 50.0), "psfFlux": flux,
        "psfFluxErr": np.full(FRAMES, 20.0),
    }  # fmt: skip
    return Table("dia_source", columns).take(order)


@pytest.fixture(scope="module", params=[SITE, None], ids=["site", "geocentre"])
def tables(request, sources):
    linked = LinkTask().run(sources=sources, site=request.param)
    assert len(linked) == 1
    return tracklet_tables(linked, sources, site=request.param, day_obs=20190326, n_frames=14)


def test_a_row_describes_the_motion(tables):
    track = tables[0]
    assert track["trackletId"].tolist() == [20190326000001]
    assert track["rate"][0] == pytest.approx(40.0, abs=0.3)
    assert track["positionAngle"][0] == pytest.approx(323.13, abs=0.6)  # north through east
    assert np.hypot(track["raRate"][0], track["decRate"][0]) == pytest.approx(track["rate"][0])
    assert (track["nObs"][0], track["nFrames"][0], track["nForced"][0]) == (FRAMES, 14, 0)
    assert track["arcLength"][0] == pytest.approx(11 * STEP_H)
    assert track["band"][0] == "r"


def test_brightness_is_that_of_the_weighted_mean_flux(tables):
    assert tables[0]["mag"][0] == pytest.approx(31.4 - 2.5 * np.log10(1000.0), abs=0.02)
    assert tables[0]["magErr"][0] == pytest.approx(1.0857 * 0.02 / np.sqrt(FRAMES), rel=0.05)
    assert tables[0]["magScatter"][0] == pytest.approx(0.0217, rel=0.6)


def test_members_are_in_order_of_time_with_small_residuals(tables, sources):
    members = tables[1]
    assert (np.diff(members["mjd_tai"]) > 0).all()
    assert set(members["diaSourceId"].tolist()) == set(sources["diaSourceId"].tolist())
    residual = np.hypot(members["raResidual"], members["decResidual"])
    assert residual.max() < 0.25
    assert tables[0]["rms"][0] == pytest.approx(np.sqrt(np.mean(residual.astype(float) ** 2) / 2.0), rel=1e-4)


def test_the_position_is_that_at_the_reference_epoch(tables):
    track = tables[0]
    hours = (track["mjd_tai_ref"][0] - 58568.2) * 24.0
    assert (track["dec"][0] - 25.3) * 3600.0 == pytest.approx(RATE_NORTH * hours, abs=0.1)
    assert 0.0 < track["decErr"][0] * 3600.0 < 0.1


def test_no_track_gives_empty_tables(sources):
    tracks, members = tracklet_tables((), sources, site=SITE, day_obs=20190326, n_frames=3)
    assert (len(tracks), len(members)) == (0, 0)
    assert (tracks.schema.name, members.schema.name) == ("tracklet", "tracklet_source")
