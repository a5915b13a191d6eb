"""What the truth says of pixels, places and PSFs of a frame is what the frame was made with."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.simulate.drawing.draw import draw, draw_stamp
from etendue.simulate.drawing.psf_summary import summarize_psf
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.population.layer import layer_ids
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.surveys.frames import science_frame
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_masks import BLEED, mask_of_runs, read_true_mask, runs
from etendue.simulate.surveys.truth_tables import frame_truth, read_survey_truth, survey_truth
from etendue.simulate.surveys.truth_wcs import read_true_wcs
from etendue.simulate.telescope.psf_model import make_chip_psf

from .small import SMALL, small

TELESCOPE = SMALL["telescope"] | {
    "refraction": False,
    "turbulence": {"rms_mas": 60.0},
    "distortion": {"scale_error": 3e-4, "radial": [0.05, 0.0], "decentring": [1e-3, 2e-3], "detector_shift_px": 3.0,
                   "detector_turn_deg": 0.02, "pointing_arcsec": 5.0, "rotation_deg": 0.05},
}  # fmt: skip


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "stars.csv").write_text("ra,dec,mag_g,mag_r\n330.19,-29.91,9,9\n330.17,-29.92,17,17\n330.2,-29.9,18,18\n")
    sky = {"stars": None, "galaxies": None, "tables": [{"path": str(folder / "stars.csv")}]}
    return Survey.plan(small(telescope=TELESCOPE, sky=sky), seed=3)


@pytest.fixture(scope="module")
def frame(survey):
    return science_frame(survey, survey.exposures[0], survey.detectors[0])


@pytest.fixture(scope="module")
def folder(survey, frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("truth")
    survey_truth(survey, [frame_truth(survey, frame)]).write(path)
    return path


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(0.0, 1.0))
def test_masks_come_back_from_their_runs(seed, ny, nx, share):
    rng = np.random.default_rng(seed)
    planes = {name: rng.random((ny, nx)) < share for name in ("CR", "SAT", BLEED, "BAD")}
    back = mask_of_runs(runs(planes, visit=1, detector=2), (ny, nx))
    for name, mask in planes.items():
        np.testing.assert_array_equal(back.any_of(name), mask)


def test_the_mask_read_back_is_that_of_the_ccd(survey, frame, folder):
    visit, masks = survey.exposures[0].exposure, frame.output.masks
    mask = read_true_mask(folder, visit=visit, detector=0)
    for plane, expected in (("CR", masks.cosmic_ray), ("SAT", masks.saturated), ("BAD", masks.defect)):
        assert expected.any()
        np.testing.assert_array_equal(mask.any_of(plane), expected)
    np.testing.assert_array_equal(mask.any_of(BLEED), masks.bleed)
    bleed = np.argwhere(masks.bleed)
    star = frame.scene.sources["y"][0], frame.scene.sources["x"][0]
    assert 50 < bleed.shape[0] < masks.saturated.sum()
    assert np.abs(bleed[:, 1] - star[1]).max() < 60  # along the columns of the star
    with pytest.raises(InputError, match="no such frame"):
        read_true_mask(folder, visit=1, detector=0)
    with pytest.raises(InputError, match="holds no masks"):
        read_true_mask(folder / "elsewhere", visit=visit, detector=0)


def test_masks_can_be_left_out_and_change_no_pixel(survey, frame):
    without = replace(survey, spec=survey.spec.model_copy(update={"truth": survey.spec.truth.model_copy(
        update={"masks": False})}))  # fmt: skip
    other = science_frame(without, survey.exposures[0], survey.detectors[0])
    np.testing.assert_array_equal(other.raw.array, frame.raw.array)
    assert frame_truth(without, other)["masks"]["x"].size == 0
    assert survey_truth(without, [frame_truth(without, other)])["masks"]["x"].size == 0


def test_sources_are_where_the_wcs_of_the_truth_puts_them(survey, frame, folder):
    sources, visit = frame.scene.sources, survey.exposures[0].exposure
    wcs = read_true_wcs(folder, visit=visit, detector=0)
    x, y = wcs.sky_to_pixel(ra_deg=sources["ra"], dec_deg=sources["dec"])
    np.testing.assert_allclose(x, sources["x"], atol=1e-7)
    np.testing.assert_allclose(y, sources["y"], atol=1e-7)
    ra, dec = wcs.pixel_to_sky(x=sources["x"], y=sources["y"])
    assert 3.6e6 * separation_deg(ra, dec, sources["ra"], sources["dec"]).max() < 1e-3
    still = read_true_wcs(folder, visit=visit, detector=0, air=False)
    gap = np.hypot(*np.subtract(still.sky_to_pixel(ra_deg=sources["ra"], dec_deg=sources["dec"]), (x, y)))
    np.testing.assert_allclose(gap, np.hypot(sources["air_dx"], sources["air_dy"]), atol=1e-6)
    assert gap.max() > 0.01


def test_pixels_go_to_the_sky_and_back_everywhere(survey, folder):
    wcs = read_true_wcs(folder, visit=survey.exposures[0].exposure, detector=0)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-50, 1073, 23), np.linspace(-50, 1073, 23)))
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    back = wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
    mas = 1e3 * survey.camera.plate_scale * np.hypot(back[0] - x, back[1] - y)
    assert mas.max() < 0.01
    assert [float(value) for value in wcs.pixel_to_sky(x=x[7], y=y[7])] == pytest.approx([ra[7], dec[7]], abs=1e-11)
    with pytest.raises(InputError, match="no such frame"):
        read_true_wcs(folder, visit=1, detector=0)


def test_the_truth_keeps_the_spec_and_the_seed(survey, folder):
    truth = read_survey_truth(folder)
    assert truth["survey"]["seed"].tolist() == [3]
    again = type(survey.spec).model_validate_json(truth["survey"]["spec"][0])
    assert again == survey.spec


def test_the_psf_of_the_middle_is_that_of_a_star_there(survey, frame, folder):
    exposure, detector = survey.exposures[0], survey.detectors[0]
    psf = make_chip_psf(
        survey.spec.telescope, survey.camera, detector, exposure, survey.bandpasses[exposure.band], survey.seed
    )
    places = 511.0 + np.arange(4) / 4.0
    stamps = [draw_stamp(psf, size=64, x=x, y=y).astype(float) for x in places for y in places]
    row = {name: values[0] for name, values in read_survey_truth(folder)["detectors"].items()}
    assert row["psfArea"] == pytest.approx(1.0 / np.mean([np.sum(stamp**2) for stamp in stamps]), rel=0.01)
    assert row["psfSigma"] == pytest.approx((row["psfIxx"] * row["psfIyy"] - row["psfIxy"] ** 2) ** 0.25)
    assert row["psfE1"] == pytest.approx((row["psfIxx"] - row["psfIyy"]) / (row["psfIxx"] + row["psfIyy"]))
    # Half of the peak lies at half the FWHM from the centre: the profile along a row through it, finely drawn.
    half = 0.5 * row["seeing"] / survey.camera.plate_scale
    light = []
    for dx, dy in ((0.0, 0.0), (half, 0.0), (0.0, half)):
        image = np.zeros((64, 64), np.float32)
        star = Sources.points(x=[511.0 + dx], y=[511.0 + dy], electrons=[1e6], wavelength_nm=[psf.reference_nm])
        draw(image, star, psf, origin_x=480, origin_y=480)
        light.append(image[31, 31])
    assert 0.5 * (light[1] + light[2]) / light[0] == pytest.approx(0.5, abs=0.02)


def test_a_wider_psf_is_wider_by_as_much():
    for seeing in (0.8, 1.6):
        spec = small(telescope={"optics": None, "nodes": 1, "air": {"profile": "moffat", "ellipticity": 0.0}})
        plan = Survey.plan(spec.model_copy(update={"sky": spec.sky.model_copy(update={"stars": None, "galaxies": None,
                           "variables": (), "moving": ()})}), 1)  # fmt: skip
        exposure = replace(plan.exposures[0], seeing_arcsec=seeing)
        psf = make_chip_psf(plan.spec.telescope, plan.camera, plan.detectors[0], exposure, plan.bandpasses["r"], 1)
        found = summarize_psf(psf, x=500.0, y=500.0)
        pixel = 0.5 * plan.camera.plate_scale  # a square pixel widens less than its diagonal, more than nothing
        width = found.fwhm_px * plan.camera.plate_scale
        assert seeing < width < np.hypot(seeing, 2.0 * pixel) * 1.03
        assert abs(found.e1) < 2e-3


def test_a_streak_is_where_the_trail_is_brighter_than_its_share_of_the_noise(survey):
    exposure, detector = survey.exposures[0], survey.detectors[0]
    scale = survey.camera.plate_scale
    for mag, visible in ((16.0, True), (25.0, False)):
        trailed = replace(survey, layers=(_Trail(mag, 200.0 * scale / exposure.exposure_time_s * 3600.0),))
        scene = make_scene(trailed, exposure, detector)
        assert scene.streaks is not None
        frame = science_frame(trailed, exposure, detector)
        table = frame_truth(trailed, frame)["masks"]
        mask = mask_of_runs(table, detector.bbox.shape).any_of("STREAK")
        assert mask.any() == visible
        if visible:
            noise = np.sqrt(np.median(scene.sky) + detector.amplifiers[0].read_noise ** 2)
            np.testing.assert_array_equal(mask, scene.streaks > survey.spec.truth.streak_noise * noise)
            y, x = np.nonzero(mask)
            assert 200 < np.hypot(np.ptp(x), np.ptp(y)) < 300
            light = scene.expected - scene.sky
            assert np.abs(light - scene.streaks).max() < 0.03 * light.max()  # halo and spikes
    slow = replace(survey, layers=(_Trail(16.0, 1.0 * scale / exposure.exposure_time_s * 3600.0),))
    assert make_scene(slow, exposure, detector).streaks is None


@pytest.mark.parametrize("mag", [12.0, 16.0])
def test_a_trail_whose_middle_is_far_off_the_detector_is_drawn_on_it_and_in_its_truth(survey, mag):
    exposure, detector = survey.exposures[0], survey.detectors[0]
    scale = survey.camera.plate_scale
    rate = 3000.0 * scale / exposure.exposure_time_s * 3600.0
    ra = 330.185 + 1400.0 * scale / 3600.0 / np.cos(np.radians(29.9))
    trailed = replace(survey, layers=(_Trail(mag, rate, ra),))
    scene = make_scene(trailed, exposure, detector)
    row = {name: values[0] for name, values in scene.sources.items()}
    assert scene.sources["x"].size == 1
    assert not detector.bbox.contains(x=row["x"], y=row["y"])
    columns = np.flatnonzero(scene.streaks.max(axis=0) > 0.3 * scene.streaks.max())
    assert np.array_equal(columns, np.arange(columns[0], columns[-1] + 1))
    ends = row["x"] + 0.5 * row["trail_dx"] * np.array([-1.0, 1.0])
    at_edges = {abs(columns[0]) < 3, abs(columns[-1] - detector.bbox.x.size) < 4}
    assert True in at_edges
    assert np.abs(np.concatenate([columns[[0]] - ends, columns[[-1]] - ends])).min() < 6.0
    gone = replace(survey, layers=(_Trail(mag, rate, ra + 0.5),))
    assert make_scene(gone, exposure, detector).sources["x"].size == 0


class _Trail:
    """One moving point on the detector."""

    name = "moving"

    def __init__(self, mag, rate, ra=330.185):
        self._mag, self._rate, self._ra = mag, rate, ra
        self.objects = {"object_id": layer_ids("moving", 1)}

    def lights(self, moment):
        one = np.ones(1)
        shape = np.full(1, -1, np.int64)
        return Lights(self.objects["object_id"], self._ra * one, -29.9 * one, self._mag * one, 620.0 * one,
                      self._rate * one, 0.3 * self._rate * one, shape, Shapes.none())  # fmt: skip
