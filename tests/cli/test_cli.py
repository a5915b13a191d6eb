"""Commands do what they say; every failure is one line and exit status 1, never a traceback."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from etendue.alerts.alert_log import AlertLog
from etendue.alerts.package import package_alerts
from etendue.archive.archive import Archive
from etendue.camera.shipped import load_camera
from etendue.cli.main import main
from etendue.middleware.repository import Repository
from etendue.table.table import Table

HEAVY = ("numpy", "numba", "astropy", "scipy", "matplotlib", "pyarrow", "pydantic", "lsst", "rich", "yaml")


def etendue(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def error_of(*arguments):
    """Return the one line on stderr of a command that must fail."""
    lines = etendue(*arguments, status=1).stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("etendue: error: ")
    return lines[0]


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "repo"
    home = Repository.create(folder)
    home.register_camera(load_camera("simcam"))
    n = 40
    found = Table("dia_source", {
        "diaSourceId": np.arange(n) + 2**60, "visit": np.full(n, 7), "detector": np.zeros(n, int), "band": ["r"] * n,
        "diaObjectId": np.arange(n), "midpointMjdTai": np.full(n, 60949.1), "ra": 150.0 + np.arange(n) / 3600.0,
        "dec": np.full(n, -2.0), "x": np.arange(n), "y": np.arange(n), "psfFlux": np.full(n, 500.0),
        "psfFluxErr": np.full(n, 10.0), "snr": 10.0 + np.arange(n),
    })  # fmt: skip
    Archive(folder / "archive").publish("dia_source", [found], key="dia_source")
    AlertLog(folder / "alerts").publish(package_alerts(visit=7, detector=0, dia_sources=found))
    return folder


def test_help_imports_nothing_heavy():
    code = f"import sys, etendue.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_lists_every_command():
    text = etendue("--help").output
    for name in ("init", "camera", "ingest", "certify", "skymap", "refcat", "run", "report", "quickstart", "simulate",
                 "demo", "archive", "alerts", "warm", "hash"):  # fmt: skip
        assert f"\n  {name}" in text
        assert "Usage" in etendue(name, "--help").output


@pytest.mark.parametrize("command", [
    ("ingest", "nowhere", "x.fits"), ("certify", "nowhere", "run"), ("skymap", "nowhere"), ("hash", "nowhere", "run"),
    ("report", "nowhere"), ("run", "drp", "-b", "nowhere"), ("camera", "register", "nowhere", "simcam"),
    ("camera", "list", "-b", "nowhere"),
])  # fmt: skip
def test_a_folder_that_is_no_repository_is_refused(command):
    assert "nowhere: is not a repository" in error_of(*command)


def test_init_makes_a_repository_once(tmp_path):
    etendue("init", tmp_path / "new")
    assert Repository.open(tmp_path / "new").cameras() == []
    assert "not an empty folder" in error_of("init", tmp_path / "new")


def test_cameras_are_listed_and_shown():
    rows = json.loads(etendue("camera", "list", "--json").output)
    assert {row["camera"] for row in rows} >= {"lowell42", "microobservatory", "simcam"}
    assert etendue("camera", "show", "simcam").output.startswith("name: simcam")
    assert max(map(len, etendue("camera", "list").output.splitlines())) <= 100


def test_registered_cameras_are_listed(repo):
    rows = json.loads(etendue("camera", "list", "-b", repo, "--json").output)
    assert [row["camera"] for row in rows] == ["simcam"]
    assert "registered simcam" in etendue("camera", "register", repo, "simcam").output


def test_an_unknown_camera_is_refused(repo):
    assert "no such camera (got 'hubble')" in error_of("camera", "show", "hubble")
    assert "no such camera (got 'hubble')" in error_of("camera", "register", repo, "hubble")
    assert "no such camera" in error_of("ingest", repo, repo / "butler.yaml", "--camera", "hubble")


def test_a_file_that_is_no_camera_is_refused(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: x\nfilters: 3\n")
    assert "bad.yaml" in error_of("camera", "check", tmp_path / "bad.yaml")
    assert "nowhere.yaml" in error_of("camera", "check", tmp_path / "nowhere.yaml")


def test_a_frame_that_is_no_fits_is_refused(tmp_path, repo):
    frame = tmp_path / "frame.fits"
    frame.write_bytes(b"hello")
    assert "frame.fits" in error_of("camera", "guess", frame)
    assert "frame.fits" in etendue("camera", "check", "simcam", frame, status=1).stdout
    assert "frame.fits" in etendue("ingest", repo, frame, status=1).stdout
    assert "no FITS files" in error_of("ingest", repo, repo / "archive")


def test_an_unknown_pipeline_and_a_bad_override_are_refused(repo):
    assert "no such pipeline (got 'dr')" in error_of("run", "dr", "-b", repo)
    assert "no such task" in error_of("run", "drp", "-b", repo, "-c", "nothing:x=1")
    assert "label:field=value" in error_of("run", "drp", "-b", repo, "-c", "nonsense")


def test_a_run_without_data_is_refused(repo):
    assert "nothing to do" in error_of("run", "calib", "-b", repo, "--json")


def test_certifying_nothing_is_refused(repo):
    assert "no such collection" in error_of("certify", repo, "nowhere")
    assert "holds no bias" in error_of("certify", repo, "simcam/raw/all", "-t", "bias")


def test_hashes_of_a_collection_are_printed(repo):
    found = json.loads(etendue("hash", repo, "simcam/calib/camera", "--json").output)
    assert list(found["products"]) == ["camera instrument=simcam"]
    assert len(found["all"]) == 64
    assert "all 1 products" in etendue("hash", repo, "simcam/calib/camera").output


def test_a_report_of_almost_nothing_is_written(repo, tmp_path):
    assert "page.html" in etendue("report", repo, "-o", tmp_path / "page.html").output
    assert json.loads(etendue("report", repo, "--json").output)["observations"]["n_visits"] == 0


def test_the_archive_answers(repo):
    tables = json.loads(etendue("archive", "tables", repo, "--json").output)
    assert tables == {"snapshot": 1, "tables": [{"table": "dia_source", "rows": 40}]}
    sql = 'SELECT "diaSourceId", snr FROM dia_source ORDER BY snr DESC'
    answer = json.loads(etendue("archive", "query", repo, sql, "-n", "2", "--json").output)
    assert answer == {"rows": [{"diaSourceId": str(2**60 + k), "snr": 10.0 + k} for k in (39, 38)], "total": 40}
    text = etendue("archive", "cone", repo, "dia_source", "--", 150.0, -2.0, 3.5).output
    assert str(2**60 + 3) in text
    assert str(2**60 + 4) not in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_answer_is_written_to_a_file(repo, tmp_path):
    etendue("archive", "query", repo, "SELECT snr FROM dia_source", "-o", tmp_path / "a.csv")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 41
    assert "use .parquet or .csv" in error_of("archive", "query", repo, "SELECT 1", "-o", tmp_path / "a.xls")


def test_a_bad_question_to_the_archive_is_refused(repo, tmp_path):
    error_of("archive", "query", repo, "SELEKT 1")
    error_of("archive", "query", repo, "SELECT * FROM read_csv('/etc/passwd')")
    assert "unknown table (got 'stars')" in error_of("archive", "cone", repo, "stars", "1", "2", "3")
    assert "the archive has no such table" in error_of("archive", "cone", repo, "object", "1", "2", "3")
    assert "holds no archive" in error_of("archive", "tables", tmp_path)


def test_alerts_are_listed_and_shown(repo, tmp_path):
    found = json.loads(etendue("alerts", "list", repo, "-w", "snr > 45", "--json").output)
    assert [row["diaSourceId"] for row in found["alerts"]] == [str(2**60 + k) for k in (39, 38, 37, 36)]
    assert "40 alerts" in etendue("alerts", "list", repo, "-n", 3).output
    alert = json.loads(etendue("alerts", "show", repo, 2**60).output)
    assert alert["diaSource"]["snr"] == 10.0
    assert "no such alert (got '5')" in error_of("alerts", "show", repo, 5)
    assert "holds no alerts" in error_of("alerts", "list", tmp_path)


def test_a_reference_catalog_is_built_and_registered(repo, tmp_path):
    (tmp_path / "stars.csv").write_text("ra,dec,r_mag\n150.0,-2.0,18.0\n150.1,-2.1,19.0\n")
    text = etendue("refcat", "build", tmp_path / "stars.csv", tmp_path / "cat", "--column", "r_mag=r_mag").output
    assert "2 stars, bands r" in text
    assert "collection refcats" in etendue("refcat", "register", repo, tmp_path / "cat").output
    assert "already exists" in error_of("refcat", "build", tmp_path / "stars.csv", tmp_path / "cat")
    assert "no reference catalog" in error_of("refcat", "register", repo, tmp_path)


def test_simulate_refuses_unknown_presets_and_full_folders(repo, tmp_path):
    assert "no such survey preset" in error_of("simulate", "lsst", tmp_path / "out")
    assert "not an empty folder" in error_of("simulate", "smoke", repo)


def test_quickstart_refuses_what_is_not_there(tmp_path):
    assert "no such folder" in error_of("quickstart", tmp_path / "none", "--repo", tmp_path / "r", "--json")
    assert "no FITS files" in error_of("quickstart", tmp_path, "--repo", tmp_path / "r", "--json")
