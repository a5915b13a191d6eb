"""The timeline says what is in force when, and which exposures find nothing."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "middleware"))

from curated_survey import CAMERA, MEASURED, fill, write_folder
from frames import NIGHT, write_frame

from etendue.app.calibration_timeline import calibration_timeline
from etendue.errors import InputError
from etendue.middleware.curated.versions import load_curated
from etendue.middleware.repository import Repository

TAKEN = 61120.2  # begin of the exposures of `frames`, in March 2026


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeline")
    home = fill(Repository.create(folder / "repo"))
    home.ingest([write_frame(folder / "raw", seq, "science", detector) for seq in (1, 2) for detector in (0, 1)])
    home.certify(["defects"], run=MEASURED)
    home.certify(["flat", "ptc"], run=MEASURED, begin_mjd_tai=TAKEN + 0.0015)
    load_curated(home, write_folder(folder / "kept"), label="v1")
    return home


def test_rows_tell_type_filter_and_detectors_and_how_many_exposures_find_nothing(home):
    timeline = calibration_timeline(home, CAMERA)
    told = {row.name: (frames, len(row.bare)) for row, frames in zip(timeline.rows, timeline.frames, strict=True)}
    assert told == {
        "bias": (2, 2), "defects S00": (2, 0), "defects S01": (2, 2), "flat r_sim S00": (2, 1),
        "flat r_sim S01": (2, 2), "ptc S00": (2, 0), "ptc S01": (2, 2),
    }  # fmt: skip
    assert timeline.versions == ("curated v1", "measured")
    assert timeline.exposures == pytest.approx([TAKEN + 0.001, TAKEN + 0.002])
    assert str(NIGHT).startswith("2026")


def test_what_is_in_force_and_what_is_hidden_fill_the_validity(home):
    rows = {row.name: row for row in calibration_timeline(home, CAMERA).rows}
    curated = rows["defects S00"]
    inf = float("inf")
    assert [(bar.begin, bar.end, bar.version) for bar in curated.bars] == [
        (-inf, 60676.0, 1), (60676.0, 60888.0, 0), (60888.0, 60949.0, 0), (60949.0, inf, 1),
    ]  # fmt: skip
    assert [(bar.begin, bar.end, bar.version) for bar in curated.hidden] == [(60676.0, 60949.0, 1)]
    assert rows["bias"].bars == ()


def test_text_fits_the_terminal_and_marks_what_lacks(home):
    lines = calibration_timeline(home, CAMERA, begin=TAKEN - 1.0, end=TAKEN + 1.0).lines()
    assert max(map(len, lines)) <= 100
    [bias] = [line for line in lines if line.startswith("bias")]
    assert "!" in bias
    assert bias.endswith("2 of 2 without")
    assert "A  curated v1" in lines
    [gains] = [line for line in lines if line.startswith("ptc S00")]
    assert set(gains.split()[2]) == {"A"}


def test_numbers_and_picture_say_the_same(home):
    timeline = calibration_timeline(home, CAMERA, types=["defects"])
    assert [row["name"] for row in timeline.to_dict()["rows"]] == ["defects S00", "defects S01"]
    assert timeline.to_dict()["rows"][0]["in_force"][0] == {"begin": None, "end": 60676.0, "from": "measured"}
    picture = np.asarray(Image.open(io.BytesIO(timeline.plot())).convert("RGB"))
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(0x0B, 0x6E, 0x8F), (0x7A, 0x9E, 0x3A), (0xF3, 0xD9, 0xD2)} <= colours  # both versions, and the gap


def test_an_empty_stretch_and_an_empty_repository_are_refused(home, tmp_path):
    with pytest.raises(InputError, match="ends before it begins"):
        calibration_timeline(home, CAMERA, begin=61000.0, end=60000.0)
    empty = Repository.create(tmp_path / "empty")
    empty.register_camera(CAMERA)
    with pytest.raises(InputError, match="holds no certified calibration and no science exposure"):
        calibration_timeline(empty, CAMERA)
