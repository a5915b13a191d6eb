import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.visit_info import VisitInfo
from etendue.tasks.isr.combine_snaps import CombineSnapsConfig, CombineSnapsTask

BOX = Box.from_shape((120, 110))
SKY, READ_NOISE = 200.0, 5.0


def snap(light: np.ndarray, number: int, rng: np.random.Generator, *, seconds: float = 15.0, **parts) -> Exposure:
    """An image of a sky and more light in 15 s, with noise."""
    expected = (SKY + light) * seconds / 15.0
    image = rng.poisson(expected) + rng.normal(0.0, READ_NOISE, expected.shape)
    visit = VisitInfo(visit=1, exposure_time_s=seconds, mjd_tai=60000.0 + number * 2e-4, airmass=1.0 + 0.1 * number)
    return Exposure(
        image=Image(image.astype(np.float32), BOX), mask=parts.pop("mask", Mask.empty(BOX)),
        variance=Image((expected + READ_NOISE**2).astype(np.float32), BOX), physical_filter="r", visit_info=visit,
        **parts,
    )  # fmt: skip


def star(flux: float, sigma: float) -> np.ndarray:
    y, x = np.mgrid[: BOX.shape[0], : BOX.shape[1]]
    return flux * np.exp(-((x - 50) ** 2 + (y - 60) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def test_one_snap_is_returned_as_it_is():
    only = snap(star(1e4, 2.0), 0, np.random.default_rng(1))
    assert CombineSnapsTask(CombineSnapsConfig()).run([only]) is only


def test_the_sum_has_the_time_the_light_and_the_noise_of_all():
    rng = np.random.default_rng(2)
    snaps = [snap(np.zeros(BOX.shape), k, rng, seconds=s) for k, s in enumerate((15.0, 30.0))]
    both = CombineSnapsTask(CombineSnapsConfig()).run(snaps)
    pull = (both.image.array - 3 * SKY) / np.sqrt(both.variance.array)
    assert abs(pull.mean()) < 4.0 / np.sqrt(pull.size)
    assert pull.std() == pytest.approx(1.0, abs=0.03)
    assert both.variance.array.mean() == pytest.approx(3 * SKY + 2 * READ_NOISE**2, rel=0.01)
    assert both.visit_info.exposure_time_s == 45.0
    assert both.visit_info.mjd_tai == pytest.approx(60000.0 + 2e-4 * 30.0 / 45.0)
    assert both.metadata["snap_pixels_left_out"] == 0


@pytest.mark.parametrize("number", [2, 3])
def test_cosmic_rays_of_one_snap_leave_no_trace_in_the_sum(number):
    rng = np.random.default_rng(number)
    hit = rng.random(BOX.shape) < 0.004
    snaps = [snap(star(3e4, 2.0) + (k == 1) * 800.0 * hit, k, rng) for k in range(number)]
    total = CombineSnapsTask(CombineSnapsConfig()).run(snaps)
    pull = ((total.image.array - number * (SKY + star(3e4, 2.0))) / np.sqrt(total.variance.array))[hit]
    assert hit.sum() > 30
    assert abs(pull.mean()) < 4.0 / np.sqrt(pull.size)
    assert np.abs(pull).max() < 5.0


def test_stars_keep_their_light_when_the_seeing_changes_between_snaps():
    rng = np.random.default_rng(5)
    snaps = [snap(star(1e5, sigma), k, rng) for k, sigma in enumerate((2.0, 2.3))]
    total = CombineSnapsTask(CombineSnapsConfig()).run(snaps)
    assert total.metadata["snap_pixels_left_out"] == 0
    np.testing.assert_allclose(total.image.array, sum(one.image.array for one in snaps), rtol=1e-5)


def test_a_pixel_that_one_snap_lacks_comes_from_the_other_and_planes_are_kept():
    rng = np.random.default_rng(6)
    flagged = Mask.empty(BOX)
    where = np.zeros(BOX.shape, bool)
    where[3, 4] = True
    flagged.set_plane("NO_DATA", where)
    first, second = snap(np.zeros(BOX.shape), 0, rng, mask=flagged), snap(np.zeros(BOX.shape), 1, rng)
    first.image.array[3, 4] = first.variance.array[3, 4] = np.nan
    total = CombineSnapsTask(CombineSnapsConfig()).run([first, second])
    assert total.image.array[3, 4] == pytest.approx(2 * second.image.array[3, 4], rel=1e-6)
    assert total.variance.array[3, 4] == pytest.approx(4 * second.variance.array[3, 4], rel=1e-6)
    assert total.mask.any_of(("NO_DATA",))[3, 4]
    second.image.array[3, 4] = np.nan
    assert np.isnan(CombineSnapsTask(CombineSnapsConfig()).run([first, second]).image.array[3, 4])


def test_snaps_of_two_filters_are_refused():
    rng = np.random.default_rng(7)
    one, other = snap(np.zeros(BOX.shape), 0, rng), snap(np.zeros(BOX.shape), 1, rng)
    with pytest.raises(InputError, match="differ in size or filter"):
        CombineSnapsTask(CombineSnapsConfig()).run([one, other.replace(physical_filter="i")])
