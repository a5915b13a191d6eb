"""Moments, Kron, Gaussian-aperture and profile fluxes on scenes of sources that stand alone."""

import galsim
import numpy as np
import pytest

from etendue.errors import InputError
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import PixelBasisPsf
from etendue.kernels.kron import ellipse_overlap
from etendue.kernels.weighted_light import absolute_value
from etendue.tasks.measure.adaptive_shape import AdaptiveShapes
from etendue.tasks.measure.centroids import SmoothedPeak
from etendue.tasks.measure.dipole import Dipole
from etendue.tasks.measure.extendedness import Extendedness
from etendue.tasks.measure.gaap import Gaap, GaapConfig, gaap_name
from etendue.tasks.measure.galaxies import Galaxies
from etendue.tasks.measure.held_models import HeldModels
from etendue.tasks.measure.kron import Blendedness, Kron
from etendue.tasks.measure.light import SourceLight
from etendue.tasks.measure.local_background import LocalBackground
from etendue.tasks.measure.scene import Scene
from etendue.tasks.measure.sersic import Sersic
from etendue.tasks.measure.trail import Trail

SIDE, OVERSAMPLING = 81, 5
GALAXY = galsim.Exponential(half_light_radius=2.5).shear(g1=0.2, g2=0.1).withFlux(1e3)
STAR = galsim.DeltaFunction(1e3)
KERNEL = np.array([[0.1, 0.3, 0.1], [0.3, 1.0, 0.3], [0.1, 0.3, 0.1]])


def pixel_basis(seeing):
    side = 63 * OVERSAMPLING
    fine = galsim.Convolve(seeing, galsim.Pixel(1.0)).drawImage(
        nx=side, ny=side, scale=1.0 / OVERSAMPLING, method="no_pixel"
    )
    samples = OVERSAMPLING**2 * fine.array[np.newaxis].astype(np.float64)
    return PixelBasisPsf.from_samples(samples, step=1.0 / OVERSAMPLING, x=[0.0], y=[0.0], order=0, size=63)


def draw(profile, seeing, dx=0.0, dy=0.0):
    image = galsim.Convolve(profile, seeing).shift(dx, dy).drawImage(nx=SIDE, ny=SIDE, scale=1.0)
    return image.array.astype(np.float64)


def scene(images, dx, dy, seeing, sigma=0.05, noise=None):
    """Return a scene of images side by side, whose sources lie (dx, dy) from their middles."""
    n, psf = len(images), pixel_basis(seeing)
    image, none = np.ascontiguousarray(np.concatenate(images, axis=1)), np.zeros(n, np.int64)
    variance = np.full(image.shape, sigma**2)
    return Scene(
        residual=image, variance=variance, weight_variance=variance, slope=0.0, bad=np.zeros(image.shape, bool),
        x0=1000, y0=500, light=SourceLight(np.zeros(0, np.float32), np.zeros(n + 1, np.int64), none, none, none, none),
        x=np.arange(n) * SIDE + SIDE // 2 + np.asarray(dx), y=np.full(n, SIDE // 2 + 0.0) + dy,
        psf_flux=np.full(n, 1e3), psf_flux_err=np.ones(n), psf_chi2=np.ones(n), psf=psf,
        fwhm=float(psf.fwhm(x=0.0, y=0.0)[0]), noise=noise, forced=False, pixel_scale=float("nan"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def good_seeing():
    return galsim.Kolmogorov(fwhm=3.0)


@pytest.fixture(scope="module")
def pair(good_seeing):
    """A star and a galaxy off the middles of their pixels, almost without noise."""
    images = [draw(STAR, good_seeing, 0.3, -0.2), draw(GALAXY, good_seeing, -0.4, 0.1)]
    return scene(images, [0.3, -0.4], [-0.2, 0.1], good_seeing)


@pytest.fixture(scope="module")
def moments(pair):
    return AdaptiveShapes().run(pair, {})


def test_every_measurement_fills_its_columns(pair, moments):
    for one in (AdaptiveShapes(), SmoothedPeak(), Kron(), Blendedness(), Galaxies()):
        columns = one.run(pair, moments)
        assert set(columns) == set(one.columns)
        assert all(np.shape(value) == (2,) for value in columns.values())


def test_moments_of_a_star_are_the_psf_and_lie_in_parent_pixels(moments):
    for name in ("ixx", "iyy", "ixy"):
        assert moments[name][0] == pytest.approx(moments[f"{name}PSF"][0], abs=2e-3)
    assert moments["hsm_x"][0] == pytest.approx(1000.0 + SIDE // 2 + 0.3, abs=1e-3)
    assert moments["hsm_y"][0] == pytest.approx(500.0 + SIDE // 2 - 0.2, abs=1e-3)


@pytest.mark.parametrize("source", [STAR, GALAXY])
def test_the_peak_of_smoothed_sources_is_their_place_even_behind_a_lopsided_telescope_and_its_error_is_right(source):
    lopsided = galsim.Convolve(
        galsim.OpticalPSF(lam_over_diam=0.9, coma1=0.1, obscuration=0.5), galsim.Kolmogorov(fwhm=2.5)
    )
    clean, rng, n, sigma = draw(source, lopsided, 0.3, -0.2), np.random.default_rng(4), 400, 2.0
    many = scene(
        [clean + rng.normal(0.0, sigma, clean.shape) for _ in range(n)], np.full(n, 0.3), -0.2, lopsided, sigma
    )
    found = SmoothedPeak().run(many, AdaptiveShapes().run(many, {}))
    for axis, truth in (("x", many.x + 1000.0), ("y", many.y + 500.0)):
        pull = (found[f"sdssCentroid_{axis}"] - truth) / found[f"sdssCentroid_{axis}Err"]
        assert abs(pull.mean()) < 4.0 / np.sqrt(n)
        assert pull.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(2.0 * n))


def test_regauss_finds_the_galaxy_behind_the_psf(moments):
    truth = galsim.Shear(g1=0.2, g2=0.1)
    assert moments["hsmShapeRegauss_e1"][1] == pytest.approx(truth.e1, abs=0.01)
    assert moments["hsmShapeRegauss_e2"][1] == pytest.approx(truth.e2, abs=0.01)
    assert abs(moments["hsmShapeRegauss_resolution"][0]) < 1e-3


def test_kron_apertures_hold_most_of_the_light_and_are_never_smaller_than_for_a_star(pair, moments):
    kron = Kron().run(pair, moments)
    np.testing.assert_allclose(kron["kronFlux"], 1e3 * np.array([0.945, 0.955]), rtol=0.01)
    assert kron["kronRad"][1] > 1.5 * kron["kronRad"][0]
    assert not kron["kronFlux_flag"].any()


def test_kron_needs_moments(pair):
    with pytest.raises(InputError, match="measure them first"):
        Kron().run(pair, {})


def test_the_overlap_of_an_ellipse_sums_to_its_area():
    axx, axy, ayy = 1.5, 0.3, (1.0 + 0.3**2) / 1.5
    areas = [ellipse_overlap(i - 0.3, j + 0.1, axx, axy, ayy, 6.0) for i in range(-12, 13) for j in range(-12, 13)]
    assert sum(areas) == pytest.approx(np.pi * 36.0, abs=0.01)


@pytest.mark.parametrize("seeing", [galsim.Kolmogorov(fwhm=2.6), galsim.Moffat(beta=3.0, fwhm=3.4).shear(g1=0.05)])
def test_gaussian_apertures_do_not_depend_on_the_seeing(seeing):
    images = [draw(STAR, seeing, 0.3, -0.2), draw(GALAXY, seeing, -0.4, 0.1)]
    fluxes = Gaap().run(scene(images, [0.3, -0.4], [-0.2, 0.1], seeing), {})
    for sigma in (0.7, 1.0):
        pixels = sigma / 0.2
        blurred = galsim.Convolve(GALAXY, galsim.Gaussian(sigma=pixels))
        expected = 2.0 * np.pi * pixels**2 * blurred.drawImage(nx=1, ny=1, scale=1.0, method="no_pixel").array[0, 0]
        np.testing.assert_allclose(fluxes[gaap_name(sigma)], [1e3, expected], rtol=1e-3)
        assert not fluxes[f"{gaap_name(sigma)}_flag"].any()


def test_an_aperture_too_small_for_the_seeing_is_flagged(pair):
    fluxes = Gaap(GaapConfig(sigmas=(0.25,))).run(pair, {})
    assert fluxes["gaap0p25Flux_flag_bigPsf"].all()
    assert np.isnan(fluxes["gaap0p25Flux"]).all()


@pytest.mark.parametrize("correlated", [False, True])
def test_errors_of_kron_and_gaussian_apertures_are_their_scatter(good_seeing, correlated):
    rng, n, sigma = np.random.default_rng(4), 200, 0.4
    kernel = KERNEL if correlated else np.ones((1, 1))
    galaxy = draw(GALAXY, good_seeing)
    spectrum = np.fft.rfft2(kernel / np.sqrt((kernel**2).sum()), galaxy.shape)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(0.0, sigma, (n, SIDE, SIDE))) * spectrum, galaxy.shape)
    law = NoiseAutocorrelation.from_filter(kernel) if correlated else None
    quiet, noisy = (scene(images, 0.0, 0.0, good_seeing, sigma, law) for images in ([galaxy], list(galaxy + noise)))
    for one, names in ((Kron(), ("kronFlux",)), (Gaap(), ("gaap0p7Flux", "gaap1p0Flux"))):
        truth, found = (one.run(each, AdaptiveShapes().run(each, {})) for each in (quiet, noisy))
        for name in names:
            pull = (found[name] - truth[name][0]) / found[f"{name}Err"]
            assert np.std(pull) == pytest.approx(1.0, abs=4.0 / np.sqrt(2 * n))
            assert np.median(pull) == pytest.approx(0.0, abs=5.0 / np.sqrt(n))


def test_errors_of_broad_fractions_of_stars_hold_in_correlated_noise(good_seeing):
    rng, n, sigma = np.random.default_rng(6), 200, 2.0
    spectrum = np.fft.rfft2(KERNEL / np.sqrt((KERNEL**2).sum()), (SIDE, SIDE))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(0.0, sigma, (n, SIDE, SIDE))) * spectrum, (SIDE, SIDE))
    images = list(draw(STAR, good_seeing) + noise)
    found = Extendedness().run(
        scene(images, 0.0, 0.0, good_seeing, sigma, NoiseAutocorrelation.from_filter(KERNEL)), {}
    )
    pull = found["broadFraction"] / found["broadFractionErr"]
    assert 0.7413 * np.subtract(*np.percentile(pull, [75, 25])) == pytest.approx(1.0, abs=4.0 * 1.16 / np.sqrt(n))


def test_a_neighbour_s_light_counts_as_blendedness(pair, moments):
    """The galaxy's light is given as its own stamp, and a copy of it lies on the star."""
    galaxy = pair.residual[:, SIDE:].astype(np.float32)
    light = SourceLight(
        np.concatenate([np.zeros(galaxy.size, np.float32), galaxy.ravel()]), np.array([0, 1, 2]) * galaxy.size,
        np.array([0, 0]), np.zeros(2, np.int64), np.full(2, SIDE), np.full(2, SIDE),
    )  # fmt: skip
    blend = {name: getattr(pair, name) for name in Scene.__slots__} | {"light": light}
    found = Blendedness().run(Scene(**blend), moments)
    assert 0.2 < found["blendedness_abs"][0] < 0.5
    assert Blendedness().run(pair, moments)["blendedness_abs"][0] == 0.0


def test_absolute_values_are_freed_of_a_part_of_what_noise_adds():
    rng = np.random.default_rng(9)
    faint, bright = rng.normal(0.0, 1.0, 20_000), rng.normal(4.0, 1.0, 20_000)
    assert 0.0 < np.mean([absolute_value(v, 1.0) for v in faint]) < 0.75 * np.abs(faint).mean()
    assert np.mean([absolute_value(v, 1.0) for v in bright]) == pytest.approx(4.0, abs=0.05)
    assert absolute_value(-2.0, 0.0) == 2.0


def test_stars_are_told_from_galaxies_by_the_ratio_of_likelihoods(pair, moments):
    fits = Galaxies().run(pair, moments)
    assert fits["extended_logRatio"][0] < 50.0 < 1e4 < fits["extended_logRatio"][1]
    np.testing.assert_allclose(fits["cModelFlux"], 1e3, rtol=2e-3)
    assert fits["exp_x"][1] == pytest.approx(1000.0 + SIDE + SIDE // 2 - 0.4, abs=0.01)


@pytest.mark.parametrize("index", [0.7, 2.0, 4.5])
def test_sersic_profiles_are_found_again(good_seeing, index):
    galaxy = galsim.Sersic(n=index, half_light_radius=2.5).shear(g1=0.2, g2=0.1).withFlux(1e3)
    one = scene([draw(galaxy, good_seeing, 0.3, -0.2)], [0.3], [-0.2], good_seeing, sigma=0.02)
    known = AdaptiveShapes().run(one, {})
    fit = Sersic().run(one, known | Galaxies().run(one, known))
    assert fit["sersicFlux"][0] == pytest.approx(1e3, rel=0.005)
    assert fit["sersic_index"][0] == pytest.approx(index, rel=0.02)
    radius = (fit["sersic_xx"] * fit["sersic_yy"] - fit["sersic_xy"] ** 2) ** 0.25
    assert radius[0] == pytest.approx(2.5, rel=0.01)
    assert fit["sersic_x"][0] == pytest.approx(1000.0 + SIDE // 2 + 0.3, abs=0.01)


def test_sersic_profiles_are_not_fitted_to_points(pair, moments):
    fits = Galaxies().run(pair, moments)
    sersic = Sersic().run(pair, fits)
    np.testing.assert_array_equal(sersic["sersic_flag"], [True, False])
    assert set(sersic) == set(Sersic.columns)
    with pytest.raises(InputError, match="measure galaxies first"):
        Sersic().run(pair, moments)


def test_errors_of_sersic_fits_are_their_scatter(good_seeing):
    rng, n, sigma = np.random.default_rng(6), 150, 0.1
    galaxy = draw(galsim.Sersic(n=2.0, half_light_radius=2.5).withFlux(1e3), good_seeing)
    one = scene(list(galaxy + rng.normal(0.0, sigma, (n, SIDE, SIDE))), 0.0, 0.0, good_seeing, sigma)
    fit = Sersic().run(one, Galaxies().run(one, AdaptiveShapes().run(one, {})))
    for name, truth, error in (("sersicFlux", 1e3, "sersicFluxErr"), ("sersic_index", 2.0, "sersic_indexErr")):
        pull = (fit[name] - truth) / fit[error]
        assert np.std(pull) == pytest.approx(1.0, abs=4.0 / np.sqrt(2 * n))
        assert np.median(pull) == pytest.approx(0.0, abs=5.0 / np.sqrt(n))


def test_a_trail_gets_its_length_and_angle(good_seeing):
    points = [galsim.DeltaFunction(10.0).shift(t * 9.0 * np.cos(0.5), t * 9.0 * np.sin(0.5)) for t in _middles(100)]
    one = scene([draw(galsim.Add(points), good_seeing)], [0.0], [0.0], good_seeing)
    fit = Trail().run(one, AdaptiveShapes().run(one, {}))
    assert set(fit) == set(Trail.columns)
    assert fit["trailFlux"][0] == pytest.approx(1e3, rel=0.02)
    assert fit["trail_length"][0] == pytest.approx(9.0, abs=0.1)
    assert fit["trail_angle"][0] == pytest.approx(np.degrees(0.5), abs=0.5)
    assert fit["trail_x"][0] == pytest.approx(1000.0 + SIDE // 2, abs=0.02)


def test_the_sky_around_sources_is_told_with_its_noise(good_seeing):
    rng = np.random.default_rng(2)
    one = scene(list(rng.normal(0.3, 2.0, (40, SIDE, SIDE))), 0.0, 0.0, good_seeing, sigma=2.0)
    found = LocalBackground().run(one, {})
    assert set(found) == set(LocalBackground.columns)
    assert np.mean(found["localBackground_instFlux"]) == pytest.approx(0.3, abs=0.03)
    assert np.mean(found["localVarianceRatio"]) == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(found["variance_value"], 4.0)


def _middles(n):
    """Return the middles of n equal parts of a line from -0.5 to 0.5."""
    return (np.arange(n) + 0.5) / n - 0.5


def test_a_dipole_is_found_with_its_errors_whichever_lobe_was_taken_for_the_source(good_seeing):
    lobe = draw(STAR, good_seeing, 1.2, 0.5), draw(STAR, good_seeing, -1.0, 0.1)
    rng, n, sigma = np.random.default_rng(9), 300, 0.5
    clean = lobe[0] - 0.7 * lobe[1]
    noisy = [clean + rng.normal(0.0, sigma, clean.shape) for _ in range(n)]
    many = scene(noisy, np.where(np.arange(n) % 2, 1.2, -1.0), 0.3, good_seeing, sigma)
    found = Dipole().run(many, {})
    assert set(found) == set(Dipole.columns)
    assert found["isDipole"].all()
    assert not found["dipole_flag"].any()
    truth = {
        "dipole_positiveFlux": 1e3, "dipole_negativeFlux": -700.0, "dipoleMeanFlux": 850.0,
        "dipole_differenceFlux": 300.0, "dipole_length": np.hypot(2.2, 0.4),
        "dipole_angle": np.degrees(np.arctan2(0.4, 2.2)),
    }  # fmt: skip
    for name, true in truth.items():
        pull = (found[name] - true) / found[f"{name}Err"]
        assert abs(np.median(pull)) < 5.0 / np.sqrt(n), name
        assert pull.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(2.0 * n)), name


def test_a_star_is_no_dipole(good_seeing):
    star = scene([draw(STAR, good_seeing) + np.random.default_rng(2).normal(0.0, 1.0, (SIDE, SIDE))], [0.0], 0.0,
                 good_seeing, 1.0)  # fmt: skip
    assert not Dipole().run(star, {})["isDipole"].any()


def test_models_held_in_another_band_give_the_colour_of_galaxies_that_are_none_of_them(good_seeing):
    rng, n, sigma = np.random.default_rng(3), 40, 0.05
    galaxy = 0.4 * galsim.DeVaucouleurs(half_light_radius=1.5) + 0.6 * galsim.Exponential(half_light_radius=2.5)
    fluxes, reference = [], {}
    for seeing, flux in ((good_seeing, 1e3), (galsim.Moffat(beta=3.0, fwhm=4.0), 500.0)):
        clean = draw(galaxy.withFlux(flux), seeing, 0.2, 0.1)
        noisy = [clean + rng.normal(0.0, sigma, clean.shape) for _ in range(n)]
        band = scene(noisy, np.full(n, 0.2), 0.1, seeing, sigma)
        if not reference:
            found = Galaxies().run(band, AdaptiveShapes().run(band, {}))
            mean = {name: np.full(n, np.mean(value)) for name, value in found.items()}
            reference = {f"reference_{name}": value for name, value in mean.items()}
        held = HeldModels().run(band, reference)
        assert held["cModelFluxErr"].mean() == pytest.approx(held["cModelFlux"].std(), rel=4.0 / np.sqrt(2.0 * n))
        fluxes.append(held["cModelFlux"].mean())
    assert fluxes[1] / fluxes[0] == pytest.approx(0.5, abs=0.5 * 0.003)


def test_held_models_ask_for_their_reference(pair):
    with pytest.raises(InputError, match="shapes of a reference band"):
        HeldModels().run(pair, {})


def test_a_bulge_with_a_disc_has_its_whole_flux_where_both_are_clear(good_seeing):
    galaxy = 0.4 * galsim.DeVaucouleurs(half_light_radius=1.5) + 0.6 * galsim.Exponential(half_light_radius=2.5)
    image = draw(galaxy.shear(g1=0.1, g2=0.05).withFlux(1e3), good_seeing, 0.2, 0.1)
    one = scene([image], [0.2], 0.1, good_seeing, 0.02)
    found = Galaxies().run(one, AdaptiveShapes().run(one, {}))
    assert found["cModelFlux"][0] == pytest.approx(1e3, rel=0.01)
    assert found["cModel_fracDev"][0] == pytest.approx(0.4, abs=0.05)
    assert max(found["devFlux"][0] / 1e3, 1e3 / found["expFlux"][0]) > 1.05  # neither profile alone has it
