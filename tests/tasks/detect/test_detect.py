"""Detection on whole exposures: thresholds, noise, masks, and frames that defeat it."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import GaussianMixturePsf
from etendue.image.psf_pixel_basis import PixelBasisPsf
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.detect.sky_sources import SkySourcesConfig, SkySourcesTask

PSF = GaussianMixturePsf.circular(1.3, 25)


def exposure(pixels, *, variance=1.0, psf=PSF, noise=None, bad=False):
    box = Box.from_shape(pixels.shape, y0=40, x0=-7)
    return Exposure(
        image=Image(pixels.astype(np.float32), box),
        mask=Mask.empty(box).with_plane("BAD", np.broadcast_to(bad, pixels.shape)),
        variance=Image(np.broadcast_to(np.float32(variance), pixels.shape).copy(), box),
        psf=psf, noise=noise, unit="electron",
    )  # fmt: skip


def noise_field(shape=(1024, 1024), seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def with_stars(pixels, x, y, flux):
    stamps = PSF.draw(x=np.asarray(x, float), y=np.asarray(y, float))
    pixels = np.pad(pixels, 30)
    for stamp, x0, y0 in zip(stamps.value, stamps.x0 + 30, stamps.y0 + 30, strict=True):
        pixels[y0 : y0 + 25, x0 : x0 + 25] += flux * stamp
    return pixels[30:-30, 30:-30]


@pytest.mark.parametrize("correlated", [False, True])
def test_the_rate_of_false_peaks_is_the_one_asked_for(correlated):
    pixels, noise = noise_field(), None
    if correlated:
        pixels = (pixels + np.roll(pixels, 1, 0) + np.roll(pixels, 1, 1)) / np.sqrt(3.0)
        noise = NoiseAutocorrelation.from_filter([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    task = DetectTask(DetectConfig(false_per_megapixel=100.0))
    found = task.run(exposure=exposure(pixels, noise=noise))
    expected = 100.0 * pixels.size / 1e6
    assert abs(found.x.size - expected) < 4.0 * np.sqrt(expected)
    assert found.noise_scale == pytest.approx(1.0, abs=0.03)
    assert (found.peak_snr >= found.threshold).all()


def test_a_wrong_variance_moves_a_dynamic_threshold():
    pixels = with_stars(noise_field(), [300, 700], [310, 640], 400.0)
    task = DetectTask(DetectConfig(dynamic_threshold=True))
    found = task.run(exposure=exposure(pixels, variance=0.25))
    assert found.sky_scatter == pytest.approx(2.0, rel=0.1)
    assert found.threshold == pytest.approx(10.0, rel=0.1)
    assert found.x.size == 2


def test_the_filter_follows_the_psf_over_the_field():
    grid = np.linspace(0.0, 1023.0, 3)
    y, x = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    offset = np.arange(-12, 13)
    sigma = 1.0 + x / 1023.0
    stamps = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / sigma[:, None, None] ** 2)
    stamps /= stamps.sum(axis=(1, 2), keepdims=True)
    psf = PixelBasisPsf.from_samples(stamps, step=1.0, x=x, y=y, order=2, size=25)
    pixels = np.zeros((1024, 1024))
    centres = [(100, 500), (900, 500)]
    for col, row in centres:
        pixels[row - 12 : row + 13, col - 12 : col + 13] += 100.0 * psf.stamp(x=col, y=row)
    box = Box.from_shape(pixels.shape)
    flat = Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box),
        variance=Image(np.ones(pixels.shape, np.float32), box), psf=psf, unit="electron",
    )  # fmt: skip
    config = {"sky_cell": 0}
    several = DetectTask(DetectConfig(filter_patch=128, **config)).run(exposure=flat)
    best = [100.0 * np.sqrt(np.sum(psf.stamp(x=col, y=row) ** 2)) for col, row in centres]
    np.testing.assert_allclose(several.peak_snr, best, rtol=5e-3)


def test_grown_footprints_that_touch_are_one():
    pixels = with_stars(np.zeros((200, 200)), [90.0, 104.0], [100.0, 100.0], 200.0)
    apart, grown = (DetectTask(DetectConfig(grow=g)).run(exposure=exposure(pixels)) for g in (0, 4))
    assert apart.x.size == grown.x.size == 2
    assert (len(apart.footprints), len(grown.footprints)) == (2, 1)
    assert grown.exposure.mask.any_of("DETECTED").sum() > apart.exposure.mask.any_of("DETECTED").sum()


def test_peaks_on_spikes_of_bright_stars_must_be_clearer():
    pixels = with_stars(np.zeros((200, 200)), [50.0, 150.0, 100.0], [60.0, 60.0, 140.0], 35.0)
    pixels = with_stars(pixels, [100.0], [60.0], 80.0)
    where = np.zeros(pixels.shape, bool)
    where[55:66, 80:170] = True
    plain = exposure(pixels)
    spiked = plain.replace(mask=plain.mask.with_plane("SPIKE", where))
    found = [DetectTask(DetectConfig(artefact_planes=p)).run(exposure=spiked) for p in ((), ("SPIKE",))]
    assert [one.x.size for one in found] == [4, 3]
    assert np.abs(found[1].x + 7 - 150.0).min() > 10.0


def test_sky_sources_are_empty_and_the_same_for_a_seed():
    pixels = with_stars(noise_field((300, 300)), np.arange(20, 280, 20), np.arange(20, 280, 20), 300.0)
    flagged = DetectTask().run(exposure=exposure(pixels)).exposure
    task = SkySourcesTask(SkySourcesConfig(count=50, margin=6))
    first, again = (task.run(exposure=flagged, seed=3) for _ in range(2))
    assert first.x.size == 50
    np.testing.assert_array_equal(first.x, again.x)
    detected = flagged.mask.any_of("DETECTED")
    for x, y in zip(first.x.astype(int) + 7, first.y.astype(int) - 40, strict=True):
        assert not detected[y - 6 : y + 7, x - 6 : x + 7].any()


def test_a_full_field_has_no_sky_sources_and_says_so():
    full = exposure(np.ones((100, 100)), bad=True)
    with pytest.raises(AlgorithmError, match="too few empty places"):
        SkySourcesTask().run(exposure=full)


@pytest.mark.parametrize("pixels", [np.zeros((200, 220)), noise_field((200, 220), 4)], ids=["blank", "noise"])
def test_a_frame_without_sources_gives_none(pixels):
    if not pixels.any():
        with pytest.raises(AlgorithmError, match="No usable pixel"):
            DetectTask().run(exposure=exposure(pixels, bad=True))
        pixels = pixels + 1e-3
    assert DetectTask(DetectConfig(threshold_snr=5.5)).run(exposure=exposure(pixels)).x.size == 0


def test_three_stars_beside_stripes_of_nan_and_a_satellite_are_found():
    pixels = with_stars(noise_field((400, 400), 6), [60.0, 200.0, 330.0], [70.0, 210.0, 300.0], 200.0)
    pixels[:, 100:110], pixels[150:160] = np.nan, np.nan
    rows, columns = np.indices(pixels.shape)
    pixels += 5.0 * (np.abs(columns - 380 + 0.1 * rows) < 1.5)
    found = DetectTask().run(exposure=exposure(pixels))
    for x, y in ((60.0, 70.0), (200.0, 210.0), (330.0, 300.0)):
        assert np.hypot(found.x - x + 7, found.y - y - 40).min() < 0.5
    trail = np.abs(found.x + 7 - 380 + 0.1 * (found.y - 40)) < 6.0
    assert (~trail).sum() == 3
