"""From raw frames of a survey with an uneven flat-field screen to flats corrected by its stars."""

import numpy as np
import pytest
from click.testing import CliRunner

from etendue.cli.main import main
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.write import write_survey
from etendue.simulate.telescope.field_angle import DetectorPlace

TILT, BOWL = (0.4, -0.3), 0.5


def _spec():
    calib = load_survey("calib").model_dump(mode="json", exclude_unset=True)
    cadence = calib["cadence"] | {
        "exposure_time_s": 30.0,
        "nights": [{"day": 0, "bands": "r" * 10, "spacing_min": 4.0}],
    }
    return SurveySpec.parse(calib | {
        "detectors": [0], "cadence": cadence,
        "sky": {"margin_deg": 0.02, "stars": {"brightest_mag": 13.0, "faintest_mag": 21.0, "density": 3.0}},
        "telescope": {"optics": calib["telescope"]["optics"], "nodes": 3},
        "ccd": {"bias": {}, "read_noise": {}, "response": {}},
        "calibrations": {"bias": 3, "flat": 3, "screen": {"tilt": TILT, "bowl": BOWL}},
        "refcat": {"faint_mag": 20.0, "band": "r"},
    }, "uneven")  # fmt: skip


def etendue(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A repository with calibrated visits, and their corrections."""
    folder = tmp_path_factory.mktemp("uneven")
    write_survey(_spec(), folder / "frames", seed=12)
    repo, catalog = folder / "night", folder / "refcat"
    etendue("init", repo)
    etendue("camera", "register", repo, "simcam4")
    etendue("ingest", repo, folder / "frames")
    etendue("run", "calib", "-b", repo, "-j", 1)
    etendue("calib", "certify", repo, "simcam4/calibrations")
    etendue("skymap", repo)
    etendue("refcat", "build", folder / "frames" / "refcat.csv", catalog)
    etendue("refcat", "register", repo, catalog)
    etendue("run", "drp", "--to", "calibrate_image", "-b", repo, "-j", 1)
    etendue("run", "calib_illumination", "-b", repo, "-i", "simcam4/drp", "-i", "simcam4/defaults", "-j", 1)
    return repo


@pytest.mark.slow
def test_the_stars_of_a_night_undo_an_uneven_screen(night):
    home = Repository.open(night, writeable=False)
    camera = home.camera("simcam4")
    (ref,) = home.query("illumination", collections="simcam4/calib_illumination")
    found = home.get(ref).image.array
    place = DetectorPlace.nominal(camera, camera.detector(0))
    x, y = place.to_field(x=np.arange(1024)[None, :], y=np.arange(1024)[:, None])
    truth = 1.0 / (1.0 + TILT[0] * x + TILT[1] * y + BOWL * (x**2 + y**2))
    truth /= np.median(truth)
    assert np.std(truth) > 0.015
    assert np.std(found / truth) < 1.5e-3


@pytest.mark.slow
def test_it_is_judged_certified_and_not_measured_on_visits_that_it_corrected(night):
    assert "0 of 3 numbers failed" in etendue("calib", "verify", night, "simcam4/calib_illumination")
    assert "certified 1 datasets" in etendue("calib", "certify", night, "simcam4/calib_illumination")
    etendue("run", "drp", "--to", "calibrate_image", "-b", night, "-j", 1, "-o", "simcam4/corrected")
    home = Repository.open(night, writeable=False)
    image = home.query("preliminary_visit_image", collections="simcam4/corrected")[0]
    assert "illumination" in home.get(image, component="metadata")["isr"]
    etendue("run", "calib_illumination", "-b", night, "-i", "simcam4/corrected", "-i", "simcam4/defaults", "-j", 1,
            "-o", "simcam4/twice")  # fmt: skip
    own = [name for name in home.butler.collections.query("simcam4/twice", flatten_chains=True) if "/twice/" in name]
    assert home.query("illumination", collections=own) == ()
