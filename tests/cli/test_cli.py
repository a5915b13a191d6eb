"""Commands do what they say; every failure is one line and exit status 1, never a traceback."""

import functools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from etendue.alerts.alert_log import AlertLog
from etendue.alerts.batch import AlertBatch
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
    for name in ("init", "camera", "ingest", "calib", "skymap", "refcat", "run", "report", "quickstart", "simulate",
                 "demo", "archive", "alerts", "warm", "hash", "publish", "solve"):  # fmt: skip
        assert f"\n  {name}" in text
        assert "Usage" in etendue(name, "--help").output


@pytest.mark.parametrize("command", [
    "ingest {} x.fits", "certify {} run", "skymap {}", "hash {} run", "report {}", "run drp -b {}", "publish {} run",
    "camera register {} simcam", "camera list -b {}",
])  # fmt: skip
@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_that_is_no_repository_is_refused(command, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{place}: is not a repository; create one with 'etendue init'" in error_of(*command.format(place).split())


@pytest.mark.parametrize(("command", "words"), [
    ("quickstart NONE --repo r", ("NONE", "no such folder or file; check the path")),
    ("quickstart JUNK --repo r", ("JUNK", "is no FITS file", "leave it out")),
    ("quickstart JUNK --repo r --refcat NONE", ("NONE", "no such reference catalog; give")),
    ("demo JUNK", ("JUNK", "is a file; give a folder")),
    ("demo .", ("exists and is not empty; give --overwrite",)),
    ("init JUNK", ("JUNK", "choose another folder")),
    ("init JUNK/new", ("JUNK/new", "Not a directory", "check the folder")),
    ("init new --database quatsch", ("is no database URL (got 'quatsch')", "as in postgresql://user@host/name")),
    ("camera guess NONE", ("NONE", "no such file; check the path")),
    ("camera guess .", ("is a folder, no FITS file",)),
    ("camera guess FRAME -o NONE/x.yaml", ("NONE/x.yaml: No such file or directory; check the path",)),
    ("camera show JUNK", ("no such camera", "JUNK", "use one of")),
    ("ingest REPO NONE", ("NONE", "no such folder or file")),
    ("ingest REPO FRAME --camera hubble", ("no such camera in the repository (got 'hubble'); registered: simcam",)),
    ("refcat build NONE out", ("NONE", "cannot be read")),
    ("refcat build JUNK out", ("JUNK", "give CSV, FITS, Parquet or VOTable")),
    ("refcat register REPO NONE", ("NONE", "no reference catalog", "make it with")),
    ("skymap REPO", ("no science frame has a WCS or a pointing; ingest",)),
    ("run ap -b REPO", ("the pipeline ap reads what drp makes", "run 'etendue run drp' first")),
    ("run drp -b REPO -i NONE", ("no such collection", "NONE", "there are simcam/calib, simcam/defaults")),
    ("run drp#quatsch -b REPO", ("drp#quatsch", "quatsch", "correct")),
    ("run JUNK -b REPO", ("JUNK", "cannot read the pipeline", "correct")),
    ("run drp -b REPO -c calibrate_image:quatsch=3", ("drp: ", "no attribute quatsch; correct")),
    ("run drp -b REPO -c quatsch", ("label:field=value (got 'quatsch'); for instance",)),
    ("certify REPO NONE", ("no such collection", "there are")),
    ("calib certify REPO NONE", ("no such collection", "there are")),
    ("calib certify REPO simcam/raw/all --begin 60002 --end 60001",
     ("ends before it begins (got (60002.0, 60001.0))",)),
    ("calib certify REPO simcam/raw/all --begin 6", ("no time of validity (got 6.0); give MJDs from",)),
    ("calib certify REPO simcam/raw/all --begin now", ("no time (got 'now'); give an MJD, a date as 2026-03-20",)),
    ("calib certify REPO simcam/raw/all --begin 20261399", ("no time (got '20261399'); give",)),
    ("calib decertify REPO -t bias", ("simcam/calib/certified: no such bias is valid then; see",)),
    ("calib decertify REPO -t bias -d S07", ("has no such detector (got 'S07')",)),
    ("calib decertify REPO -t bias --collection NONE", ("no such collection", "NONE", "there are")),
    ("calib list REPO --collection simcam/raw/all", ("simcam/raw/all: is no collection of certified calibrations",)),
    ("calib timeline REPO", ("holds no certified calibration and no science exposure; run the pipeline calib",)),
    ("calib curated REPO NONE", ("NONE: no such folder; check the path",)),
    ("calib use REPO first", ("no such version of curated calibrations (got 'first'); there are none",)),
    ("calib export-curated REPO out", ("no defects or ptc is certified; see",)),
    ("refcat use REPO dr9", ("no such version of a reference catalog (got 'dr9'); there are none",)),
    ("publish REPO NONE", ("no such collection", "there are")),
    ("report REPO -i NONE", ("no such collection", "there are")),
    ("report REPO -o NONE/page.html", ("NONE/page.html", "choose a file in a folder that exists")),
    ("archive cone REPO dia_source 1 95 3", ("no circle on the sky (got (1.0, 95.0, 3.0)); give",)),
    ("archive cone REPO dia_source 1 2 3 -k psfFux", ("no such column (got 'psfFux'); it has psfFlux",)),
    ("archive query REPO SELEKT", ("SELEKT", "correct the SQL")),
    ("archive query REPO SELECT/**/1 -o NONE/x.csv", ("NONE/x.csv: its folder does not exist; make",)),
    ("archive tables NONE", ("NONE", "holds no archive; give")),
    ("alerts list REPO -w quatsch", ("quatsch", "correct the SQL")),
    ("alerts batches NONE", ("NONE", "holds no alerts; give")),
    ("alerts show REPO abc", ("no such alert (got 'abc'); see",)),
    ("alerts show REPO 1152921504606846976 --version 7", ("no such alert", "see")),
    ("hash REPO simcam/raw/all -t quatsch", ("simcam/raw/all: holds no quatsch",)),
    ("simulate lsst out", ("no such survey (got 'lsst'); use one of ap-year, calib",)),
    ("simulate smoke JUNK/out", ("Not a directory; a file stands where a folder must be",)),
])  # fmt: skip
def test_a_wrong_value_is_one_line_with_value_and_remedy(command, words, repo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"REPO": str(repo), "JUNK": "junk.txt", "NONE": "nowhere", "FRAME": "frame.fits"}
    (tmp_path / "junk.txt").write_text("hello")
    cards = fits.Header({"EXPTIME": 1.0, "DATE-OBS": "2024-01-02T03:04:05"})
    fits.PrimaryHDU(np.ones((8, 8), np.int16), cards).writeto(tmp_path / "frame.fits")
    filled = [functools.reduce(lambda text, name: text.replace(*name), names.items(), word) for word in command.split()]
    lines = etendue(*filled, status=1).stderr.splitlines()
    assert [line.startswith("etendue: error: ") for line in lines if line != "looking at the frames"] == [True]
    for word in words:
        assert functools.reduce(lambda text, name: text.replace(*name), names.items(), word) in lines[-1]


@pytest.mark.parametrize(("command", "words"), [
    ("nonsense", "No such command 'nonsense'; see 'etendue --help'"),
    ("alerts nonsense", "No such command 'nonsense'; see 'etendue alerts --help'"),
    ("quickstart folder", "Missing option '--repo'; see 'etendue quickstart --help'"),
    ("run drp", "Missing option '-b' / '--repo'; see 'etendue run --help'"),
    ("run drp -b r -j 0", "0 is not in the range x>=1"),
    ("ingest r x.fits --transfer teleport", "'teleport' is not one of 'copy', 'link', 'direct'"),
    ("calib decertify r", "Missing option '-t' / '--type'; see 'etendue calib decertify --help'"),
    ("archive cone r object 1 x 3", "Invalid value for 'DEC': 'x' is not a valid float"),
    ("refcat build a.csv out --offset r=x", "'r=x' holds no number"),
    ("simulate smoke out --seed x", "'x' is not a valid integer"),
    ("demo out --quatsch", "No such option"),
])  # fmt: skip
def test_a_wrong_call_is_one_line_that_names_the_help(command, words):
    lines = etendue(*command.split(), status=2).stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("etendue: error: ")
    assert words in lines[0]
    assert lines[0].endswith("--help'")


def _commands(command, path=()):
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*path, name))


@pytest.mark.parametrize("path", list(_commands(main)), ids=" ".join)
def test_help_of_every_command_fits_a_terminal(path):
    text = etendue(*path, "--help").output
    assert "Usage: etendue" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", [
    "camera list --json", "camera list -b REPO --json", "camera check simcam --json", "report REPO --json",
    "archive tables REPO --json", "archive query REPO SELECT/**/*/**/FROM/**/dia_source --json",
    "archive cone REPO dia_source 150 -2 9 --json", "alerts list REPO --json", "alerts batches REPO --json",
    "alerts show REPO 1152921504606846976", "hash REPO simcam/calib/camera --json",
])  # fmt: skip
def test_json_is_valid_and_tables_fit_100_columns(command, repo):
    words = command.replace("REPO", str(repo)).split()
    json.loads(etendue(*words).stdout, parse_constant=lambda name: pytest.fail(name))
    plain = [word for word in words if word != "--json"]
    if plain[:2] not in (["alerts", "show"],) and plain[0] != "report":
        assert max(map(len, etendue(*plain).stdout.splitlines())) <= 100


def test_init_makes_a_repository_once(tmp_path):
    etendue("init", tmp_path / "new")
    assert Repository.open(tmp_path / "new").cameras() == []
    assert "not an empty folder" in error_of("init", tmp_path / "new")


def test_cameras_are_listed_and_shown():
    rows = json.loads(etendue("camera", "list", "--json").output)
    assert {row["camera"] for row in rows} >= {"lowell42", "microobservatory", "simcam"}
    assert "\nname: simcam\n" in etendue("camera", "show", "simcam").output  # with its comments, to be copied
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


def test_a_guessed_camera_goes_from_a_frame_to_ingested_visits(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for second in (5, 45):
        cards = {
            "TELESCOP": "home",
            "INSTRUME": "ccd",
            "EXPTIME": 30.0,
            "DATE-OBS": f"2024-01-02T03:04:{second:02d}",
            "IMAGETYP": "Light Frame",
            "FILTER": "V",
            "RA": "02:00:00",
            "DEC": "+20:00:00",
            "SECPIX": 1.5,
        }
        fits.PrimaryHDU(np.full((40, 50), 700, np.uint16), fits.Header(cards)).writeto(frames / f"{second}.fits")
    yaml, place = tmp_path / "home.yaml", tmp_path / "repo"
    assert "then: etendue camera check" in etendue("camera", "guess", frames / "5.fits", "-o", yaml).output
    told = json.loads(etendue("camera", "check", yaml, *sorted(frames.iterdir()), "--json").output)
    assert [(row["type"], row["filter"], row["RA [deg]"]) for row in told["frames"]] == [("science", "V", 30.0)] * 2
    etendue("init", place)
    assert "registered home_ccd" in etendue("camera", "register", place, yaml).output
    assert "2 ingested; 2 new visits" in etendue("ingest", place, frames).output
    assert "2 already there; 0 new visits" in etendue("ingest", place, frames).output
    assert len(json.loads(etendue("skymap", place, "--json").output)["tracts"]) == 1
    fits.PrimaryHDU(np.zeros((20, 20), np.uint16), fits.Header(cards | {"DATE-OBS": "2024-01-02T04:00:00"})).writeto(
        frames / "binned.fits"
    )
    answer = json.loads(etendue("ingest", place, frames, "--json").output)
    assert answer["counts"] == {"already there": 2, "refused": 1}
    assert "wrong size" in answer["refused"][0]["reason"]
    refused = json.loads(etendue("report", place, "--json").output)["observations"]["refused"]
    assert [row["name"] for row in refused] == ["binned.fits"]


def test_an_unknown_pipeline_and_a_bad_override_are_refused(repo):
    assert "no such pipeline (got 'dr')" in error_of("run", "dr", "-b", repo)
    assert "no such task" in error_of("run", "drp", "-b", repo, "-c", "nothing:x=1")
    assert "label:field=value" in error_of("run", "drp", "-b", repo, "-c", "nonsense")


def test_a_run_without_data_is_refused(repo):
    assert "nothing to do" in error_of("run", "calib", "-b", repo, "--json")


def test_certifying_nothing_is_refused(repo):
    assert "no such collection" in error_of("calib", "certify", repo, "nowhere")
    assert "holds no bias" in error_of("calib", "certify", repo, "simcam/raw/all", "-t", "bias")


def test_certify_is_another_name_of_calib_certify(repo):
    assert error_of("certify", repo, "nowhere") == error_of("calib", "certify", repo, "nowhere")
    assert "\n  certify" not in etendue("--help").output


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


def test_a_row_of_very_many_columns_is_printed_on_its_side(repo):
    text = etendue("archive", "query", repo, "SELECT * FROM dia_source", "-n", "5").output
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("diaSourceId") == text.count("midpointMjdTai") == 1
    line = next(line for line in text.splitlines() if " psfFlux " in line)
    assert line.split() == ["psfFlux", "500", "500", "500"]
    assert "3 of 40 rows" in text


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


def test_a_second_batch_supersedes_the_first_and_both_are_told(repo, tmp_path):
    shutil.copytree(repo / "alerts", tmp_path / "log")
    first = AlertLog(tmp_path / "log").batch("7/0")
    AlertLog(tmp_path / "log").publish(AlertBatch(7, 0, first.ids[:3], first.packets[:3]))
    found = json.loads(etendue("alerts", "batches", tmp_path / "log", "--json").output)["batches"]
    assert [(row["version"], row["alerts"], row["status"]) for row in found] == [
        (1, 40, "superseded"), (2, 3, "current"),
    ]  # fmt: skip
    listed = json.loads(etendue("alerts", "list", tmp_path / "log", "--json").output)
    assert listed["total"] == 3
    assert {row["version"] for row in listed["alerts"]} == {2}
    withdrawn = next(iter(set(first.ids) - set(first.ids[:3])))
    assert "no such alert" in error_of("alerts", "show", tmp_path / "log", withdrawn)
    assert json.loads(etendue("alerts", "show", tmp_path / "log", withdrawn, "--version", 1).output)["diaSource"]


def test_a_reference_catalog_is_built_and_registered(repo, tmp_path):
    (tmp_path / "stars.csv").write_text("ra,dec,r_mag\n150.0,-2.0,18.0\n150.1,-2.1,19.0\n")
    text = etendue("refcat", "build", tmp_path / "stars.csv", tmp_path / "cat", "--column", "r_mag=r_mag").output
    assert "2 stars, bands r" in text
    assert "collection refcats" in etendue("refcat", "register", repo, tmp_path / "cat").output
    assert "0 new shards" in etendue("refcat", "register", repo, tmp_path / "cat", "--no-use").output
    etendue("refcat", "register", repo, tmp_path / "cat", "--version", "dr1", "--no-use")
    used = {row["version"]: row["in use"] for row in json.loads(etendue("refcat", "list", repo, "--json").output)}
    assert used.pop("dr1") is False
    assert list(used.values()) == [True]
    assert "version dr1 is in use" in etendue("refcat", "use", repo, "dr1").output
    assert "dr1" in etendue("refcat", "list", repo).output
    assert "already exists" in error_of("refcat", "build", tmp_path / "stars.csv", tmp_path / "cat")
    assert "no reference catalog" in error_of("refcat", "register", repo, tmp_path)


def test_simulate_refuses_unknown_presets_and_full_folders(repo, tmp_path):
    assert "no such survey" in error_of("simulate", "lsst", tmp_path / "out")
    assert "not an empty folder" in error_of("simulate", "smoke", repo)


def test_quickstart_refuses_what_is_not_there(tmp_path):
    assert "no such folder" in error_of("quickstart", tmp_path / "none", "--repo", tmp_path / "r", "--json")
    assert "no FITS files" in error_of("quickstart", tmp_path, "--repo", tmp_path / "r", "--json")
