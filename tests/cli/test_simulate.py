"""`etendue simulate` writes what it says, and `etendue truth` needs a truth."""

import json

import pytest
import yaml
from click.testing import CliRunner

from etendue.cli.main import main

SURVEY = {
    "name": "mine",
    "detectors": [0],
    "calibrations": {"bias": 1, "flat": 0},
    "cadence": {
        "fields": [{"ra_deg": 330.1, "dec_deg": -29.9}],
        "start": "2025-09-30",
        "nights": [{"day": 0, "bands": "rg"}],
    },
    "sky": {
        "galaxies": None,
        "stars": {"faintest_mag": 19.0},
        "variables": [{"kind": "rr_lyrae", "count": 5}],
    },
    "telescope": {"nodes": 2},
}


@pytest.mark.slow
def test_a_survey_of_one_s_own_is_written_and_counted(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SURVEY))
    call = ["simulate", str(tmp_path / "mine.yaml"), str(tmp_path / "out"), "--json", "-j", "1", "--seed", "4"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    assert (facts["exposures"], facts["frames"], facts["nights"], facts["bands"]) == (2, 2, 1, "gr")
    assert facts["objects"]["variables"] == 5
    assert len(list((tmp_path / "out" / "raw").iterdir())) == 2
    again = CliRunner().invoke(main, call)
    assert again.exit_code == 1
    assert "not an empty folder" in again.output


def test_a_preview_draws_pictures_and_no_frames(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SURVEY))
    call = ["simulate", str(tmp_path / "mine.yaml"), str(tmp_path / "out"), "--preview"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 0, result.output
    assert "drawing mine" in result.stderr
    pictures = result.stdout.splitlines()
    assert {"cadence.png", "focal-plane.png", "psf.png", "counts.png"} <= {line.rsplit("/", 1)[1] for line in pictures}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["preview"]
    again = CliRunner().invoke(main, [*call, "--json"])
    assert json.loads(again.stdout) == {"survey": "mine", "pictures": pictures}


def test_help_names_every_option():
    text = CliRunner().invoke(main, ["simulate", "--help"]).output
    for option in ("--seed", "--preview", "--workers", "--json"):
        assert option in text
    assert "--truth" in CliRunner().invoke(main, ["truth", "match", "--help"]).output
