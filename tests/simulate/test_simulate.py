"""Simulated frames are what their truth says."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.simulate.frames import render_bias, render_flat, render_visit
from etendue.simulate.optics import header_wcs, psf_covariance, true_wcs
from etendue.simulate.preset import load_preset
from etendue.simulate.profiles import DE_VAUCOULEURS, EXPONENTIAL, MOFFAT
from etendue.simulate.refcat import make_refcat
from etendue.simulate.scene import render_scene
from etendue.simulate.sensor import bad_columns, response
from etendue.simulate.simulate import simulate_survey
from etendue.simulate.sky import TRANSIENT_ID, VARIABLE_ID
from etendue.simulate.survey import Survey, plan_survey
from etendue.simulate.truth import Truth, read_truth


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("smoke")
    return folder, simulate_survey("smoke", folder, seed=7)


@pytest.fixture(scope="module")
def demo() -> Survey:
    return plan_survey("demo", seed=7)


def test_folders_frames_and_truth_are_written(smoke: tuple[Path, Truth]) -> None:
    folder, truth = smoke
    counts = {name: len(list((folder / name).glob("*.fits.fz"))) for name in ("bias", "flat", "raw")}
    assert counts == {"bias": 3, "flat": 3, "raw": 3}
    read = read_truth(folder / "truth")
    for name, columns in truth.tables.items():
        for key, values in columns.items():
            np.testing.assert_array_equal(read[name][key], values)
    with pytest.raises(InputError, match="truth"):
        read_truth(folder)


def test_frames_go_through_ordinary_reading(smoke: tuple[Path, Truth]) -> None:
    folder, truth = smoke
    infos = [read_raw(path).info for path in sorted((folder / "raw").iterdir())]
    assert sorted({info.exposure_id for info in infos}) == sorted(set(truth["visits"]["visit"].tolist()))
    assert {info.observation_type for info in infos} == {"science"}
    assert all(info.wcs is not None and not info.wcs_is_approximate for info in infos)
    kinds = {name: read_raw(next((folder / name).iterdir())).info.observation_type for name in ("bias", "flat")}
    assert kinds == {"bias": "bias", "flat": "flat"}


def test_headers_and_names_hold_no_truth(smoke: tuple[Path, Truth]) -> None:
    folder, truth = smoke
    frame = read_raw(sorted((folder / "raw").iterdir())[0])
    true = SkyWcs.from_dict(json.loads(truth["visits"]["wcs"][0]))
    assert frame.info.wcs is not None
    assert frame.info.wcs.crval != true.crval
    assert not {"ZP", "MAGZERO", "SEEING", "FWHM"} & set(frame.header)


def test_any_detector_of_any_visit_can_be_rendered_alone(smoke: tuple[Path, Truth]) -> None:
    folder, _ = smoke
    survey = plan_survey("smoke", seed=7)
    frame, _, _ = render_visit(survey, survey.visits[-1].visit, 0)
    written = read_raw(folder / "raw" / frame.path)
    np.testing.assert_array_equal(frame.array, written.array)
    assert written.info.wcs is not None
    assert frame.info.wcs is not None
    assert written.info.wcs.crval == pytest.approx(frame.info.wcs.crval, abs=1e-12)


def test_other_seeds_give_other_skies() -> None:
    first, second = plan_survey("smoke", 1), plan_survey("smoke", 2)
    assert not np.array_equal(first.sky.objects["ra"][5:], second.sky.objects["ra"][5:])


def test_bias_frames_have_the_read_noise_of_the_camera(demo: Survey) -> None:
    detector = demo.camera.detector(0)
    difference = detector.trim(render_bias(demo, 0, 0).array.astype(float) - render_bias(demo, 1, 0).array)
    difference[:, bad_columns(detector, demo.seed)] = np.nan
    for amplifier in detector.amplifiers:
        pixels = difference[amplifier.bbox.slices_in(detector.bbox)]
        pixels = pixels[np.isfinite(pixels)]
        variance = 0.5 * pixels.var() - 1.0 / 12.0  # quantisation
        expected = (amplifier.read_noise / amplifier.gain) ** 2
        assert variance == pytest.approx(expected, rel=0.01)


def test_flats_have_poisson_mean_and_variance(demo: Survey) -> None:
    detector = demo.camera.detector(1)
    first_frame = detector.trim(render_flat(demo, "r", 0, 1).array.astype(float))
    second = detector.trim(render_flat(demo, "r", 1, 1).array.astype(float))
    relative = response(detector, "r", demo.seed)
    good = np.ones(relative.shape, bool)
    good[:, bad_columns(detector, demo.seed)] = False
    for amplifier in detector.amplifiers:
        inside = amplifier.bbox.slices_in(detector.bbox)
        keep = good[inside]
        levels = 30000.0 * relative[inside][keep]
        first, other = (image[inside][keep] * amplifier.gain for image in (first_frame, second))
        bias = 1006.0 * amplifier.gain
        assert np.mean(first) - bias == pytest.approx(levels.mean(), rel=0.01)
        noise = (other - first) - 0.03 * levels
        expected = 2.03 * levels.mean() + 2.0 * amplifier.read_noise**2 + amplifier.gain**2 / 6.0
        assert noise.var() == pytest.approx(expected, rel=0.01)


def test_the_response_has_mean_one(demo: Survey) -> None:
    assert response(demo.camera.detector(0), "g", 7).mean() == pytest.approx(1.0)


def test_science_frames_have_poisson_and_read_noise_about_the_scene(demo: Survey) -> None:
    detector = demo.camera.detector(0)
    frame, scene, rays = render_visit(demo, demo.visits[0], 0)
    expected = scene.electrons * response(detector, "r", demo.seed)
    quiet = scene.electrons < scene.electrons.min() * 1.05
    quiet[:, bad_columns(detector, demo.seed)] = False
    quiet[:200] = False  # the bias ramp
    quiet[:, (detector.trim(frame.array) >= 60000).any(axis=0)] = False
    for x, y, length in zip(rays["x"], rays["y"], rays["length"], strict=True):
        reach = int(length) + 2
        quiet[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1] = False
    for amplifier in detector.amplifiers:
        inside = amplifier.bbox.slices_in(detector.bbox)
        residual = detector.trim(frame.array.astype(float))[inside] * amplifier.gain - expected[inside]
        residual = residual[quiet[inside]]
        pattern = (0.6**2 + 0.4**2) * amplifier.gain**2
        variance = expected[inside][quiet[inside]].mean() + amplifier.read_noise**2 + pattern + amplifier.gain**2 / 12.0
        assert residual.size > 50000
        assert residual.var() == pytest.approx(variance, rel=0.015)


def test_sources_have_their_electrons_and_places(demo: Survey) -> None:
    visit = demo.visits[0]
    detector = demo.camera.detector(0)
    scene = render_scene(demo, visit, detector)
    sources = scene.sources
    chosen = np.flatnonzero((sources["object_id"] > 200) & (sources["mag"] < 16.5))
    wcs = true_wcs(demo.camera, detector, visit)
    x, y = wcs.sky_to_pixel(ra_deg=sources["ra"], dec_deg=sources["dec"])
    np.testing.assert_allclose([x, y], [sources["x"], sources["y"]], atol=1e-6)
    inside = [i for i in chosen if 40 < sources["x"][i] < 980 and 40 < sources["y"][i] < 980]
    ratios = [_aperture(scene.electrons, sources["x"][i], sources["y"][i]) / sources["electrons"][i] for i in inside]
    assert len(ratios) >= 5
    assert np.median(ratios) == pytest.approx(1.0, abs=3e-3)


def _aperture(image: np.ndarray, x: float, y: float) -> float:
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]]
    distance = np.hypot(rows - y, cols - x)
    sky = np.median(image[(distance > 24) & (distance < 30)])
    return float((image[distance < 20] - sky).sum())


def test_the_header_wcs_is_off_by_arcseconds_and_the_true_one_is_distorted(demo: Survey) -> None:
    detector = demo.camera.detector(0)
    corners = {"x": np.array([0.0, 1023.0, 0.0, 511.0]), "y": np.array([0.0, 0.0, 1023.0, 511.0])}
    for visit in demo.visits:
        truth, header = true_wcs(demo.camera, detector, visit), header_wcs(demo.camera, detector, visit)
        apart = separation_deg(*truth.pixel_to_sky(**corners), *header.pixel_to_sky(**corners)) * 3600.0
        assert 0.1 < apart.max() < 15.0
        assert truth.sip is not None
        assert header.sip is None


def test_the_profiles_have_unit_flux_and_scale() -> None:
    for profile in (EXPONENTIAL, DE_VAUCOULEURS):
        inside = profile.amplitude * (1.0 - np.exp(-0.5 / profile.variance))
        assert inside.sum() == pytest.approx(0.5, abs=1e-6)
    radius = np.linspace(0.0, 5.0, 200)
    drawn = (MOFFAT.amplitude / MOFFAT.variance * np.exp(-0.5 * radius[:, None] ** 2 / MOFFAT.variance)).sum(axis=1)
    moffat = (1.0 + 4.0 * (2 ** (1 / 3) - 1) * radius**2) ** -3.0
    np.testing.assert_allclose(drawn / drawn[0], moffat, atol=2e-3)


def test_the_psf_ellipse_keeps_its_area(demo: Survey) -> None:
    visit, detector = demo.visits[3], demo.camera.detector(1)
    cxx, cyy, cxy = psf_covariance(visit, detector, np.array([0.0, 500.0]), np.array([1000.0, 10.0]))
    assert np.all(np.sqrt(cxx * cyy - cxy**2) >= visit.fwhm_px**2 * 0.999)
    assert np.all(np.sqrt(cxx * cyy - cxy**2) <= visit.fwhm_px**2 * 1.1)


def test_transient_variable_and_movers_are_where_the_demo_needs_them(demo: Survey) -> None:
    nights = sorted({visit.day_obs for visit in demo.visits})
    seen: dict[int, list[int]] = {}
    for visit in demo.visits:
        for detector in demo.camera.detectors:
            sources = render_scene(demo, visit, detector).sources
            for object_id in (VARIABLE_ID, TRANSIENT_ID, 11, 12, 13):
                if object_id in sources["object_id"]:
                    seen.setdefault(object_id, []).append(visit.day_obs)
    assert len(seen[VARIABLE_ID]) == 16
    assert seen[TRANSIENT_ID] == [nights[1]] * 4
    assert seen[11] == seen[12] == [nights[0]] * 12
    assert seen[13].count(nights[1]) == 4
    variable = [demo.sky.magnitudes("r", visit.mjd_tai_mid)[0] for visit in demo.visits if visit.band == "r"]
    assert np.ptp(variable) > 0.35


def test_some_stars_saturate_and_bleed(demo: Survey) -> None:
    frame, _, _ = render_visit(demo, demo.visits[0], 0)
    trimmed = demo.camera.detector(0).trim(frame.array)
    rows, cols = np.nonzero(trimmed >= 60000)
    assert 30 < rows.size < 3000
    lengths = np.bincount(cols)
    assert lengths.max() > 3 * np.count_nonzero(lengths[lengths.argmax() - 20 : lengths.argmax() + 20] > 10)


def test_the_reference_catalog_scatters_by_its_errors(demo: Survey, smoke: tuple[Path, Truth]) -> None:
    catalog = make_refcat(demo)
    objects = demo.sky.objects
    stars = (objects["type"] == "star") & (objects["r_mag"] < 20.5)
    assert catalog["id"].size == stars.sum() > 200
    pull = (catalog["dec"] - objects["dec"][stars]) * 3.6e6 / catalog["dec_err"]
    assert abs(pull.std() - 1.0) < 4.0 / np.sqrt(2 * pull.size)
    with (smoke[0] / "refcat.csv").open() as stream:
        assert next(csv.reader(stream)) == list(catalog)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="smoke, demo"):
        load_preset("everything")
