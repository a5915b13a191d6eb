import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.spot_scan import BuildSpotScanConfig, BuildSpotScanTask, SpotImage

NY, NX = 200, 240
BOX = Box.from_shape((NY, NX))
Y, X = np.mgrid[:NY, :NX]
TASK = BuildSpotScanTask(BuildSpotScanConfig(degree=2))


def _truth():
    u, v = 2.0 * X / NX - 1.0, 2.0 * Y / NY - 1.0
    factor = 1.0 + 0.04 * u - 0.03 * v + 0.05 * (u**2 + v**2) - 0.02 * u * v
    return factor / np.median(factor)


def _image(x, y, rng, *, power=None, said=None, radius=9.0, sat=False, more=()):
    """An image by a flat that lacks `_truth`: a soft disc, scattered light, photon noise, a hot pixel."""
    power = rng.uniform(0.5, 1.5) if power is None else power
    disc = 1.0 / (1.0 + np.exp((np.hypot(X - x, Y - y) - radius) / 1.5))
    disc += sum(0.8 / (1.0 + np.exp((np.hypot(X - a, Y - b) - radius) / 1.5)) for a, b in more)
    light = _truth() * (8000.0 * power * disc + 50.0)
    pixels = rng.poisson(light).astype(np.float32)
    pixels[5, 7] = 60_000.0
    mask = Mask.empty(BOX).with_plane("SAT", (disc > 0.9) & sat)
    exposure = Exposure(image=Image(pixels, BOX), mask=mask, variance=Image(np.asarray(light, np.float32), BOX),
                        unit="electron")  # fmt: skip
    return SpotImage(exposure, power if said is None else said, f"{x:.0f}-{y:.0f}.fits")


def _scan(seed, count=49, **more):
    rng = np.random.default_rng(seed)
    side = round(count**0.5)
    places = [(x, y) for x in np.linspace(40, NX - 41, side) for y in np.linspace(40, NY - 41, side)]
    return [_image(x + rng.uniform(-3, 3), y + rng.uniform(-3, 3), rng, **more) for x, y in places]


@pytest.mark.parametrize("seed", [1, 2])
def test_spots_of_known_power_tell_the_response_at_low_frequencies(seed):
    found = TASK.run(_scan(seed), BOX)
    truth = _truth()
    assert np.std(truth) > 0.03
    assert np.std(found.image.array / truth) < 1.5e-3  # a spot holds two million electrons
    assert found.metadata["spots"] >= 47
    assert found.metadata["rms_mag"] < 2e-3


def test_what_went_wrong_with_single_frames_is_left_out_and_said():
    rng = np.random.default_rng(5)
    odd = [
        _image(100, 100, rng, power=1.0, said=1.3), _image(100, 60, rng, sat=True), _image(6, 100, rng),
        _image(80, 80, rng, more=((200, 150),)), _image(160, 120, rng, said=float("nan")),
    ]  # fmt: skip
    found = TASK.run([*odd, *_scan(6)], BOX)
    assert np.std(found.image.array / _truth()) < 1.5e-3
    silent = "does not say how bright the spot was"
    reasons = list(found.metadata["refused"].values())
    assert reasons == ["the spot has bad pixels", "the spot is at the edge", "2 spots", silent]
    assert found.metadata["spots"] <= 49


def test_frames_that_tell_nothing_are_refused():
    with pytest.raises(InputError, match="no frame says how bright its spot was"):
        TASK.run(_scan(7, 4, said=float("nan")), BOX)
    with pytest.raises(AlgorithmError, match="too few spots are usable"):
        TASK.run(_scan(8, 9), BOX)
    with pytest.raises(AlgorithmError, match="too few spots are usable"):
        TASK.run([], BOX)
