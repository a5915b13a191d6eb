import numpy as np
import pytest

from etendue.image.photo_calib import PhotoCalib
from etendue.stages.link_movers import LinkMovers
from etendue.table.table import Table

NIGHT = {"instrument": "lowell42", "day_obs": 20190326}
FRAMES = 8


@pytest.fixture
def night(dia_sources, visit_image, handle):
    """Return detections of one mover of 30 arcsec per hour among fixed and random ones, and their images."""

    def make(**flags):
        rng, tables, images = np.random.default_rng(4), [], []
        for k in range(FRAMES):
            mjd = 58568.2 + k * 0.01
            x = np.append((mjd - 58568.2) * 24.0 * 30.0, rng.uniform(-600, 600, 10)) + rng.normal(0, 0.05, 11)
            y = np.append(10.0, rng.uniform(-600, 600, 10)) + rng.normal(0, 0.05, 11)
            dec = 25.3 + y / 3600.0
            columns = {name: np.arange(11) == 0 for name in flags}
            tables.append(dia_sources(
                124.6 + x / 3600.0 / np.cos(np.radians(dec)), dec, diaSourceId=np.arange(11) + 100 * k + 1,
                visit=np.full(11, k + 1), midpointMjdTai=np.full(11, mjd), **columns,
            ))  # fmt: skip
            images.append(handle(visit_image(photo_calib=PhotoCalib(scale=1.0, kind="absolute")), visit=k + 1))
        return tuple(tables), tuple(images)

    return make


def run(night):
    return LinkMovers().run(detections=night[0], images=night[1], data_id=NIGHT)


def test_the_mover_is_linked_in_every_frame_with_its_rate(night):
    result = run(night())
    assert len(result.tracklets) == 1
    assert result.tracklets["rate"][0] == pytest.approx(30.0, abs=0.3)
    assert (result.tracklets["nObs"][0], result.tracklets["nFrames"][0]) == (FRAMES, FRAMES)
    assert result.tracklet_sources["diaSourceId"].tolist() == [100 * k + 1 for k in range(FRAMES)]


def test_no_pixel_is_read(night):
    data = night()
    run(data)
    assert {name for image in data[1] for name in image.read} <= {"visit_info", "photo_calib"}


def test_the_exchange_format_has_a_line_per_detection(night):
    lines = [line for line in run(night()).ades.splitlines() if line and not line.startswith(("#", "!"))]
    assert len(lines) == FRAMES + 1  # the first names the columns


@pytest.mark.parametrize("flag", ["isDipole", "centroid_flag", "psfFlux_flag", "pixelFlags_saturatedCenter"])
def test_flagged_detections_make_no_track(night, flag):
    assert len(run(night(**{flag: True})).tracklets) == 0


def test_a_night_without_detections_has_empty_tables(night):
    result = run(((Table.empty("dia_source"),), night()[1]))
    assert (len(result.tracklets), len(result.tracklet_sources)) == (0, 0)
