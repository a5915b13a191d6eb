import numpy as np
import pytest

from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask

COUNT, LEVEL = 8, 30_000.0


@pytest.fixture(scope="module")
def twilight(make_raw, shape):
    """Return a function that takes flats of skies of different slopes, and gives what they have in common."""
    rng = np.random.default_rng(2)
    response = 1.0 + 0.02 * rng.standard_normal(shape)
    y, x = np.mgrid[-0.5 : 0.5 : shape[0] * 1j, -0.5 : 0.5 : shape[1] * 1j]

    def take(slope):
        slopes = slope * rng.uniform(-1.0, 1.0, (COUNT, 2))
        lights = [LEVEL * (1.0 + a * x + b * y) for a, b in slopes]
        raws = [make_raw(response * light, seed=k, observation_type="flat", file_name=f"{k}.fits")
                for k, light in enumerate(lights)]  # fmt: skip
        return raws, response * np.mean(lights, axis=0) / LEVEL

    return take


def _left(flat, truth):
    """Return what is left of the flat over the truth: scatter in photon noises, and the largest slope."""
    ratio = flat.image.array[:, :80] / truth[:, :80]  # one amplifier: flats of counts hold gains
    ratio /= np.median(ratio)
    y, x = np.mgrid[-0.5 : 0.5 : ratio.shape[0] * 1j, -0.5 : 0.5 : ratio.shape[1] * 1j]
    slope = np.linalg.lstsq(np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1), ratio.ravel(), rcond=None)[0][1:]
    return float(np.std(ratio) * np.sqrt(COUNT * LEVEL)), float(np.abs(slope).max())


def test_slopes_that_differ_between_twilights_leave_their_mean_and_no_noise(twilight, toy_camera):
    raws, truth = twilight(0.12)
    levelled = BuildFlatTask(BuildFlatConfig()).run(raws, toy_camera).exposure
    plain = BuildFlatTask(BuildFlatConfig(gradient=9.0)).run(raws, toy_camera).exposure
    noise, slope = _left(levelled, truth)
    assert noise == pytest.approx(1.0, abs=0.08)
    assert slope < 1e-3
    assert _left(plain, truth)[0] > 1.5
    assert levelled.metadata["largest_slope"] > 0.05
    middle = np.median(levelled.variance.array) * COUNT * LEVEL
    assert middle == pytest.approx(1.0, abs=0.3)  # the error of the mean is that of photons
    assert np.median(plain.variance.array) * COUNT * LEVEL > 2.0


def test_flats_of_one_slope_are_left_as_they_are(twilight, toy_camera):
    raws, _ = twilight(0.0)
    built = [BuildFlatTask(BuildFlatConfig(gradient=g)).run(raws, toy_camera).exposure for g in (5e-3, 9.0)]
    np.testing.assert_array_equal(built[0].image.array, built[1].image.array)


def test_flats_of_all_levels_count_by_their_light(make_raw, toy_camera, shape):
    levels = np.array([3_000.0, 6_000.0, 12_000.0, 25_000.0, 50_000.0, 80_000.0])
    response = 1.0 + 0.02 * np.random.default_rng(4).standard_normal(shape)
    raws = [make_raw(response * level, seed=70 + k, observation_type="flat", file_name=f"{k}.fits")
            for k, level in enumerate(levels)]  # fmt: skip
    flat = BuildFlatTask().run(raws, toy_camera).exposure
    ratio = flat.image.array[:, :80] / response[:, :80]
    noise = np.std(ratio / np.median(ratio)) * np.sqrt(levels.sum())
    assert noise == pytest.approx(1.05, abs=0.1)  # alike they would have 1.8 times that of all photons
    assert np.sqrt(np.median(flat.variance.array[:, :80]) * levels.sum()) == pytest.approx(1.0, abs=0.25)
    assert flat.metadata["weighted"]
