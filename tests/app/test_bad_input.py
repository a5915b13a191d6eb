"""Bad files cost themselves only: a line of help each, and the rest of the night is processed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bad_files import DEFEATED, REFUSED, write_night

from etendue.app.quickstart import QuickstartResult, quickstart
from etendue.app.report.report import report_numbers
from etendue.middleware.repository import Repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_night(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="session")
def night(survey: Path) -> QuickstartResult:
    folders = [survey / name for name in ("good", "green", "elsewhere")]
    return quickstart(folders, repository=survey / "repo", workers=2, progress=False)


@pytest.fixture(scope="session")
def home(night: QuickstartResult) -> Repository:
    return Repository.open(night.repository)


def lines(night: QuickstartResult) -> list[str]:
    return [line for line in night.lines() if isinstance(line, str)]


def about(night: QuickstartResult, name: str) -> list[str]:
    return [line for line in lines(night) if name in line]


def test_nothing_failed(night):
    assert [o.message for run in night.runs for o in run.outcomes if o.status in ("failed", "skipped")] == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_used_gets_one_line_with_a_remedy(night, name):
    (line,) = about(night, name)
    assert REFUSED[name] in line
    assert "; " in line
    assert "\n" not in line


@pytest.mark.parametrize("name", DEFEATED)
def test_a_frame_without_stars_is_named_where_it_is_given_up(night, name):
    (line,) = about(night, name)
    assert line.startswith("calibrate_image: ")


def test_the_same_bytes_under_another_name_are_passed_over(night):
    (line,) = about(night, "double.fits.fz")
    assert "the same bytes as" in line


def test_numbers_written_as_text_are_read(night, home):
    (outcome,) = [o for o in night.ingested if o.path.endswith("text_numbers.fits")]
    assert outcome.status == "ingested"
    assert home.query("visit_image", collections="simcam/drp", where=f"visit = {outcome.exposure}")


def test_the_good_frames_are_processed(night, home):
    good = {o.exposure for o in night.ingested if "/good/raw/" in o.path and o.observation_type == "science"}
    done = {int(ref.dataId["visit"]) for ref in home.query("visit_image", collections="simcam/drp")}
    assert len(good) == 3
    assert good <= done
    assert home.query("deep_coadd", collections="simcam/drp", where="band = 'r' AND tract = 0")


def test_another_field_becomes_a_tract_of_its_own(night, home):
    skymap = home.get("skyMap", {"skymap": "field"}, collections="skymaps")
    assert skymap.n_tracts == 2
    assert skymap.tract(1).bbox.shape[0] <= 2000  # not the six degrees between the fields
    elsewhere = {o.exposure for o in night.ingested if "/elsewhere/raw/" in o.path}
    done = {int(ref.dataId["visit"]) for ref in home.query("visit_image", collections="simcam/drp")}
    assert len(elsewhere) == 2
    assert elsewhere <= done
    assert home.query("deep_coadd", collections="simcam/drp", where="band = 'r' AND tract = 1")


def test_another_filter_is_processed_without_a_flat_and_loudly(night, home):
    (refusal,) = [line for line in lines(night) if "1 flat in filter g_sim, 3 make one" in line]
    assert "refused" in refusal
    (line,) = [line for line in lines(night) if line.startswith("missing: no flat")]
    assert "1 science frame is processed without; add flat frames" in line
    (green,) = [o.exposure for o in night.ingested if "/green/raw/" in o.path]
    assert home.query("visit_image", collections="simcam/drp", where=f"visit = {green}")


def test_the_report_names_every_bad_file(night, home):
    numbers = report_numbers(home)
    named = {row["name"] for row in numbers["observations"]["refused"]}
    assert set(REFUSED) | {"double.fits.fz"} <= named
    told = " ".join(row["message"] for row in numbers["timings"]["failures"])
    assert all(name in told for name in DEFEATED)
    page = night.report.read_text()
    assert all(name in page for name in (*REFUSED, *DEFEATED))


def test_a_night_without_calibrations_is_processed_and_says_so(survey, tmp_path):
    result = quickstart([survey / "elsewhere" / "raw"], repository=tmp_path / "repo", workers=2, progress=False)
    told = lines(result)
    assert any(line.startswith("missing: no bias of detector S00: 2 science frames are") for line in told)
    assert any(line.startswith("missing: no flat of detector S00 in filter r_sim") for line in told)
    assert "no certified" not in "".join(o.message for run in result.runs for o in run.outcomes)
    assert len(Repository.open(result.repository).query("visit_image", collections="simcam/drp")) == 2
