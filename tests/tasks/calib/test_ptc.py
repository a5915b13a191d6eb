import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError, InputError
from etendue.image.ptc import Ptc
from etendue.tasks.calib.bias import BuildBiasTask
from etendue.tasks.calib.covariance_fit import CovarianceFit, convolved, covariance_error, fit_covariances, mirrored
from etendue.tasks.calib.exposed import LevelConfig, expose_flats
from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairConfig, MeasurePairTask
from etendue.tasks.calib.ptc import MeasurePtcConfig, MeasurePtcTask, without_deferral
from etendue.tasks.calib.turnoff import measure_turnoff
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutConfig
from flat_pairs import MEASURE, pair, statistics

LEVELS = (200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 12000.0, 16000.0, 20000.0, 24000.0, 28000.0, 32000.0)


@pytest.fixture(scope="module")
def detector(toy_camera):
    return toy_camera.detectors[0]


@pytest.fixture(scope="module")
def biases(detector):
    return statistics(detector, [0.0] * 2)


def areas(lag=4):
    """Area coefficients like those of a thick sensor, of zero sum."""
    j, i = np.mgrid[: lag + 1, : lag + 1]
    a = 1.5e-7 / np.maximum(j**2 + 1.5 * i**2, 1.0) ** 1.6
    a[0, 0] = 0.0
    a[0, 0] = -mirrored(a).sum()
    return a


def test_gain_noise_and_turnoff_come_back_with_calibrated_errors(detector, biases):
    ptc = MeasurePtcTask().run([*biases, *statistics(detector, (*LEVELS, 33000.0, 35000.0), full=32500.0)], detector)
    for name, gain in (("left", 2.0), ("right", 3.0)):
        entry = ptc[name]
        assert abs(entry.gain - gain) < 4.0 * entry.gain_err < 0.04 * gain
        assert abs(entry.read_noise - math.hypot(6.0, 0.0)) < 4.0 * entry.read_noise_err < 0.8
        assert entry.turnoff_adu * gain == pytest.approx(32500.0, rel=0.03)
        assert entry.transfer is not None
        assert not entry.transfer.used[-2:].any()


def test_pulls_of_gains_have_unit_width(detector):
    task, pulls = MeasurePtcTask(MeasurePtcConfig(share_areas=False)), []
    for seed in range(12):
        ptc = task.run(statistics(detector, LEVELS[2:], seed), detector, read_noise_adu={"left": 3.0, "right": 2.0})
        pulls += [(ptc[n].gain - g) / ptc[n].gain_err for n, g in (("left", 2.0), ("right", 3.0))]
    assert abs(np.std(pulls) - 1.0) < 4.0 / math.sqrt(2.0 * len(pulls))


def test_a_curve_that_does_not_tell_the_read_noise_asks_for_it(detector):
    noisiest = statistics(detector, LEVELS[4:], noise_e=0.0)
    for one in noisiest:  # less variance than photons alone: a noise squared below 0
        one.covariance[:, 0, 0] -= 50.0
    with pytest.raises(AlgorithmError, match="The curve does not tell the read noise"):
        MeasurePtcTask().run(noisiest, detector)


def test_few_levels_give_plain_photon_transfer(detector, biases):
    flats = statistics(detector, [10000.0] * 4)
    ptc = MeasurePtcTask().run([*biases, *flats], detector, header_gain=2.0)
    assert ptc["right"].gain == pytest.approx(3.0, rel=0.05)
    assert ptc["right"].transfer is None
    assert ptc["left"].consistent
    assert not ptc["right"].consistent
    assert math.isnan(ptc["left"].turnoff_adu)
    given = MeasurePtcTask().run(flats, detector, read_noise_adu={"left": 3.0, "right": 2.0})
    assert given["left"].read_noise_adu == pytest.approx(3.0)
    with pytest.raises(InputError, match="left: nothing tells the read noise"):
        MeasurePtcTask().run(flats, detector)


def test_no_flats_are_refused(detector, biases):
    with pytest.raises(InputError, match="no pair of flats has usable pixels"):
        MeasurePtcTask().run(biases, detector)
    with pytest.raises(InputError, match="flat is not of this detector"):
        MEASURE.run(replace(pair(detector, 500.0, 1), first=np.zeros((5, 5), np.float32)), detector)


def test_stars_cosmic_rays_and_unknown_pixels_do_not_change_the_gain(detector):
    clean = pair(detector, 10000.0, 3)
    first, second = clean.first.copy(), clean.second.copy()
    first[40:44, 30:33] += 5000.0  # a cosmic ray
    for pixels in (first, second):
        pixels[60:64, 100:104] += 20000.0  # a star, or hot pixels
        pixels[:, 20] = np.nan
    one, other = (MEASURE.run(p, detector) for p in (clean, replace(clean, first=first, second=second)))
    np.testing.assert_allclose(other.covariance[:, 0, 0], one.covariance[:, 0, 0], rtol=0.02)
    np.testing.assert_allclose(other.level, one.level, rtol=1e-3)
    assert (other.pairs[:, 0, 0] < one.pairs[:, 0, 0]).all()


def test_a_dead_amplifier_keeps_the_cameras_numbers_without_errors(detector, biases):
    dead = pair(detector, 10000.0, 3)
    dead.first[:, 80:] = np.nan
    ptc = MeasurePtcTask().run([*biases, MEASURE.run(dead, detector)], detector)
    assert (ptc["right"].gain, ptc["right"].read_noise, ptc["right"].consistent) == (3.0, 9.0, False)
    assert math.isnan(ptc["right"].gain_err)
    assert ptc["left"].gain == pytest.approx(2.0, rel=0.1)


def test_lamps_of_different_level_are_no_noise(detector):
    even, uneven = (MEASURE.run(pair(detector, 20000.0, 5, lamp=lamp), detector) for lamp in ((1.0, 1.0), (1.05, 0.95)))
    gain = [s.signal / (s.covariance[:, 0, 0] - 36.0 / np.array([2.0, 3.0]) ** 2) for s in (even, uneven)]
    np.testing.assert_allclose(gain, [[2.0, 3.0]] * 2, rtol=0.07)


def test_the_fit_returns_what_the_equation_was_given():
    a = areas()
    true = CovarianceFit(1.7, 0.0, a, 0 * a, -1e-6 * a, np.full(a.shape, 0.02) + 9.0 * (a == a[0, 0]), 0 * a)
    signal = np.geomspace(100.0, 50000.0, 30)
    covariance, pairs = true.covariance(signal), np.full((30, *a.shape), 1e6)
    fit = fit_covariances(signal, covariance, pairs, slope_sigma=1e-2)
    assert fit.gain == pytest.approx(1.7, rel=1e-6)
    np.testing.assert_allclose(fit.area, a, rtol=1e-3)
    np.testing.assert_allclose(fit.bend, true.bend, atol=0.02 * np.abs(true.bend).max())
    np.testing.assert_allclose(fit.noise_adu2, true.noise_adu2, rtol=1e-3)


def test_errors_of_areas_are_calibrated():
    a = areas(2)
    true = CovarianceFit(1.5, 0.0, a, 0 * a, 0 * a, 9.0 * (a == a[0, 0]), 0 * a)
    rng, signal = np.random.default_rng(5), np.linspace(500.0, 50000.0, 25)
    model, pairs = true.covariance(signal), np.full((25, 3, 3), 2.5e5)
    error, pulls = covariance_error(model[:, 0, 0], pairs), []
    for _ in range(60):
        fit = fit_covariances(signal, rng.normal(model, error), pairs, slope_sigma=1e-9)
        pulls.append((fit.area - a) / fit.area_err)
    assert abs(np.std(pulls) - 1.0) < 4.0 / math.sqrt(2.0 * 9 * 60)


def test_convolution_is_that_of_even_functions():
    a = np.random.default_rng(1).random((4, 4))
    assert convolved(a, np.eye(1, 4).T @ np.eye(1, 4)) == pytest.approx(a)
    full = mirrored(a)
    slow = sum(full[3 + j, 3 + i] * full[3 - j, 3 - i] for j in range(-3, 4) for i in range(-3, 4))
    assert convolved(a, a)[0, 0] == pytest.approx(slow)


def test_deferred_charge_is_put_back():
    noise = np.random.default_rng(4).normal(size=(4, 300, 300))
    kept = 0.95 * noise + 0.05 * np.roll(noise, 1, axis=2)
    lags = [[np.mean(kept * np.roll(kept, (-j, -i), axis=(1, 2))) for i in range(3)] for j in range(3)]
    back = without_deferral(np.array([lags]), 0.05, axis=2)[0]
    expected = np.eye(1, 3).T @ np.eye(1, 3)
    np.testing.assert_allclose(back, expected, atol=0.05**2 * 3 + 5.0 / 600.0)
    assert abs(back[0, 0] - 1.0) < 0.2 * abs(lags[0][0] - 1.0)


def test_turnoff_is_not_claimed_where_the_variance_never_drops():
    signal = np.linspace(100.0, 50000.0, 4000)
    variance = signal / 1.5 * (1.0 - 1e-6 * signal)
    assert math.isnan(measure_turnoff(signal, variance, drop=0.1))
    assert math.isnan(measure_turnoff(signal[:3], variance[:3], drop=0.1))
    full = np.where(signal > 40000.0, 0.01 * variance, variance)
    assert measure_turnoff(signal, full, drop=0.1) == pytest.approx(40000.0, rel=0.01)


def test_the_curve_survives_json(detector, biases):
    ptc = MeasurePtcTask().run([*biases, *statistics(detector, LEVELS)], detector)
    again = Ptc.from_dict(ptc.to_dict())
    np.testing.assert_allclose(again["left"].transfer.area, ptc["left"].transfer.area, rtol=1e-6)
    np.testing.assert_array_equal(again["left"].transfer.used, ptc["left"].transfer.used)
    assert again["left"].transfer.lag == 2


@pytest.mark.realdata
def test_twilight_flats_of_lowell_give_the_gain_without_a_curve(shared_data):
    camera, folder = load_camera("lowell42"), shared_data / "lowell42"
    detector = camera.detectors[0]
    biases = [read_raw(folder / "bias" / f"20190326.{i:04d}.fits.fz", camera) for i in (3, 4, 5, 6)]
    bias = BuildBiasTask().run(biases, camera).exposure
    raws = [read_raw(path, camera) for path in sorted((folder / "flat").glob("*.fits.fz"))]
    flats = [raw for raw in raws if raw.info.physical_filter == "VR"]
    exposed, _ = expose_flats(flats, detector, Calibrations(bias=bias), ReadoutConfig(), LevelConfig())
    task = MeasurePairTask(MeasurePairConfig(gradient=True))
    found = [
        task.run(FlatPair(a.pixels, b.pixels, (a.raw.info.exposure_time_s, b.raw.info.exposure_time_s)), detector)
        for a, b in pairwise(exposed)
    ]
    ptc = MeasurePtcTask().run(found, detector, read_noise_adu=bias.metadata["read_noise_adu"], header_gain=4.95)
    print(ptc["A"])
    assert ptc["A"].gain == pytest.approx(3.66, rel=0.02)
    assert not ptc["A"].consistent
    assert ptc["A"].transfer is None
