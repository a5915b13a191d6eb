"""Deblending: light is conserved and goes to whom it belongs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.footprint import FootprintSet
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import GaussianMixturePsf
from etendue.kernels.deblend import make_monotonic, make_symmetric
from etendue.tasks.detect.detect import DetectTask
from etendue.tasks.measure.deblend import DeblendConfig
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.measurement import Measurement
from etendue.tasks.task import TaskConfig

SHAPE, X0, Y0, SIGMA = (90, 400), 3000, 700, 1.6


class Look(Measurement[TaskConfig]):
    """Keeps the scene it is shown."""

    def run(self, scene, known):
        self.scene = scene
        return {}


def gaussian(x, y, sigma_x, sigma_y, flux):
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    profile = np.exp(-0.5 * (((cols - x) / sigma_x) ** 2 + ((rows - y) / sigma_y) ** 2))
    return flux * profile / (2 * np.pi * sigma_x * sigma_y)


def exposure_of(light, noise=3.0, seed=0):
    box = Box.from_shape(SHAPE, y0=Y0, x0=X0)
    image = light + np.random.default_rng(seed).normal(0.0, np.sqrt(noise**2 + light / 4.0))
    variance = Image((noise**2 + light / 4.0).astype(np.float32), box)
    psf = GaussianMixturePsf.circular(SIGMA, 31)
    return Exposure(image=Image(image.astype(np.float32), box), mask=Mask.empty(box), variance=variance, psf=psf)


STAR_X, STAR_Y = 48.3 + 90.0 * np.arange(4), np.array([41.0, 52.0, 45.0, 38.5])


@pytest.fixture(scope="module")
def blends():
    """Four galaxies of 4 x 2.5 px, each with a star 9 to 12 px away."""
    light = np.zeros(SHAPE)
    for k in range(4):
        light += gaussian(39.0 + 90.0 * k, 45.2, 4.0, 2.5, 5e4)
        light += gaussian(STAR_X[k], STAR_Y[k], SIGMA, SIGMA, 1e4)
    exposure = exposure_of(light)
    found = DetectTask().run(exposure=exposure)
    look = Look()
    run = MeasureTask(MeasureConfig(sky_cell=0), extra=[look]).run
    return exposure, run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints), look.scene


def of_stars(columns, within=0.3):
    distance = np.hypot(columns.x - X0 - STAR_X[:, None], columns.y - Y0 - STAR_Y[:, None])
    assert (distance.min(axis=1) < within).all()
    return distance.argmin(axis=1)


def test_residual_and_light_add_up_to_the_image(blends):
    exposure, _, scene = blends
    again = np.pad(scene.residual, 100)
    for k in range(len(scene)):
        rows = slice(scene.light.y0[k] + 100, scene.light.y0[k] + 100 + scene.light.height[k])
        cols = slice(scene.light.x0[k] + 100, scene.light.x0[k] + 100 + scene.light.width[k])
        again[rows, cols] += scene.light.stamp(k)
    np.testing.assert_allclose(again[100:-100, 100:-100], exposure.image.array, atol=0.02)


def test_stars_beside_galaxies_have_their_flux_and_place(blends):
    _, columns, _ = blends
    k = of_stars(columns)
    assert np.abs(columns.psf_flux[k] / 1e4 - 1.0).max() < 0.04
    assert np.abs(columns.psf_flux[k] / 1e4 - 1.0).mean() < 0.02
    assert columns.measured["extendedness"][k].sum() <= 1.0


def test_galaxies_beside_stars_have_their_flux(blends):
    _, columns, _ = blends
    galaxies = np.setdiff1d(np.flatnonzero(columns.snr > 50.0), of_stars(columns))
    assert galaxies.size == 4
    np.testing.assert_allclose(columns.measured["ap12Flux"][galaxies], 5e4, rtol=0.035)  # 0.4% of them lies outside
    assert (columns.psf_chi2_dof[galaxies] > 5.0).all()


def test_without_sharing_the_galaxy_stays_in_the_star(blends):
    exposure, _, _ = blends
    found = DetectTask().run(exposure=exposure)
    task = MeasureTask(MeasureConfig(share_light=False))
    plain = task.run(exposure=exposure, x=found.x, y=found.y, footprints=found.footprints)
    assert plain.psf_flux[of_stars(plain, within=2.0)].mean() > 1.05e4


def test_stars_alone_are_left_to_the_joint_fit():
    light = gaussian(100.0, 40.0, SIGMA, SIGMA, 2e4) + gaussian(106.0, 43.0, SIGMA, SIGMA, 1e4)
    found = DetectTask().run(exposure=exposure_of(light))
    results = [
        MeasureTask(MeasureConfig(share_light=share)).run(
            exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints
        )
        for share in (True, False)
    ]
    np.testing.assert_array_equal(results[0].psf_flux, results[1].psf_flux)


def test_many_sources_in_one_large_footprint_are_bounded_in_memory():
    rng = np.random.default_rng(3)
    light = gaussian(200.0, 45.0, 60.0, 12.0, 2e6)
    for x in np.arange(60.0, 350.0, 18.0):
        light += gaussian(x, 45.0 + rng.uniform(-12, 12), 2.5, 2.5, 6e3)
    found = DetectTask().run(exposure=exposure_of(light))
    look = Look()
    task = MeasureTask(MeasureConfig(deblend=DeblendConfig(largest_group=5e4)), extra=[look])
    columns = task.run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints)
    assert np.isfinite(columns.psf_flux).all()
    assert look.scene.light.value.size < 5e4 + 400 * 90 + 961 * len(columns)


def test_saturated_stars_keep_the_shape_of_the_psf():
    light = gaussian(100.0, 40.0, 2.6, 2.6, 2e5)
    exposure = exposure_of(light)
    mask = exposure.mask.with_plane("SAT", light > 2000.0)
    found = DetectTask().run(exposure=exposure.replace(mask=mask))
    look = Look()
    MeasureTask(extra=[look]).run(exposure=found.exposure, x=[X0 + 100.0], y=[Y0 + 40.0], footprints=found.footprints)
    assert look.scene.light.width[0] == look.scene.light.height[0] <= 31
    np.testing.assert_allclose(look.scene.light.stamp(0), look.scene.light.stamp(0)[::-1, ::-1], rtol=0.05, atol=1.0)


def test_no_footprint_or_no_source_changes_nothing():
    exposure = exposure_of(gaussian(100.0, 40.0, 4.0, 4.0, 2e4))
    nothing = FootprintSet.from_labels(np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.float32))
    assert len(MeasureTask().run(exposure=exposure, x=[X0 + 100.0], y=[Y0 + 40.0], footprints=nothing)) == 1
    found = DetectTask().run(exposure=exposure)
    assert len(MeasureTask().run(exposure=exposure, x=[], y=[], footprints=found.footprints)) == 0


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_constrained_models_fall_outwards_and_are_symmetric(column, row, seed):
    model = np.random.default_rng(seed).random((11, 13)).astype(np.float32)
    lowered = model.copy()
    make_monotonic(lowered, column, row)
    assert (lowered <= model).all()
    assert lowered[row, column] == lowered.max()
    along = lowered[row, column:]
    assert (np.diff(along) <= 1e-7).all()
    again = lowered.copy()
    make_monotonic(again, column, row)
    np.testing.assert_allclose(again, lowered, atol=1e-6)
    both = model.copy()
    make_symmetric(both, 6.0, 5.0)
    np.testing.assert_allclose(both, 0.5 * (model + model[::-1, ::-1]), atol=1e-6)
