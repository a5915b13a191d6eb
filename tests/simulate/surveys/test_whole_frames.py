"""Whole frames of a survey: their noise, their headers, their stars and the catalog beside them, against the truth."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.errors import InputError
from etendue.simulate.ccd.truth import amplifier_truth
from etendue.simulate.population.moment import Moment
from etendue.simulate.surveys.frames import SimulatedFrame, science_frame
from etendue.simulate.surveys.header_wcs import header_wcs
from etendue.simulate.surveys.refcat import make_refcat
from etendue.simulate.surveys.spec import RefcatSpec, SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_tables import SurveyTruth, read_survey_truth
from etendue.simulate.surveys.write import write_survey
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask
from small_surveys import DEC_DEG, RA_DEG, planted, small_survey

SPEC = small_survey("rr", bias=1, flat=1)
OFF = dict.fromkeys(("tree_rings", "diffusion", "response", "defects", "dark", "brighter_fatter", "cosmic_rays",
                     "parallel_transfer", "serial_transfer", "linearity", "crosstalk", "bias"))  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SurveyTruth]:
    folder = tmp_path_factory.mktemp("written")
    return folder, write_survey(SPEC, folder, seed=7)


@pytest.fixture(scope="module")
def survey() -> Survey:
    return Survey.plan(SPEC, seed=7)


def first_frame(survey: Survey) -> SimulatedFrame:
    return science_frame(survey, survey.exposures[0], survey.detectors[0])


def test_every_table_of_the_truth_is_read_back_as_it_was(written):
    folder, truth = written
    read = read_survey_truth(folder / "truth")
    for name, columns in truth.tables.items():
        for key, values in columns.items():
            np.testing.assert_array_equal(read[name][key], values, err_msg=f"{name}.{key}")


def test_frames_go_through_ordinary_reading(written):
    folder, truth = written
    infos = [read_raw(path).info for path in sorted((folder / "raw").iterdir())]
    assert [info.exposure_id for info in infos] == truth["exposures"]["exposure"].tolist()
    assert {info.observation_type for info in infos} == {"science"}
    assert all(info.wcs is not None and not info.wcs_is_approximate for info in infos)
    kinds = {name: read_raw(next((folder / name).iterdir())).info.observation_type for name in ("bias", "flat")}
    assert kinds == {"bias": "bias", "flat": "flat"}


def test_a_frame_that_is_made_alone_is_the_one_that_was_written(written, survey):
    folder, _ = written
    alone = science_frame(survey, survey.exposures[-1], survey.detectors[0]).raw
    again = read_raw(folder / "raw" / alone.path)
    np.testing.assert_array_equal(again.array, alone.array)
    assert again.info.wcs.crval == pytest.approx(alone.info.wcs.crval, abs=1e-12)


def test_the_header_s_wcs_is_off_by_arcseconds_and_the_true_one_is_distorted(written, survey):
    _, truth = written
    detector = survey.detectors[0]
    for number, exposure in enumerate(survey.exposures):
        nominal = header_wcs(survey.camera, detector, exposure)
        grid = json.loads(truth["detectors"]["wcs"][number])
        x, y = np.meshgrid(grid["x"], grid["y"])
        true_x, true_y = nominal.sky_to_pixel(ra_deg=np.array(grid["ra"]), dec_deg=np.array(grid["dec"]))
        off = np.stack([true_x - x, true_y - y]).reshape(2, -1)
        arcsec = np.hypot(*off) * survey.camera.plate_scale
        assert 0.1 < arcsec.max() < 15.0
        plane = np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1)
        bent = off.T - plane @ np.linalg.lstsq(plane, off.T, rcond=None)[0]
        assert 0.1 < np.abs(bent).max() < 5.0  # px


def test_a_frame_s_noise_is_poisson_s_about_the_scene_and_that_of_reading():
    survey = Survey.plan(small_survey("r", stars=0.05, ccd=OFF), seed=3)
    frame, detector = first_frame(survey), survey.detectors[0]
    expected = frame.scene.expected * frame.scene.illumination
    quiet = np.abs(frame.scene.expected - frame.scene.sky) < 0.05 * frame.scene.sky
    truth = amplifier_truth(survey.ccd(detector))
    for number, amplifier in enumerate(detector.amplifiers):
        inside, gain = amplifier.bbox.slices_in(detector.bbox), truth["gain"][number]
        residual = (detector.trim(frame.raw.array.astype(float))[inside] * gain - expected[inside])[quiet[inside]]
        variance = expected[inside][quiet[inside]].mean() + truth["read_noise"][number] ** 2 + gain**2 / 12.0
        assert residual.size > 300_000
        assert abs(residual.mean()) < 4.0 * np.sqrt(variance / residual.size)
        assert residual.var() == pytest.approx(variance, rel=4.0 * np.sqrt(2.0 / residual.size))


def test_a_bright_star_saturates_and_bleeds_along_its_columns(tmp_path):
    survey = Survey.plan(planted(small_survey("r"), tmp_path, transients=[(500, 500, 11.2)]), seed=7)
    frame, detector = first_frame(survey), survey.detectors[0]
    star = frame.scene.sources["mag"].argmin()
    x, y = (round(float(frame.scene.sources[name][star])) for name in "xy")
    full = detector.trim(frame.raw.array) >= detector.amplifiers[0].saturation
    rows, columns = np.nonzero(full[:, x - 60 : x + 61])
    assert 200 < rows.size < 500  # 3e7 electrons in pixels of 1e5
    assert full[y, x]
    assert np.ptp(rows) > 3 * np.ptp(columns)


def test_the_reference_catalog_scatters_about_the_stars_by_its_errors(written, survey):
    first, layer = survey.exposures[0], next(layer for layer in survey.layers if layer.name == "stars")
    wide = Moment(survey.bandpasses["r"], first.mjd_tai_mid, first.exposure_time_s, RA_DEG, DEC_DEG, 1.0,
                  survey.camera.observatory)  # fmt: skip
    stars = layer.lights(wide)
    catalog = make_refcat(survey)
    assert 200 < catalog["id"].size == np.sum(stars.mag < survey.spec.refcat.faint_mag)
    match = MatchSkyTask(MatchSkyConfig(radius_arcsec=0.1)).run(
        ra1_deg=catalog["ra"], dec1_deg=catalog["dec"], ra2_deg=stars.ra_deg, dec2_deg=stars.dec_deg
    )
    one, other = match.first, match.second
    assert one.size == catalog["id"].size
    east = (catalog["ra"][one] - stars.ra_deg[other]) * np.cos(np.radians(stars.dec_deg[other]))
    for shift, error in ((east, "ra_err"), (catalog["dec"][one] - stars.dec_deg[other], "dec_err")):
        pull = shift * 3.6e6 / catalog[error][one]
        assert abs(pull.std() - 1.0) < 4.0 / np.sqrt(2 * pull.size)
    pull = (catalog["r_mag"][one] - stars.mag[other]) / catalog["r_mag_err"][one]
    assert abs(pull.std() - 1.0) < 4.0 / np.sqrt(2 * pull.size)
    with (written[0] / "refcat.csv").open() as stream:
        assert next(csv.reader(stream)) == list(catalog)


def test_the_limit_of_the_reference_catalog_holds_in_the_band_that_is_told():
    sky = {"refcat": {"faint_mag": 18.0, "band": "r"}}
    survey = Survey.plan(SurveySpec.parse(small_survey("gr").model_dump(mode="json", exclude_unset=True) | sky, "x"), 2)
    catalog = make_refcat(survey)
    assert 17.5 < catalog["r_mag"].max() < 18.1
    assert catalog["g_mag"].max() > 18.5
    wrong = survey.spec.model_copy(update={"refcat": RefcatSpec(band="z")})
    with pytest.raises(InputError, match=r"refcat.band.*'z'"):
        make_refcat(replace(survey, spec=wrong))


def test_a_sky_without_anything_is_a_frame_of_sky():
    survey = Survey.plan(small_survey("r", stars=0.0), seed=1)
    frame = first_frame(survey)
    assert frame.scene.sources["x"].size == 0
    np.testing.assert_array_equal(frame.scene.expected, frame.scene.sky)
    assert make_refcat(survey)["ra"].size == 0
