import numpy as np
import pytest
from scipy.signal import convolve2d

from etendue.kernels.charge_collection import collect
from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec

ITL = BrighterFatterSpec()
E2V = BrighterFatterSpec(
    serial_shift=4.08e-7, parallel_shift=6.60e-7, serial_softening=0.42, parallel_softening=0.22, falloff=1.60
)
SENSORS = {"lsst_itl_50_32": ITL, "lsst_e2v_50_32": E2V}


def exposed(light, spec, steps=4, noisy=False, seed=1):
    collected = np.zeros_like(light)
    words = np.random.default_rng(seed).integers(0, 2**64, steps * light.shape[0], dtype=np.uint64)
    collect(light, collected, *spec.stencils(), steps, 1e9, noisy, words)
    return collected.astype(float)


def star(size=31, sigma=1.7, flux=1e6, x=0.0, y=0.0):
    line = np.arange(size) - size // 2
    shape = np.exp(-0.5 * (line / sigma) ** 2)
    image = np.exp(-0.5 * ((line[:, None] - y) ** 2 + (line[None, :] - x) ** 2) / sigma**2)
    return (flux * image / shape.sum() ** 2).astype(np.float32)


def moments(image, window=3.0):
    """Return second moments under a round Gaussian window."""
    line = np.arange(image.shape[0]) - image.shape[0] // 2
    weighted = image * np.exp(-0.5 * (line[:, None] ** 2 + line[None, :] ** 2) / window**2)
    total = weighted.sum()
    return np.array([(weighted.sum(0) * line**2).sum(), (weighted.sum(1) * line**2).sum()]) / total


def covariance(frame, dy, dx):
    rest = frame - frame.mean()
    return np.mean(rest[dy:, dx:] * rest[: rest.shape[0] - dy, : rest.shape[1] - dx])


def test_light_is_conserved():
    light = star(x=0.3, y=-0.2) + np.random.default_rng(1).uniform(0.0, 500.0, (31, 31)).astype(np.float32)
    assert exposed(light, E2V).sum() == pytest.approx(light.sum(dtype=float), rel=1e-6)


def test_no_pixel_becomes_negative_beside_the_sharpest_star():
    light = np.zeros((21, 21), np.float32)
    light[10, 10] = 2e6
    assert exposed(light, E2V).min() >= 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 3), (3, 2), (4, 4)])
def test_small_frames_keep_their_light(shape):
    light = np.random.default_rng(2).uniform(1e4, 2e4, shape).astype(np.float32)
    assert exposed(light, E2V).sum() == pytest.approx(light.sum(), rel=1e-5)


def test_boundaries_agree_with_the_slow_definition():
    rng = np.random.default_rng(4)
    light = rng.uniform(1000.0, 3000.0, (14, 12)).astype(np.float32)
    spec = BrighterFatterSpec(reach=3)
    found = exposed(light, spec, steps=2)
    area = spec.area_coefficients()
    assert area.sum() == pytest.approx(0.0, abs=1e-12)
    # even light: what a pixel gains is its area's change times the light, with the charge of mid-exposure
    even = np.full((14, 12), 2000.0, np.float32)
    even[7, 6] = 2010.0
    gained = exposed(even, spec, steps=2) - even
    expected = 2000.0 * convolve2d(np.where(even > 2000.0, 10.0, 0.0), area, mode="same") / 2.0
    np.testing.assert_allclose(gained, expected, atol=0.03 * np.abs(expected).max())
    assert not np.array_equal(found, light)


def test_variance_and_covariances_of_flats_follow_the_area_coefficients(make_ccd, make_chip):
    level, spec = 30000.0, {"serial_shift": 6e-7, "parallel_shift": 9e-7}
    ccd = make_ccd(make_chip(512, 512, columns=1, stories=1, gain=1.0), brighter_fatter=spec)
    area = ccd.spec.brighter_fatter.area_coefficients()
    light = np.full(ccd.shape, level, np.float32)
    frames = [ccd.detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) for k in range(8)]
    differences = [(a.astype(float) - b) / np.sqrt(2.0) for a, b in zip(frames[::2], frames[1::2], strict=True)]
    error = level / (2.0 * 512)  # of a covariance
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2)):
        found = np.mean([covariance(d, dy, dx) for d in differences]) - (level if dy == dx == 0 else 0.0)
        expected = level**2 * area[4 + dy, 4 + dx]
        second_order = 0.12 * abs(expected) + 0.6 * (level * area[4, 4]) ** 2 * level * (dy == dx == 0)
        assert abs(found - expected) < 4.0 * error * (1.5 if dy == dx == 0 else 1.0) + second_order


def test_the_curve_bends_as_the_area_of_a_pixel_shrinks(make_ccd, make_chip):
    ccd = make_ccd(make_chip(512, 512, columns=1, stories=1, gain=2.0), brighter_fatter={})
    levels, ratio = np.array([20000.0, 40000.0, 60000.0, 80000.0]), []
    for level in levels:
        light = np.full(ccd.shape, level, np.float32)
        one, two = (ccd.detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) for k in (1, 2))
        ratio.append(0.5 * np.var(one.astype(float) - two) * 4.0 / level)
    slope = np.sum(levels * (np.array(ratio) - 1.0)) / np.sum(levels**2)
    assert slope == pytest.approx(ccd.spec.brighter_fatter.area_coefficients()[4, 4], rel=0.12)


def test_stars_grow_in_proportion_to_their_flux():
    fluxes = np.array([1e5, 3e5, 6e5, 1e6])
    growth = np.array([moments(exposed(star(flux=f), ITL)) - moments(star(flux=f)) for f in fluxes])
    slope = growth / fluxes[:, None]
    np.testing.assert_allclose(slope, slope.mean(0)[None, :].repeat(4, 0), rtol=0.06)
    assert (slope > 0.0).all()
    assert slope[0, 1] > slope[0, 0]  # columns hold their charge less firmly than channel stops do


def test_four_steps_are_enough():
    coarse, fine = (moments(exposed(star(), ITL, steps=n)) - moments(star()) for n in (4, 64))
    np.testing.assert_allclose(coarse, fine, rtol=2e-3)


@pytest.mark.parametrize("name", SENSORS)
def test_areas_agree_with_galsims_sensor(name):
    galsim = pytest.importorskip("galsim")
    image = galsim.ImageF(star(flux=1.2e6))
    sensor = galsim.SiliconSensor(name, rng=galsim.BaseDeviate(1), qdist=4)
    theirs = sensor.calculate_pixel_areas(image).array[7:-7, 7:-7] - 1.0
    ours = convolve2d(image.array, SENSORS[name].area_coefficients(), mode="same")[7:-7, 7:-7]
    assert np.std(ours - theirs) < 0.05 * np.std(theirs)
    assert ours.min() == pytest.approx(theirs.min(), rel=0.02)


@pytest.mark.parametrize("name", SENSORS)
def test_covariances_of_flats_agree_with_galsims_sensor(name):
    """To first order flats have the covariances ``a_ij mu^2``: compare the areas around one charge."""
    galsim = pytest.importorskip("galsim")
    image = galsim.ImageF(np.zeros((21, 21), np.float32))
    image.array[10, 10] = 50000.0
    sensor = galsim.SiliconSensor(name, rng=galsim.BaseDeviate(1), qdist=4)
    theirs = (sensor.calculate_pixel_areas(image).array[6:15, 6:15] - 1.0) / 50000.0
    ours = SENSORS[name].area_coefficients()
    for dy, dx, tolerance in ((0, 0, 0.02), (1, 0, 0.06), (0, 1, 0.12), (1, 1, 0.16), (0, 2, 0.2), (2, 0, 0.2)):
        assert ours[4 + dy, 4 + dx] == pytest.approx(theirs[4 + dy, 4 + dx], rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", SENSORS)
def test_growth_of_stars_agrees_with_galsims_sensor(name):
    galsim = pytest.importorskip("galsim")
    psf, slopes = galsim.Kolmogorov(fwhm=3.5), {"ours": [], "theirs": []}
    for flux in (4e5, 8e5, 1.2e6):
        seen = []
        for strength in (1e-9, 1.0):
            frames = []
            for seed in range(4):
                sensor = galsim.SiliconSensor(
                    name, rng=galsim.BaseDeviate(seed), qdist=4, diffusion_factor=0.0, strength=strength
                )
                image = galsim.ImageF(31, 31)
                psf.withFlux(flux).drawImage(
                    image,
                    scale=1.0,
                    method="phot",
                    sensor=sensor,
                    rng=galsim.BaseDeviate(50 + seed),
                    poisson_flux=False,
                )
                frames.append(moments(image.array.astype(float)))
            seen.append(np.mean(frames, axis=0))
        slopes["theirs"].append((seen[1] - seen[0]) / flux)
        light = psf.withFlux(flux).drawImage(nx=31, ny=31, scale=1.0).array.astype(np.float32)
        slopes["ours"].append((moments(exposed(light, SENSORS[name])) - moments(light)) / flux)
    ours, theirs = (np.mean(slopes[side], axis=0) for side in ("ours", "theirs"))
    print(name, "growth of Ixx, Iyy per electron:", ours, theirs, ours / theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0.04)
