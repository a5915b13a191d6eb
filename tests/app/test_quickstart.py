"""Folders in, a night's products out."""

import json
import shutil
from pathlib import Path

import pytest

from etendue.app.quickstart import lay_out_sky, quickstart
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.geom.skymap import SingleTractSkyMap
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey

SCIENCE = ("0132", "0152", "0166")


@pytest.fixture(scope="module")
def calibrations(tmp_path_factory: pytest.TempPathFactory):
    """Return what quickstart makes of three bias frames and a flat too few."""
    folder = tmp_path_factory.mktemp("quick")
    write_survey(small_survey("r", bias=3, flat=2, stars=0.0), folder / "frames")
    folders = [folder / "frames" / "bias", folder / "frames" / "flat"]
    return quickstart(folders, repository=folder / "repo", workers=1, progress=False)


def test_calibrations_alone_are_built_and_certified(calibrations):
    home = Repository.open(calibrations.repository)
    assert calibrations.camera == "simcam"
    assert len(calibrations.runs) == 1
    refs = home.query("bias", collections="simcam/calibrations")
    assert len(refs) == 1
    assert calibrations.report.is_file()


def test_flats_that_make_no_flat_are_refused_by_name(calibrations):
    lines = [line for line in calibrations.lines() if isinstance(line, str)]
    flats = [Path(outcome.path).name for outcome in calibrations.ingested if "flat" in str(outcome.path)]
    refusal = next(line for line in lines if "make one" in line)
    assert all(name in refusal for name in flats)


def test_the_result_is_plain_numbers(calibrations):
    told = json.loads(json.dumps(calibrations.to_dict()))
    assert told["camera"] == "simcam"
    assert len(told["ingested"]) == 5
    assert "building calibrations" in told["wall_s"]


def test_a_sky_without_pointing_cannot_be_laid_out(tmp_path):
    home = Repository.create(tmp_path / "repo")
    camera = load_camera("simcam")
    home.register_camera(camera)
    with pytest.raises(InputError, match="no science frame"):
        lay_out_sky(home, camera)


def test_frames_outside_the_skymap_are_named_not_lost(empty_survey, tmp_path, caplog):
    shutil.copytree(empty_survey.home.path, tmp_path / "repo")
    home, camera = Repository.open(tmp_path / "repo"), load_camera("simcam")
    elsewhere = SingleTractSkyMap(ra_deg=10.0, dec_deg=20.0, half_size_deg=0.1, pixel_scale=0.5)
    home.register_skymap(elsewhere, "field")
    lay_out_sky(home, camera)
    found = {refusal.subject: refusal.reason for refusal in home.refusals.current()}
    assert set(found) == {f"sky of exposure {visit}" for visit in empty_survey.visits}
    assert all("outside the skymap" in reason and ".fits.fz" in reason for reason in found.values())
    assert "process it in another repository" in caplog.text


def test_a_later_call_leaves_the_skymap_alone(empty_survey, tmp_path):
    shutil.copytree(empty_survey.home.path, tmp_path / "repo")
    home, camera = Repository.open(tmp_path / "repo"), load_camera("simcam")
    lay_out_sky(home, camera)
    before = home.get("skyMap", {"skymap": "field"}, collections="skymaps")
    lay_out_sky(home, camera)
    assert home.get("skyMap", {"skymap": "field"}, collections="skymaps") == before
    assert home.refusals.current() == ()


def test_folders_without_frames_are_refused(tmp_path):
    with pytest.raises(InputError, match="no FITS files"):
        quickstart([tmp_path], repository=tmp_path / "repo", progress=False)


@pytest.mark.slow
@pytest.mark.realdata
def test_three_frames_of_a_real_night(shared_data, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in SCIENCE:
        shutil.copy(next((shared_data / "lowell42" / "raw").glob(f"*.{number}.fits*")), raw)
    for frame in sorted((shared_data / "lowell42" / "bias").iterdir())[:9]:
        shutil.copy(frame, raw)
    folders = [shared_data / "lowell42" / "flat", raw]
    result = quickstart(folders, repository=tmp_path / "repo", workers=2, progress=False)
    home = Repository.open(result.repository)
    refused = [o.message for run in result.runs for o in run.outcomes if o.status == "defeated"]
    assert any("refused" in message and "filter V," in message and ".fits" in message for message in refused)
    gain = home.get("ptc", {"instrument": "lowell42", "detector": 0}, collections="lowell42/calibrations").amplifiers[0]
    assert gain.gain == pytest.approx(3.66, rel=0.02)
    assert gain.header_gain == pytest.approx(4.95)
    assert not gain.consistent
    assert len(home.query("visit_image", collections="lowell42/drp")) == len(SCIENCE)
    assert len(home.query("difference_image", collections="lowell42/ap")) == len(SCIENCE)
