"""A camera is checked: its YAML line by line, its geometry, and card by card what it reads from frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from etendue.app.camera_check import check_camera, draw_camera
from etendue.camera.camera import Camera
from etendue.camera.geometry_check import camera_notes
from etendue.camera.guess import guess_camera
from etendue.camera.shipped import load_camera, shipped_cameras
from etendue.errors import InputError
from etendue.qa.focal_plane import focal_plane_plot

TEXT = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}]
detectors:
  - {id: 0, name: A, raw_shape: [4, 6], center_mm: [0, 0], amplifiers: [{name: a, raw_data: "[1:6,1:4]", bbox: "[1:6,1:4]"}]}
  - {id: 1, name: B, raw_shape: [4, 6], center_mm: [0.05, 0], amplifiers: [{name: a, raw_data: "[1:6,1:4]", bbox: "[1:6,1:4]",
     raw_serial_overscan: "[6:6,1:4]", saturation: 70000}]}
header:
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {constant: science}
  detector: {keywords: [CCD]}
"""  # noqa: E501


def frame(path: Path, **cards: Any) -> Path:
    header = fits.Header({"DATE-OBS": "2024-05-06T07:08:09", "EXPTIME": 30.0, "CCD": 1} | cards)
    fits.PrimaryHDU(np.zeros((4, 6), np.uint16), header).writeto(path)
    return path


def test_notes_tell_what_is_odd_and_nothing_else() -> None:
    notes = camera_notes(Camera.from_yaml(TEXT))
    expected = ["header.match: none given", "observatory: none given", "header.ra, header.dec: none given",
                "detectors A and B overlap on the focal plane by 3 px", "detector A: no overscan on 1 of 1 amplifiers",
                "detectors A, B: no gain given", "light-sensitive pixels of amplifier a [1:6,1:4] lie in other",
                "saturation of amplifier a is beyond the converter's 65535"]  # fmt: skip
    for words in expected:
        assert sum(words in note for note in notes) == 1, words
    assert len(notes) == len(expected)


def test_a_digit_too_few_is_noticed() -> None:
    assert not any("median" in note for note in camera_notes(Camera.from_yaml(TEXT)))
    decam = load_camera("decam")
    first = decam.detectors[0]
    wrong = first.amplifiers[1].model_copy(update={"saturation": first.amplifiers[1].saturation / 10.0})
    ccd = first.model_copy(update={"amplifiers": (first.amplifiers[0], wrong)})
    notes = camera_notes(decam.model_copy(update={"detectors": (ccd, *decam.detectors[1:])}))
    assert [note for note in notes if "median" in note] == [
        f"saturation {wrong.saturation:g} of amplifier {wrong.name} of detector {ccd.name}: the median of all is 43666"
    ]


@pytest.mark.parametrize("name", shipped_cameras())
def test_shipped_cameras_are_sound(name: str) -> None:
    words = "overlap", "other sections", "converter", "median"
    assert not [note for note in camera_notes(load_camera(name)) if any(word in note for word in words)]


def test_frames_are_traced_card_by_card(tmp_path: Path) -> None:
    yaml = tmp_path / "tiny.yaml"
    yaml.write_text(TEXT)
    good, strange = frame(tmp_path / "a.fits"), frame(tmp_path / "b.fits", CCD=7)
    found = check_camera(str(yaml), [good, strange])
    assert not found.faults
    trace = {row["quantity"]: row for row in found.frames[0].trace()}
    assert trace["exposure_time"] == {
        "quantity": "exposure_time",
        "read as": "30",
        "from": "EXPTIME",
        "stands there": "30",
    }
    assert trace["detector"]["from"] == "CCD"
    assert trace["observation_type"]["from"] == "constant"
    assert trace["WCS"]["read as"] == "no"
    assert len(found.refused) == 1
    assert "no such detector" in found.refused[0]
    assert [use.quantity for use in found.frames[1].uses][:2] == ["exposure_time", "time"]
    told = found.to_dict()
    assert told["frames"][0]["exposure"].startswith("202405062568")
    assert told["frames"][0]["cards"]


def test_faults_of_the_yaml_come_with_their_lines(tmp_path: Path) -> None:
    yaml = tmp_path / "tiny.yaml"
    yaml.write_text(TEXT.replace("plate_scale: 1.0", "plate_skale: 1.0"))
    found = check_camera(str(yaml))
    assert found.camera is None
    assert [fault.split(": ")[0].split(", ")[1] for fault in found.faults] == ["line 2", "line 3"]
    with pytest.raises(InputError, match="no such camera"):
        check_camera("hubble")


@pytest.mark.parametrize("name", ["lowell42", "decam", "simcam4"])
def test_pictures_of_focal_planes_are_pngs_and_repeatable(tmp_path: Path, name: str) -> None:
    draw_camera(load_camera(name), tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == focal_plane_plot(load_camera(name))


@pytest.mark.realdata
def test_a_camera_made_from_a_real_frame_reads_it(shared_data: Path, tmp_path: Path) -> None:
    frame = shared_data / "lowell42" / "raw" / "20190326.0132.fits.fz"
    path = tmp_path / "mycam.yaml"
    path.write_text(guess_camera(frame).to_yaml())
    found = check_camera(str(path), [frame])
    assert (found.faults, found.refused) == ((), [])
    rows = {row["quantity"]: row for row in found.frames[0].trace()}
    assert rows["time"]["from"] == "DATE-OBS+UTCSTART"
    assert rows["WCS"]["from"] == "WCS cards"
    frames = [next((shared_data / "lowell42" / kind).glob("*.fz")) for kind in ("raw", "bias", "flat")]
    real = check_camera("lowell42", frames)
    assert [frame.info.observation_type for frame in real.frames if frame.info] == ["science", "bias", "flat"]
    other = check_camera("lowell42", [next((shared_data / "hatp32").glob("*.fz"))])
    assert len(other.refused) == 1
