import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.background.background import SubtractBackgroundConfig, SubtractBackgroundTask


def _scene(seed=1, stars=400, shape=(500, 620)):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    sky = 4000.0 + 0.5 * y - 0.3 * x + 60.0 * np.sin(x / 200.0)
    light = np.zeros(shape)
    dy, dx = np.mgrid[-10:11, -10:11]
    for _ in range(stars):
        row, col = rng.integers(10, shape[0] - 10), rng.integers(10, shape[1] - 10)
        light[row - 10 : row + 11, col - 10 : col + 11] += 10 ** rng.uniform(1.5, 4) * np.exp(-(dy**2 + dx**2) / 3.0)
    image = rng.poisson(sky + light).astype(np.float32)
    box = Box.from_shape(shape, y0=100, x0=-30)
    exposure = Exposure(
        image=Image(image, box), mask=Mask.empty(box), variance=Image(image.copy(), box), unit="electron"
    )
    return exposure, sky


def test_recovers_a_curved_sky_below_stars():
    exposure, sky = _scene()
    result = SubtractBackgroundTask().run(exposure=exposure)
    residual = result.background.image().array - sky
    assert abs(residual.mean()) < 0.03 * 63.0  # 3% of the pixel noise
    assert residual.std() < 0.1 * 63.0
    total = result.exposure.image.array + result.background.image().array
    np.testing.assert_allclose(total, exposure.image.array, rtol=1e-6)


def test_passes_without_sources_are_less_biased():
    bias = np.zeros(2)
    for seed in (1, 2, 3):
        exposure, sky = _scene(seed=seed, stars=1500)
        for k, config in enumerate((SubtractBackgroundConfig(source_threshold=None), SubtractBackgroundConfig())):
            bias[k] += (SubtractBackgroundTask(config).run(exposure=exposure).background.image().array - sky).mean() / 3
    assert abs(bias[1]) < min(abs(bias[0]), 0.03 * 63.0)


def test_backgrounds_add_up():
    exposure, _ = _scene()
    once = SubtractBackgroundTask().run(exposure=exposure).exposure
    twice = SubtractBackgroundTask().run(exposure=once)
    total = twice.exposure.background.image().array
    np.testing.assert_allclose(twice.exposure.image.array + total, exposure.image.array, atol=2e-2)
    assert twice.background.image().array.std() < 0.05 * 63.0


def test_masked_pixels_do_not_count():
    exposure, sky = _scene(stars=0)
    image = exposure.image.array.copy()
    image[100:300, 100:300] += 5000.0
    where = image - exposure.image.array > 1.0
    changed = exposure.replace(image=Image(image, exposure.bbox), mask=exposure.mask.with_plane("DETECTED", where))
    residual = SubtractBackgroundTask().run(exposure=changed).background.image().array - sky
    assert abs(residual[~where].mean()) < 2.0


def test_a_frame_without_sky_fails_with_a_reason():
    exposure, _ = _scene(stars=0)
    masked = exposure.replace(mask=exposure.mask.with_plane("BAD", True))
    with pytest.raises(AlgorithmError, match="no cell has enough sky pixels"):
        SubtractBackgroundTask().run(exposure=masked)


def test_a_large_galaxy_stays_in_the_image():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:2048, :2048]
    sky = 4000.0 + 0.02 * y
    light = 400.0 * np.exp(-np.hypot(x - 960.0, y - 1060.0) / 70.0)
    image = (sky + light + 63.0 * rng.standard_normal(sky.shape)).astype(np.float32)
    box = Box.from_shape(image.shape)
    exposure = Exposure(
        image=Image(image, box), mask=Mask.empty(box), variance=Image(np.full_like(image, 4000.0), box), unit="electron"
    )
    taken = [
        (SubtractBackgroundTask(SubtractBackgroundConfig(object_clip=clip)).run(exposure=exposure)
        .background.image().array - sky).sum() / light.sum()
        for clip in (3.0, None)
    ]  # fmt: skip
    assert abs(taken[0]) < 0.1  # 0.004 of the pixel noise: the galaxy covers half of the frame
    assert taken[1] > 0.3


def test_detected_pixels_count_as_light_but_their_surroundings_are_looked_at():
    exposure, sky = _scene(stars=300)
    stars = exposure.image.array - sky > 5.0 * 63.0
    flagged = exposure.replace(mask=exposure.mask.with_plane("DETECTED", stars))
    residual = SubtractBackgroundTask().run(exposure=flagged).background.image().array - sky
    assert abs(residual.mean()) < 0.02 * 63.0


@pytest.mark.parametrize("fault", ["blank", "stripes", "quarter", "tiny"])
def test_frames_with_faults_keep_their_sky(fault):
    exposure, sky = _scene(stars=3)
    image = exposure.image.array.copy()
    if fault == "blank":
        image = np.zeros_like(image)
        sky = np.zeros_like(sky)
    if fault == "stripes":
        image[:, 100:140], image[300:310] = np.nan, np.nan
    if fault == "quarter":  # a bright star saturates a quarter of the frame
        image[:250, :310] = 60000.0
    where = image > 50000.0
    if fault == "tiny":
        image, sky, where = image[:20, :30], sky[:20, :30], where[:20, :30]
    box = Box.from_shape(image.shape)
    mask = Mask.empty(box).with_plane("SAT", where)
    changed = Exposure(image=Image(image, box), mask=mask, variance=Image(np.ones_like(image), box), unit="electron")
    result = SubtractBackgroundTask().run(exposure=changed)
    residual = (result.background.image().array - sky)[~where]
    assert abs(residual.mean()) < (0.1 if fault == "tiny" else 0.02) * 63.0
    assert result.noise == pytest.approx(0.0 if fault == "blank" else 63.0, rel=0.1)
