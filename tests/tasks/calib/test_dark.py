import numpy as np
import pytest

from etendue.errors import InputError
from etendue.kernels.combine import clipped_rate_stack
from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask
from etendue.tasks.calib.dark import BuildDarkConfig, BuildDarkTask


def _darks(make_raw, shape, rate, seconds, rays=False):
    frames = []
    for k, lasts in enumerate(seconds):
        charge = np.broadcast_to(rate * lasts, shape).copy()
        if rays:
            charge[10 * k : 10 * k + 3, 20:25] += 5000.0
        frames.append(make_raw(charge, seed=k, observation_type="dark", exposure_time_s=lasts, file_name=f"d{k}.fits"))
    return frames


def test_the_rate_agrees_with_the_definition():
    rng = np.random.default_rng(3)
    seconds = np.array([30.0, 30.0, 100.0, 100.0, 300.0, 300.0])
    charge = rng.normal(0.1 * seconds[:, None, None], 5.0, (6, 20, 30)).astype(np.float32)
    charge[2, 4, :10] = 9000.0
    charge[0, 0, 0] = np.nan
    rate, _ = clipped_rate_stack(charge, seconds, 25.0, 4.0)
    guess = np.nanmedian(charge / seconds[:, None, None], axis=0)
    for _ in range(3):
        variance = 25.0 + np.maximum(guess, 0.0) * seconds[:, None, None]
        used = np.abs(charge - guess * seconds[:, None, None]) <= 4.0 * np.sqrt(variance)
        weights = np.where(used, seconds[:, None, None] / variance, 0.0)
        guess = np.where(used, charge * weights, 0.0).sum(0) / (weights * seconds[:, None, None]).sum(0)
    np.testing.assert_allclose(rate, guess, rtol=1e-4, atol=1e-6)


def test_darks_of_any_times_give_the_rate_with_its_error_and_without_cosmic_rays(toy_camera, make_raw, shape):
    rate = np.full(shape, 0.3)
    rate[40, 60] = 20.0
    frames = _darks(make_raw, shape, rate, [30.0, 30.0, 100.0, 100.0, 300.0, 300.0, 300.0], rays=True)
    dark = BuildDarkTask().run(frames, toy_camera).exposure
    pull = (dark.image.array - rate) / np.sqrt(dark.variance.array)
    assert abs(np.median(pull)) < 0.05
    assert abs(pull.std() - 1.0) < 0.05
    assert abs(dark.image.array[40, 60] - 20.0) < 1.0
    assert dark.metadata["rate_e_s"]["left"] == pytest.approx(0.3, abs=0.01)


def test_a_dark_of_another_temperature_or_mode_is_named(toy_camera, make_raw, shape):
    taken = [(-100.0, "slow"), (-99.5, "slow"), (-100.2, "slow"), (-80.0, "slow"), (-100.0, "fast")]
    frames = [
        make_raw(np.zeros(shape), observation_type="dark", file_name=f"d{k}.fits", temperature_c=c, readout_mode=mode)
        for k, (c, mode) in enumerate(taken)
    ]
    with pytest.raises(InputError, match=r"d3.fits: was taken at -80.0 C, the others at -100.0 C"):
        BuildDarkTask().run(frames, toy_camera)
    result = BuildDarkTask(BuildDarkConfig(on_odd="drop")).run(frames, toy_camera)
    assert [(r.file, "fast" in r.reason) for r in result.refused] == [("d3.fits", False), ("d4.fits", True)]


def test_a_bias_frame_with_light_is_found_and_named(toy_camera, make_raw, shape):
    light = np.zeros(shape)
    light[:64, 80:] = 60.0
    frames = [
        make_raw(light if k == 2 else np.zeros(shape), seed=k, observation_type="bias", file_name=f"b{k}.fits")
        for k in range(6)
    ]
    with pytest.raises(InputError, match=r"b2.fits: departs from the others by .* ADU"):
        BuildBiasTask().run(frames, toy_camera)
    result = BuildBiasTask(BuildBiasConfig(on_odd="drop")).run(frames, toy_camera)
    assert [refusal.file for refusal in result.refused] == ["b2.fits"]
    assert result.exposure.metadata["n_frames"] == 5
