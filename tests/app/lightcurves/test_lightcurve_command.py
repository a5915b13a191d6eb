"""etendue lightcurve shows, draws, fits and exports; what it cannot do is one line."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture

from etendue import __version__
from etendue.cli.main import main

from .conftest import DEPTH, MIDDLE, MJD_ZERO, N_FRAMES, N_STARS, SINE, TRANSIT, curve_table, signals

TARGET = ("--ra", 31.0 + 0.01 * TRANSIT, "--dec", 46.7)
AAVSO_COLUMNS = "NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES"
AAVSO_LIMITS = {"NAME": 30, "DATE": 16, "MAG": 8, "MERR": 6, "CNAME": 20, "CMAG": 8, "KNAME": 20, "KMAG": 8,
                "AMASS": 7, "GROUP": 5, "CHART": 20, "NOTES": 100}  # fmt: skip


def lightcurve(repo, *arguments, status=0):
    result = CliRunner().invoke(main, ["lightcurve", "-b", str(repo), *(str(argument) for argument in arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def test_without_a_position_variables_and_the_best_stars_are_listed(night):
    found = json.loads(lightcurve(night, "--json").stdout)
    assert found["stars"] == N_STARS
    assert [row["ra"] for row in found["variable"]] == pytest.approx([31.0 + 0.01 * TRANSIT, 31.0 + 0.01 * SINE])
    assert len(found["best"]) == 10
    text = lightcurve(night).stdout
    assert f"{N_STARS} stars" in text
    assert "Variable" in text


def test_a_star_is_shown_with_both_times_and_its_transit(night):
    found = json.loads(lightcurve(night, *TARGET, "--transit", "--json").stdout)
    assert len(found["light_curve"]) == N_FRAMES - 1
    row = found["light_curve"][0]
    assert row["mjdUtc"] == pytest.approx(signals()[0][0], abs=1e-9)
    assert 2400000.5 + row["mjdUtc"] < row["bjdTdb"] < 2400000.5 + row["mjdUtc"] + 600.0 / 86400.0
    fit = found["transit"]
    assert fit["depth_mmag"] == pytest.approx(1e3 * DEPTH, abs=4.0 * fit["depth_err_mmag"])
    assert fit["mid_mjd_utc"] - MJD_ZERO == pytest.approx(MIDDLE, abs=4.0 * fit["mid_err_h"] / 24.0)
    assert fit["baseline_model"].startswith("constant")
    text = lightcurve(night, *TARGET, "--transit").stdout
    assert "BJD(TDB)" in text
    assert "baseline constant" in text


def test_pictures_are_written(night, tmp_path):
    for name, arguments in (("all", ()), ("one", TARGET), ("fit", (*TARGET, "--transit"))):
        path = tmp_path / f"{name}.png"
        lightcurve(night, *arguments, "--plot", path)
        assert Picture.open(io.BytesIO(path.read_bytes())).size[0] >= 700


@pytest.mark.parametrize(("arguments", "message"), [
    (("--ra", 31.0), "a position needs both --ra and --dec"),
    (("--transit",), "a transit is fitted to one star"),
    (("--ra", 10.0, "--dec", 20.0), "no star with a light curve there"),
    ((*TARGET, "--band", "z"), "no light curve in this band"),
    ((*TARGET, "--format", "aavso"), "needs an observer code"),
    ((*TARGET, "--format", "aavso", "--observer", "XYZ", "--name", "a" * 31), "at most 30 characters"),
    (("--format", "aavso"), "written star by star"),
    ((*TARGET, "--format", "xml"), "xml"),
    ((*TARGET, "--plot", "no/such/folder/x.png"), "x.png: its folder does not exist"),
    ((*TARGET, "--format", "csv", "-o", "no/such/folder/x.csv"), "x.csv: its folder does not exist"),
    (("--ra", "east", "--dec", 1.0), "east"),
])  # fmt: skip
def test_wrong_input_is_one_line(night, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usage = {"xml", "east"} & {str(argument) for argument in arguments}  # options that click itself refuses
    lines = lightcurve(night, *arguments, status=2 if usage else 1).stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("etendue: error: ")
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_repository_without_light_curves_says_how_to_make_them(tmp_path):
    from etendue.middleware.repository import Repository

    Repository.create(tmp_path / "repo")
    assert "run the pipeline series" in lightcurve(tmp_path / "repo", status=1).stderr


def test_plain_tables_read_back_as_they_were(night, tmp_path):
    import pyarrow.parquet as parquet

    lightcurve(night, *TARGET, "--format", "parquet", "-o", tmp_path / "one.parquet")
    lightcurve(night, *TARGET, "--format", "csv", "-o", tmp_path / "one.csv")
    table = parquet.read_table(tmp_path / "one.parquet")
    text = np.genfromtxt(tmp_path / "one.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert set(text.dtype.names) == set(table.column_names) == set(curve_table().names)
    assert len(text) == table.num_rows == N_FRAMES - 1
    for name in ("mjdUtc", "bjdTdb", "deltaMag"):
        np.testing.assert_allclose(text[name], table.column(name).to_numpy(), rtol=1e-12)
    lightcurve(night, "--format", "csv", "-o", tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1 + N_STARS * N_FRAMES


def test_the_aavso_file_keeps_to_the_extended_format(night, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lightcurve(night, *TARGET, "--format", "aavso", "--observer", "ABC", "--name", "HAT-P-32, #1")
    (path,) = tmp_path.iterdir()
    assert path.suffix in (".txt", ".csv", ".tsv")
    lines = path.read_text().splitlines()
    head = [line[1:] for line in lines if line.startswith("#")]
    assert dict(line.split("=") for line in head if "=" in line) == {
        "TYPE": "EXTENDED", "OBSCODE": "ABC", "SOFTWARE": f"etendue {__version__}", "DELIM": ",", "DATE": "JD",
        "OBSTYPE": "CCD",
    }  # fmt: skip
    assert head[-1] == AAVSO_COLUMNS
    rows = [dict(zip(AAVSO_COLUMNS.split(","), line.split(","), strict=True)) for line in lines[len(head) :]]
    assert len(rows) == N_FRAMES - 1
    for row in rows:
        assert all(row[name] and len(row[name]) <= limit for name, limit in AAVSO_LIMITS.items())
        assert "." in row["MAG"]
    assert rows[0]["NAME"] == "HAT-P-32 1"
    assert {(r["FILT"], r["TRANS"], r["MTYPE"], r["CNAME"], r["CMAG"]) for r in rows} == {
        ("SR", "NO", "DIF", "ENSEMBLE", "na")
    }
    utc = np.delete(signals()[0], 5)
    np.testing.assert_allclose([float(row["DATE"]) for row in rows], utc + 2400000.5, atol=6e-6)  # 0.5 s, UTC not TDB
    mag = np.array([float(row["MAG"]) for row in rows])
    assert np.median(mag) == pytest.approx(12.0 + 0.1 * TRANSIT, abs=0.04)
    assert mag.max() - mag.min() > DEPTH
