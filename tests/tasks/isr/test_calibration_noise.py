import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.isr.calibration_noise import calibration_noise, noise_record
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import electronics_of

SKY = 20000.0  # electrons


def master(mean, variance, shape, rng):
    box = Box.from_shape(shape)
    pixels = (mean + np.sqrt(variance) * rng.standard_normal(shape)).astype(np.float32)
    return Exposure(
        image=Image(pixels, box),
        mask=Mask.empty(box),
        variance=Image(np.full(shape, variance, np.float32), box),
        metadata={"counted_in": "electron"},
    )


def calibrations(shape, seed):
    rng = np.random.default_rng(seed)
    return Calibrations(
        bias=master(0.0, 4.0, shape, rng),
        dark=master(0.1, 1e-4, shape, rng),
        flat=master(1.0, 1e-5, shape, rng),
        illumination=master(1.0, 4e-6, shape, rng),
    )


def test_images_scatter_with_their_masters_as_the_variance_says(toy_camera, make_raw, shape):
    raw, detector = make_raw(np.full(shape, SKY), seed=5, exposure_time_s=100.0), toy_camera.detectors[0]
    images = [
        IsrTask().run(raw=raw, camera=toy_camera, calibrations=calibrations(shape, seed)).image.array
        for seed in range(40)
    ]
    use = calibrations(shape, 1)
    said = calibration_noise(
        images[0], detector, calibrations=use, electronics=electronics_of(detector, None, raw.info),
        response=np.ones(shape, np.float32), seconds=100.0,
    )  # fmt: skip
    for amplifier in detector.amplifiers:
        where = amplifier.bbox.slices_in(detector.bbox)
        scatter = np.var(images, axis=0, ddof=1)[where].mean()
        assert scatter == pytest.approx(said[where].mean(), rel=0.02)


def test_the_record_of_an_image_says_how_large_that_noise_is(toy_camera, make_raw, shape):
    raw = make_raw(np.full(shape, SKY), seed=5, exposure_time_s=100.0)
    exposure = IsrTask().run(raw=raw, camera=toy_camera, calibrations=calibrations(shape, 1))
    flats = SKY**2 * 1.4e-5
    record = exposure.metadata["calibration_noise"]
    assert record["sky_electron"] == pytest.approx(np.sqrt(flats + 26.0), rel=0.05)
    assert record["fraction"] == pytest.approx((flats + 26.0) / SKY, rel=0.1)


@pytest.mark.parametrize("step", [3, 8])
def test_thinned_it_is_the_same(toy_camera, make_raw, shape, step):
    detector, info = toy_camera.detectors[0], make_raw(np.zeros(shape)).info
    image = np.random.default_rng(1).uniform(0.0, 100.0, shape).astype(np.float32)
    image[3, 3] = np.nan
    values = {
        "calibrations": calibrations(shape, 3),
        "electronics": electronics_of(detector, None, info),
        "response": np.full(shape, 0.8, np.float32),
        "seconds": 10.0,
    }
    whole = calibration_noise(image, detector, **values)
    np.testing.assert_array_equal(calibration_noise(image, detector, step=step, **values), whole[::step, ::step])
    assert np.isnan(whole[3, 3])


def test_without_masters_there_is_none_and_without_pixels_no_number(toy_camera, make_raw, shape):
    detector, image = toy_camera.detectors[0], np.ones(shape, np.float32)
    info = make_raw(np.zeros(shape)).info
    noise = calibration_noise(
        image, detector, calibrations=Calibrations(), electronics=electronics_of(detector, None, info), response=image,
        seconds=1.0,
    )  # fmt: skip
    assert not noise.any()
    assert np.isnan(noise_record(np.full(shape, np.nan), noise)["sky_electron"])
