"""A survey with any shipped camera is written as that camera writes its raws, and is read and ingested again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.camera.detector import Detector
from etendue.camera.frame_file import frames_in
from etendue.camera.header_wcs import pointing_wcs
from etendue.camera.raw import read_raw
from etendue.camera.shipped import identify_camera, load_camera, shipped_cameras
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository
from etendue.simulate.night.plan import plan_exposures
from etendue.simulate.surveys.sky_layers import bandpass_of
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.write import write_survey
from etendue.simulate.telescope.true_wcs import true_wcs

OFF_AXIS = {"lsstcam": 0, "lsstcomcam": 8, "latiss": 0, "decam": 1, "hsc": 0, "ztf": 6, "megacam": 2}  # at the edge

ONE_OF_EACH = ("decam", "latiss", "megacam", "simcam4")


def survey_of(camera: str, detectors: tuple[int, ...]) -> SurveySpec:
    """Return one exposure of a thin sky and one bias: what counts is the file."""
    band = "r" if "r" in {entry.band for entry in load_camera(camera).filters} else "R"
    content: dict[str, Any] = {
        "name": "one", "camera": camera, "detectors": detectors, "area_m2": 2.0, "bands": {band: "r"},
        "cadence": {"start": "2025-07-22", "fields": [{"name": "f", "ra_deg": 330.0, "dec_deg": 5.0}],
                    "exposure_time_s": 60.0, "nights": [{"day": 0, "bands": band}]},
        "conditions": {"cloudy_nights": 0.0},
        "sky": {"margin_deg": 0.02, "galaxies": None,  # few stars: ZTF's field holds 10 million
                "stars": {"brightest_mag": 15, "faintest_mag": 19, "density": 0.004}},
        "telescope": {"vignetting": None, "stray": None, "nodes": 2},
        "calibrations": {"bias": int(load_camera(camera).header.observation_type.constant is None), "flat": 0},
    }  # fmt: skip
    return SurveySpec.parse(content, "test")


def in_turn(names: tuple[str, ...]) -> list[Any]:
    """Return the names; all but one of each kind of file are for thorough runs."""
    return [name if name in ONE_OF_EACH else pytest.param(name, marks=pytest.mark.thorough) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", in_turn(tuple(shipped_cameras())))
def test_raws_of_a_shipped_camera_are_read_back_and_ingested(tmp_path: Path, name: str) -> None:
    camera = load_camera(name)
    number = OFF_AXIS.get(name, camera.detectors[0].id)
    spec = survey_of(name, (number,))
    write_survey(spec, tmp_path / "raws")
    survey = Survey.plan(spec)
    paths = sorted((tmp_path / "raws").rglob("*.fits.fz"))
    assert len(paths) == 1 + spec.calibrations.bias
    home = Repository.create(tmp_path / "repo")
    home.register_camera(camera)
    for path in paths:
        (frame,) = frames_in(path, camera)
        assert identify_camera(frame.header) == camera
        raw = read_raw(path, camera)
        assert raw.array.shape == camera.detector(number).raw_shape
        assert raw.array.dtype == (np.uint16 if camera.files.bits <= 16 else np.int32)
    outcomes = home.ingest(paths)
    assert [(o.status, o.detector) for o in outcomes] == [("ingested", number)] * len(paths)
    science = next(o for o in outcomes if o.observation_type == "science")
    assert science.exposure == survey.exposures[0].exposure  # the truth tables name it so
    assert [o.defined for o in home.define_visits()] == [True]
    (ref,) = home.query("raw", collections=f"{name}/raw/all", where="exposure.observation_type = 'science'")
    np.testing.assert_array_equal(home.get(ref).array, read_raw(paths[-1], camera).array)


@pytest.mark.parametrize("name", sorted(OFF_AXIS))
def test_the_wcs_that_a_header_starts_with_is_near_the_true_one(name: str) -> None:
    camera = load_camera(name)
    detector = camera.detector(OFF_AXIS[name])
    spec = survey_of(name, (detector.id,))
    (exposure,) = plan_exposures(spec.cadence, spec.conditions, camera, {"r": bandpass_of("r", None)}, spec.air, 1)
    truth = true_wcs(camera, detector, exposure, spec.telescope.distortion, 1)
    start = pointing_wcs(camera, detector, exposure.ra_deg, exposure.dec_deg, exposure.rotation_deg)
    x, y = detector.bbox.corners()
    apart = separation_deg(*truth.pixel_to_sky(x=x, y=y), *start.pixel_to_sky(x=x, y=y))
    assert 3600.0 * apart.max() < 6.0  # what one matrix leaves of the distortion of a whole CCD


def test_calibrations_that_no_header_of_the_camera_can_name_are_refused() -> None:
    spec = survey_of("microobservatory", ()).model_copy(update={"calibrations": survey_of("simcam", ()).calibrations})
    with pytest.raises(InputError, match=r"says 'science', none can say bias.*leave out 'calibrations'"):
        Survey.plan(spec)


def test_a_mosaic_in_one_file_is_written_whole(tmp_path: Path) -> None:
    """Two CCDs of DECam, cut down to 16 rows."""
    decam = load_camera("decam")
    ccds = []
    for detector in decam.detectors[27:29]:
        content = detector.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(content | {"raw_shape": [66, 2160]}).replace("51:4146]", "51:66]").replace("1:4096]", "1:16]")
        ccds.append(Detector.model_validate_json(text))
    tiny = decam.model_copy(update={"name": "tinydecam", "detectors": tuple(ccds)})
    path = tmp_path / "tinydecam.yaml"
    path.write_text(tiny.to_yaml())
    write_survey(survey_of(str(path), (28, 29)), tmp_path / "raws")
    (file,) = (tmp_path / "raws" / "raw").iterdir()
    assert [frame.detector for frame in frames_in(file, tiny)] == [28, 29]
    assert read_raw(file, tiny, detector=29).array.shape == (66, 2160)
