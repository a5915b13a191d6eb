"""Half of the sources at the depth are found, and errors are what they say."""

import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.simulate.catalogs.depth import Noise, njy
from etendue.simulate.catalogs.psf_size import psf_size
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.telescope.spec import AirSpec, OpticsSpec, TelescopeSpec

from .skies import maker_of, spec_of, star_table

LONE = {"dia_source": False, "blend_fwhm": 0.0, "truth_snr": 0.0}


def made(path, catalog, faintest=25.5, brightest=18.0, count=40_000):
    table = star_table(path / "stars.csv", count, brightest, faintest)
    maker = maker_of(spec_of({"tables": [{"path": str(table)}]}, LONE | catalog))
    exposure = maker.survey.exposures[0]
    return maker.depth(exposure), maker.make(exposure)["source"]


def completeness(truth, depth_mag, half_width=0.06):
    mag = 31.4 - 2.5 * np.log10(truth["flux"])
    near = (np.abs(mag - depth_mag) < half_width) & (truth["detector"] >= 0)
    return float(np.mean(truth["lost"][near] == 0)), int(near.sum())


@pytest.mark.parametrize(
    "catalog", [{}, {"depth_mag": {"r": 23.0}}, {"completeness_width_mag": 0.3}, {"efficiency": 0.8}]
)
def test_half_of_the_sources_at_the_5_sigma_depth_are_found(tmp_path, catalog):
    depth, visit = made(tmp_path, catalog, brightest=21.0)
    if "depth_mag" in catalog:
        assert depth.magnitude == pytest.approx(23.0, abs=1e-3)
    share, count = completeness(visit.truth, depth.magnitude)
    wanted = 0.5 * catalog.get("efficiency", 1.0)
    assert count > 300
    assert share == pytest.approx(wanted, abs=3.5 * np.sqrt(0.25 / count))
    assert completeness(visit.truth, depth.magnitude - 1.2)[0] > 1.9 * wanted
    assert completeness(visit.truth, depth.magnitude + 1.0)[0] < 0.15


def test_a_scatter_of_the_threshold_widens_the_completeness(tmp_path):
    slopes = []
    for width in (0.0, 0.5):
        depth, visit = made(tmp_path, {"completeness_width_mag": width}, brightest=21.0)
        slopes.append(
            completeness(visit.truth, depth.magnitude - 0.4)[0] - completeness(visit.truth, depth.magnitude + 0.4)[0]
        )
    assert slopes[1] < 0.75 * slopes[0]


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    depth, visit = made(tmp_path_factory.mktemp("bright"), {"astrometric_floor_mas": 20.0}, brightest=17.0)
    rows = visit.truth["sourceId"] > 0
    truth = {name: values[rows] for name, values in visit.truth.items()}
    np.testing.assert_array_equal(truth["sourceId"], visit.table["sourceId"])
    return depth, visit.table, truth


def test_pulls_of_fluxes_are_of_unit_width(bright):
    _, table, truth = bright
    pull = (table["psfFlux"] - truth["psf_flux"]) / table["psfFluxErr"]
    for low, high in ((10.0, 1e9), (10.0, 30.0), (100.0, 1e9)):  # below 10, the choice of the detected shifts the mean
        chosen = (truth["snr"] > low) & (truth["snr"] < high)
        assert chosen.sum() > 2500
        assert np.std(pull[chosen]) == pytest.approx(1.0, abs=0.03)
        assert np.mean(pull[chosen]) == pytest.approx(0.0, abs=0.06)


def test_pulls_of_positions_are_of_unit_width_down_to_the_faintest(bright):
    _, table, truth = bright
    east = (table["ra"] - truth["ra"]) * np.cos(np.radians(truth["dec"])) / table["raErr"]
    north = (table["dec"] - truth["dec"]) / table["decErr"]
    for rows in (truth["snr"] > 0.0, truth["snr"] < 8.0, truth["snr"] > 100.0):
        for pull in (east[rows], north[rows]):
            assert np.std(pull) == pytest.approx(1.0, abs=0.03 if pull.size > 3000 else 0.06)
            assert abs(np.mean(pull)) < 0.06


def test_positions_in_pixels_scatter_as_said(bright):
    depth, table, truth = bright
    faint = truth["snr"] < 20.0
    assert np.median(table["xErr"][faint]) == pytest.approx(np.median(table["raErr"][faint]) * 3600.0 / 0.5, rel=1e-3)
    expected = np.hypot(depth.psf.centroid_arcsec / table["snr"], 0.02)
    points = np.abs(3600.0 * table["raErr"] / expected - 1.0) < 1e-3
    assert points.mean() > 0.95  # the others have been fitted with a trail


def test_reported_errors_follow_from_measured_values_alone(bright):
    depth, table, _ = bright
    nowhere = np.zeros(len(table))
    again = depth.at(nowhere, nowhere).difference(table["psfFlux"], nowhere)
    np.testing.assert_allclose(table["psfFluxErr"], again, rtol=1e-6)
    np.testing.assert_allclose(table["snr"], table["psfFlux"] / table["psfFluxErr"], rtol=1e-6)


@pytest.mark.parametrize("profile", ["kolmogorov", "von_karman", "moffat"])
@pytest.mark.parametrize("seeing", [0.6, 1.3])
def test_the_area_of_the_psf_is_that_of_drawn_images(profile, seeing):
    from dataclasses import replace

    from etendue.simulate.light.lsst_bands import lsst_band
    from etendue.simulate.telescope.psf_model import make_chip_psf

    exposure = maker_of(spec_of({}, {})).survey.exposures[0]
    camera = load_camera("simcam")
    spec = TelescopeSpec(
        air=AirSpec(profile=profile, ellipticity=0.0), optics=OpticsSpec(jitter_arcsec=0.1), refraction=False, nodes=1,
        psf_half_width_px=24, oversampling=8,
    )  # fmt: skip
    sharp = replace(exposure, seeing_arcsec=seeing)
    image = make_chip_psf(spec, camera, camera.detectors[0], sharp, lsst_band("r"), 1).images[0, 0].astype(float)
    box = np.ones(spec.oversampling) / spec.oversampling  # the pixel's own response
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, box, "same")
    area = (camera.plate_scale / spec.oversampling) ** 2 * image.sum() ** 2 / np.sum(image**2)
    size = psf_size(spec, seeing, lsst_band("r").pivot_nm, camera.plate_scale)
    assert size.area_arcsec2 == pytest.approx(area, rel=0.03)
    slope = np.gradient(image, axis=1) / (camera.plate_scale / spec.oversampling)
    assert size.centroid_arcsec == pytest.approx(np.sqrt(np.sum(image**2) / np.sum(slope**2)), rel=0.03)


def test_the_sky_is_that_of_frames():
    maker = maker_of(spec_of({"flashes": {"count": 1}}, {}))
    survey = maker.survey
    scene = make_scene(survey, survey.exposures[0], survey.detectors[0])
    depth = maker.depth(survey.exposures[0])
    assert depth.sky_electrons == pytest.approx(float(np.mean(scene.sky)), rel=1e-4)
    assert depth.zero_point_mag == scene.zero_point_mag


def test_a_flux_of_some_signal_to_noise_ratio_has_it():
    rng = np.random.default_rng(2)
    noise = Noise(rng.uniform(10.0, 1e4, 500), rng.uniform(0.1, 50.0, 500), 0.004, images=10)
    snr = rng.uniform(5.0, 90.0, 500) * rng.choice([-1.0, 1.0], 500)
    template = rng.uniform(0.0, 100.0, 500)
    flux = noise.flux_of(snr, template)
    np.testing.assert_allclose(flux / noise.difference(flux, template), snr, rtol=1e-9)


def test_no_light_is_no_flux():
    np.testing.assert_array_equal(njy([31.4, np.nan, np.inf]), [1.0, 0.0, 0.0])
