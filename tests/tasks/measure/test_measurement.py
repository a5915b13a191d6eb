"""The interface of measurements: what they see, and how they are found."""

from dataclasses import replace

import numpy as np
import pytest

from etendue.app.pixels import ALL_MEASUREMENTS
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.aperture_correction import aperture_name
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import GaussianMixturePsf
from etendue.schema.table_schema import load_schema
from etendue.tasks.measure.aperture_corrections import (
    ApertureCorrectionConfig,
    ApertureCorrectionsTask,
    ApertureCorrectionTask,
    corrected,
)
from etendue.tasks.measure.light import SourceLight
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.measurement import Measurement, find_measurement, measurement
from etendue.tasks.measure.pixel_flags import bright_star_flags
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.task import TaskConfig

X, Y, FLUX = np.array([20.2, 26.9, 60.0]), np.array([30.4, 31.0, 50.7]), np.array([4e4, 1e4, 300.0])


@pytest.fixture(scope="module")
def exposure():
    psf = GaussianMixturePsf.circular(1.5, 31)
    image = np.zeros((140, 140))
    stamps = psf.draw(x=X + 30, y=Y + 30)
    for k in range(3):
        image[stamps.y0[k] : stamps.y0[k] + 31, stamps.x0[k] : stamps.x0[k] + 31] += FLUX[k] * stamps.value[k]
    plane = Image(image[30:-30, 30:-30].astype(np.float32), Box.from_shape((80, 80), y0=100, x0=500))
    variance = Image.full(plane.bbox, 25.0)
    return Exposure(image=plane, mask=Mask.empty(plane.bbox), variance=variance, psf=psf, unit="electron")


@measurement("sum of own light")
class _OwnLight(Measurement[TaskConfig]):
    def run(self, scene, known):
        whole = np.array([scene.light.stamp(k).sum() for k in range(len(scene))])
        return {"ownFlux": whole, "ratio": whole / known["ap12Flux"]}


def test_a_scene_is_residual_and_every_source_alone(exposure):
    seen = []

    class Look(Measurement[TaskConfig]):
        def run(self, scene, known):
            seen.append(scene)
            return {}

    MeasureTask(extra=[Look()]).run(exposure=exposure, x=X + 500, y=Y + 100)
    (scene,) = seen
    assert (scene.x0, scene.y0, len(scene)) == (500, 100, 3)
    np.testing.assert_allclose(scene.x, X, atol=0.01)
    again = scene.residual.copy()
    for k in range(3):
        stamp = np.zeros((280, 280))
        y, x = scene.light.y0[k] + 100, scene.light.x0[k] + 100
        stamp[y : y + scene.light.height[k], x : x + scene.light.width[k]] = scene.light.stamp(k)
        again += stamp[100:180, 100:180]
    np.testing.assert_allclose(again, exposure.image.array, atol=0.01)
    assert np.abs(scene.residual).max() < 20.0


def test_measurements_run_in_order_and_see_what_came_before(exposure):
    config = MeasureConfig(measurements=("apertures", "sum of own light"))
    columns = MeasureTask(config).run(exposure=exposure, x=X + 500, y=Y + 100, forced=True)
    np.testing.assert_allclose(columns.measured["ratio"][:2], 1.0, atol=0.01)
    assert "ixx" not in columns.measured


def test_neighbours_are_not_in_an_aperture(exposure):
    columns = MeasureTask().run(exposure=exposure, x=X + 500, y=Y + 100)
    np.testing.assert_allclose(columns.measured["ap09Flux"], FLUX, rtol=0.01, atol=20.0)
    assert columns.measured["ap06FluxErr"][0] == pytest.approx(5.0 * np.sqrt(np.pi * 36.0), rel=0.05)


def test_an_unknown_measurement_names_the_known_ones():
    with pytest.raises(InputError, match=r"choose from .*apertures"):
        find_measurement("seeing")


def test_a_measurement_that_loses_sources_is_named(exposure):
    class Short(Measurement[TaskConfig]):
        def run(self, scene, known):
            return {"x1": np.zeros(2)}

    with pytest.raises(InputError, match="x1 of measurement Short"):
        MeasureTask(extra=[Short()]).run(exposure=exposure, x=X + 500, y=Y + 100)


def test_light_whose_columns_do_not_fit_is_refused():
    one = np.ones(1, np.int64)
    with pytest.raises(InputError, match="one length"):
        SourceLight(np.zeros(1, np.float32), np.array([0, 1]), one, one, one, np.ones(2, np.int64))
    with pytest.raises(InputError, match="do not fill"):
        SourceLight(np.zeros(4, np.float32), np.array([0, 4]), one, one, one, one)


@pytest.mark.parametrize(
    ("radius", "name"), [(3.0, "ap03Flux"), (4.5, "ap04p5Flux"), (70.0, "ap70Flux"), (10.0, "ap10Flux")]
)
def test_apertures_are_named_by_their_radius(radius, name):
    assert aperture_name(radius) == name


def test_a_correction_that_varies_over_the_detector_is_followed():
    rng = np.random.default_rng(5)
    n, box = 400, Box.from_shape((1000, 1000))
    columns = _columns(rng.uniform(0, 1000, n), rng.uniform(0, 1000, n), rng)
    smooth = ApertureCorrectionTask(ApertureCorrectionConfig(order=2)).run(columns, box, "ap03Flux")
    x, y = np.array([100.0, 500.0, 900.0]), np.array([500.0, 500.0, 100.0])
    np.testing.assert_allclose(smooth.at(x=x, y=y), _true_correction(x, y), atol=1e-3)
    constant = ApertureCorrectionTask().run(columns, box, "ap03Flux")
    assert constant.spatial is None
    assert constant.value == pytest.approx(1.1, abs=0.02)


def _true_correction(x, y):
    u, v = x / 500.0 - 1.0, y / 500.0 - 1.0
    return 1.1 + 0.02 * u - 0.01 * u * v + 0.02 * v * v


def _columns(x, y, rng):
    """Stars of S/N 300 whose PSF flux is 1, a twentieth of them wrong by a lot."""
    n, one = x.size, np.ones(x.size)
    flux = one / _true_correction(x, y) * rng.normal(1.0, 0.003, n) * np.where(rng.random(n) < 0.05, 0.5, 1.0)
    return SourceColumns(
        x=x, y=y, x_err=one, y_err=one, xy_cov=one, psf_flux=one, psf_flux_err=one / 300.0, psf_flux_flag=one < 0.0,
        centroid_flag=np.zeros(n, bool), psf_chi2_dof=one, sky=one, n_neighbours=np.zeros(n, int), pixel_flags={},
        measured={"ap03Flux": flux, "extendedness": np.zeros(n)},
    )  # fmt: skip


def test_every_column_of_a_shipped_measurement_has_its_place_in_the_table_of_sources(exposure):
    config = MeasureConfig(measurements=ALL_MEASUREMENTS)
    columns = MeasureTask(config).run(exposure=exposure, x=X + 500, y=Y + 100)
    known = {column.name for column in load_schema("source").columns}
    assert set(columns.measured) <= known
    assert np.isfinite(columns.measured["cModelFlux"]).all()


def test_sources_on_light_of_bright_stars_are_flagged(exposure):
    where = np.zeros((80, 80), bool)
    where[28:33, 18:23] = True
    mask = exposure.mask.with_plane("HALO", where)
    flags = bright_star_flags(mask, X + 500, Y + 100)
    assert flags["pixelFlags_halo"].tolist() == [True, False, False]
    assert not flags["pixelFlags_ghost"].any()


def test_corrections_make_kron_and_model_fluxes_whole_and_stay_beside_apertures():
    rng = np.random.default_rng(6)
    columns = _columns(rng.uniform(0, 1000, 200), rng.uniform(0, 1000, 200), rng)
    columns.measured.update(kronFlux=columns.measured["ap03Flux"], kronFluxErr=np.full(200, 0.01))
    found = ApertureCorrectionsTask().run(columns, Box.from_shape((1000, 1000)))
    assert set(found) == {"ap03Flux", "kronFlux"}
    whole = corrected(columns, found)
    np.testing.assert_allclose(np.median(whole.measured["kronFlux"]), 1.0, atol=1e-3)
    np.testing.assert_array_equal(whole.measured["ap03Flux"], columns.measured["ap03Flux"])
    np.testing.assert_allclose(whole.measured["ap03Flux_apCorr"], _true_correction(columns.x, columns.y), atol=3e-3)
    np.testing.assert_allclose(whole.measured["kronFluxErr"], 0.01 * whole.measured["kronFlux_apCorr"])


def test_nothing_is_corrected_without_enough_bright_stars():
    rng = np.random.default_rng(7)
    columns = _columns(rng.uniform(0, 1000, 4), rng.uniform(0, 1000, 4), rng)
    assert ApertureCorrectionsTask().run(columns, Box.from_shape((1000, 1000))) == {}


def test_a_correction_that_does_not_vary_stays_constant():
    rng = np.random.default_rng(8)
    columns = _columns(np.full(300, 500.0), rng.uniform(499.9, 500.1, 300), rng)
    moved = replace(columns, x=rng.uniform(0, 1000, 300), y=rng.uniform(0, 1000, 300))
    assert ApertureCorrectionsTask().run(moved, Box.from_shape((1000, 1000)))["ap03Flux"].spatial is None
