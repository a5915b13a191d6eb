"""Frames whose headers only point, and point wrongly, are found by their stars before anything else needs to know."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from etendue.app.survey_stars import SurveyStars
from etendue.camera.raw import read_header
from etendue.camera.shipped import load_camera
from etendue.camera.translate import translate
from etendue.cli.main import main
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository
from etendue.refcat.build import build_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.simulate.surveys.write import write_survey
from small_surveys import DEC_DEG, RA_DEG, small_survey

OFF_DEG = 0.25
CAMERA = load_camera("simcam")
MIDDLE = {"x": 500.0, "y": 500.0}
pytestmark = pytest.mark.slow


def without_wcs(path: Path) -> None:
    """Take the WCS out of a header, and point it a quarter of a degree north of the truth."""
    with fits.open(path, mode="update") as hdus:
        header = next(hdu.header for hdu in hdus if hdu.header.get("NAXIS") == 2)
        wcs = translate(read_header(path), CAMERA, path).wcs
        ra, dec = wcs.pixel_to_sky(**MIDDLE)
        for key in [
            key for key in header if key.startswith(("CTYPE", "CRVAL", "CD1", "CD2", "A_", "B_", "AP_", "BP_"))
        ]:
            del header[key]
        header["RA"], header["DEC"] = f"{float(ra) / 15.0:.6f}", f"{float(dec) + OFF_DEG:.6f}"


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("locate")
    write_survey(small_survey("rr"), folder / "true")
    shutil.copytree(folder / "true" / "raw", folder / "raw")
    for path in (folder / "raw").iterdir():
        without_wcs(path)
    build_reference_catalog(folder / "true" / "refcat.csv", folder / "stars")
    home = Repository.create(folder / "repo")
    home.register_camera(CAMERA)
    home.ingest(sorted((folder / "raw").iterdir()), transfer="direct")
    return folder


@pytest.fixture
def home(survey, tmp_path) -> Repository:
    shutil.copytree(survey / "repo", tmp_path / "repo")
    return Repository.open(tmp_path / "repo")


def true_middle(survey: Path, name: str) -> tuple[float, float]:
    path = survey / "true" / "raw" / name
    ra, dec = translate(read_header(path), CAMERA, path).wcs.pixel_to_sky(**MIDDLE)
    return float(ra), float(dec)


def offsets_arcsec(home: Repository, survey: Path) -> list[float]:
    """Return how far the middles of frames are from the headers that were true (to some arcsec)."""
    infos = home.raw_infos(home.query("raw", collections="simcam/raw/all"))
    return [
        3600.0 * float(separation_deg(*info.wcs.pixel_to_sky(**MIDDLE), *true_middle(survey, info.file_name)))
        for info in infos
    ]


def test_frames_get_the_wcs_of_their_stars_and_visits_lie_there(home, survey):
    before = offsets_arcsec(home, survey)
    assert min(before) > 0.9 * 3600.0 * OFF_DEG
    outcomes = SurveyStars(str(survey / "stars"), home, CAMERA).locate(workers=1, progress=False)
    assert [outcome.how for outcome in outcomes] == ["pointing", "pointing"]
    assert all(abs(outcome.moved_arcmin - 60.0 * OFF_DEG) < 1.0 for outcome in outcomes)
    assert max(offsets_arcsec(home, survey)) < 15.0  # simulated headers are wrong by some arcsec
    assert all(outcome.matched > 15 and outcome.rms_arcsec < 0.1 for outcome in outcomes)
    assert not any(info.wcs_is_approximate for info in home.raw_infos(home.query("raw", collections="simcam/raw/all")))
    for record in home.butler.query_dimension_records("visit", instrument="simcam"):
        center = record.region.getBoundingCircle().getCenter()
        ra, dec = np.degrees([np.arctan2(center.y(), center.x()), np.arcsin(center.z())])
        true = true_middle(survey, outcomes[0].file)
        assert float(separation_deg(ra, dec, *true)) < 0.05
    assert SurveyStars(str(survey / "stars"), home, CAMERA).locate(workers=1, progress=False) == []  # known already


def test_stars_are_registered_where_the_frames_are(home, survey):
    stars = SurveyStars(str(survey / "stars"), home, CAMERA)
    stars.locate(workers=1, progress=False)
    assert stars.register() > 0
    kept = {int(number) for ref in home.query("refcat", collections="refcats") for number in home.get(ref)["id"]}
    catalog = ReferenceCatalog(survey / "stars")
    info = home.raw_infos(home.query("raw", collections="simcam/raw/all"))[0]
    ra, dec = info.wcs.pixel_to_sky(**MIDDLE)
    assert set(catalog.load_cone(ra_deg=float(ra), dec_deg=float(dec), radius_deg=0.1)["id"].tolist()) <= kept


def test_what_people_say_goes_before_what_stars_say(home, survey):
    names = sorted(path.name for path in (survey / "raw").iterdir())
    (home.path / "overrides.yaml").write_text(
        f"headers: [{{frame: {names[0]}, ra_deg: 10.0, dec_deg: -5.0}}]\n"
        f"bad_frames: [{{frame: {names[1]}, reason: clouds}}]\n"
    )
    home.apply_overrides()
    assert SurveyStars(str(survey / "stars"), home, CAMERA).locate(workers=1, progress=False) == []


def test_too_few_stars_leave_the_headers_pointing(home, tmp_path, caplog):
    (tmp_path / "few.csv").write_text(
        "id,ra,dec,r_mag\n" + "".join(f"{k},{RA_DEG + k / 50},{DEC_DEG + k / 60},15\n" for k in range(3))
    )
    before = [info.wcs for info in home.raw_infos(home.query("raw", collections="simcam/raw/all"))]
    assert SurveyStars(str(tmp_path / "few.csv"), home, CAMERA).locate(workers=1, progress=False) == []
    assert "keep the pointings of their headers" in caplog.text
    assert [info.wcs for info in home.raw_infos(home.query("raw", collections="simcam/raw/all"))] == before
    with pytest.raises(InputError, match="no star index"):
        SurveyStars(str(tmp_path / "few.csv"), home, CAMERA, tmp_path / "absent").locate(workers=1, progress=False)


def test_the_command_shows_how_far_frames_moved(home, survey):
    call = [str(home.path), str(survey / "stars"), "-j", "1"]
    first = CliRunner().invoke(main, ["locate", *call])
    assert first.exit_code == 0, first.output
    assert first.output.count("pointing") == 2
    again = CliRunner().invoke(main, ["locate", *call])
    assert "no frame to search" in again.output
