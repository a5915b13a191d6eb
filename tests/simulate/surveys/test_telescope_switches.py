"""What telescope and sky do to a frame comes back from its pixels, and is off exactly where it is switched off."""

import erfa
import numpy as np
import pytest

from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame
from etendue.simulate.surveys.scene import make_scene
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.field_angle import DetectorPlace

from .small import SMALL, small

PLAIN = {"optics": None, "distortion": None, "turbulence": None, "refraction": False, "vignetting": None, "dust": None,
         "stray": None, "nodes": 2}  # fmt: skip
EMPTY = {"stars": None, "galaxies": None}
NOTHING = {
    "turbulence": {"rms_mas": 0.0},
    "distortion": {"detector_shift_px": 0.0},
    "vignetting": {"clear_deg": 80.0, "edge_deg": 90.0},
    "dust": {"filter_per_deg2": 0.0, "window_per_deg2": 0.0},
    "stray": {"halo_fraction": 0.0, "spike_fraction": 0.0},
}


def first(spec: SurveySpec, seed: int = 3):
    survey = Survey.plan(spec, seed)
    return survey, survey.exposures[0], survey.detectors[0]


def light(**telescope: object) -> np.ndarray:
    scene = make_scene(*first(small(telescope=PLAIN | telescope, sky={"galaxies": None, "stars": {}})))
    return scene.expected if scene.illumination is None else scene.expected * scene.illumination


@pytest.fixture(scope="module")
def plain():
    return light()


@pytest.mark.parametrize("part", NOTHING)
def test_a_part_of_no_size_equals_one_that_is_off_bit_for_bit(part, plain):
    np.testing.assert_array_equal(light(**{part: NOTHING[part]}), plain)


@pytest.mark.parametrize("part", [*sorted(set(NOTHING) - {"distortion", "dust", "vignetting"}), "refraction", "optics"])
def test_every_part_does_something_by_default(part, plain):
    assert not np.array_equal(light(**{part: True if part == "refraction" else {}}), plain)


def test_the_gradient_of_the_sky_comes_back_from_its_pixels():
    conditions = {"sky_gradient": 0.2}
    survey, exposure, detector = first(small(telescope=PLAIN, sky=EMPTY, conditions=conditions))
    sky = make_scene(survey, exposure, detector).expected.astype(float)
    fx, fy = DetectorPlace.nominal(survey.camera, detector).to_field(
        x=np.arange(sky.shape[1])[None, :], y=np.arange(sky.shape[0])[:, None]
    )
    design = np.stack(np.broadcast_arrays(np.ones(1), fx, fy), axis=-1).reshape(-1, 3)
    level, *slope = np.linalg.lstsq(design, sky.ravel(), rcond=None)[0]
    np.testing.assert_allclose(np.array(slope) / level, exposure.sky_gradient, rtol=1e-3)
    assert np.hypot(*exposure.sky_gradient) > 0.02
    even = make_scene(*first(small(telescope=PLAIN, sky=EMPTY, conditions={"sky_gradient": 0.0}))).expected
    assert np.ptp(even) == 0.0


def test_vignetting_comes_back_from_a_flat():
    vignetting = {"clear_deg": 0.01, "edge_deg": 0.12}
    survey, _, detector = first(small(telescope=PLAIN | {"vignetting": vignetting}, ccd={}))
    frame = next(frame for frame in calibration_frames(survey) if frame.kind == "flat")
    flat = detector.trim(calibration_frame(survey, frame, detector).raw.array).astype(float)
    for amplifier in detector.amplifiers:
        flat[amplifier.bbox.slices_in(detector.bbox)] *= amplifier.gain
    fx, fy = DetectorPlace.nominal(survey.camera, detector).to_field(
        x=np.arange(flat.shape[1])[None, :], y=np.arange(flat.shape[0])[:, None]
    )
    radius = np.hypot(fx, fy)
    inside = [np.abs(radius - at) < 0.002 for at in (0.03, 0.06, 0.09, 0.12)]
    assert min(ring.sum() for ring in inside) > 2000
    found = np.array([flat[ring].mean() for ring in inside])
    expected = np.array([np.mean(1.0 / (1.0 + ((radius[ring] - 0.01) / 0.11) ** 3)) for ring in inside])
    np.testing.assert_allclose(found / found[-1], expected / expected[-1], rtol=5e-3)


def test_a_blue_and_a_red_star_part_along_the_vertical_as_the_air_refracts(tmp_path):
    """Centroids on the frame, against ERFA's refraction; spectra of a line each leave no doubt about wavelengths."""
    wave = np.arange(380.0, 600.0, 1.0)
    lines = [np.exp(-0.5 * ((wave - at) / 4.0) ** 2) for at in (430.0, 530.0)]
    np.savetxt(tmp_path / "lines.txt", np.column_stack([wave, *lines]))
    (tmp_path / "stars.csv").write_text("ra,dec,mag_g,spectrum\n330.19,-29.91,15,0\n330.17,-29.91,15,1\n")
    table = {"path": str(tmp_path / "stars.csv"), "spectra": str(tmp_path / "lines.txt"), "reference": "g"}
    cadence = SMALL["cadence"] | {"nights": [{"day": 0, "bands": "g", "begin_h": 4.5}]}
    moved = {}
    for on in (False, True):
        spec = small(telescope=PLAIN | {"refraction": on}, sky=EMPTY | {"tables": [table]}, cadence=cadence)
        survey, exposure, detector = first(spec)
        moved[on] = np.array([centroid(make_scene(survey, exposure, detector), row) for row in range(2)])
    assert exposure.zenith_deg > 30.0
    blue, red = moved[True] - moved[False]
    slope = np.tan(np.radians(exposure.zenith_deg))
    expected = np.subtract(*(erfa.refco(740.0, 10.0, 0.0, w / 1e3)[0] * slope for w in (430.0, 530.0)))
    apart = np.hypot(*(blue - red)) * survey.camera.plate_scale
    assert apart == pytest.approx(np.degrees(expected) * 3600.0, rel=0.03)
    assert apart > 0.3


def centroid(scene, row: int) -> tuple[float, float]:
    order = np.argsort(scene.sources["object_id"])
    x0, y0 = (round(float(scene.sources[name][order[row]])) for name in "xy")
    stamp = (scene.expected - scene.sky)[y0 - 20 : y0 + 21, x0 - 20 : x0 + 21].astype(float)
    y, x = np.mgrid[-20:21, -20:21]
    return x0 + float((stamp * x).sum() / stamp.sum()), y0 + float((stamp * y).sum() / stamp.sum())
