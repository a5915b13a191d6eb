"""Mosaics are described compactly: what is written out of grids, arrays and tables is what people would have listed."""

from pathlib import Path

import numpy as np
import pytest

from etendue.camera.camera import Camera, read_camera
from etendue.camera.detector import Detector
from etendue.errors import InputError

HEAD = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}]
header:
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {constant: science}
"""
# 3 columns of prescan, 4 of data, 2 of overscan; 5 rows of data, 1 of overscan.
GRID = """
kinds:
  ccd:
    gain: 1.5
    amplifiers:
      grid: [2, 2]
      corners: [LL, LR, UL, UR]
      stored: {stored}
      mirrored: "{mirrored}"
      segment: [9, 6]
      prescan: "[1:3,1:5]"
      data: "[4:7,1:5]"
      serial_overscan: "[8:9,1:5]"
      parallel_overscan: "[4:7,6:6]"
detectors:
  - {{kind: ccd, id: 0, name: A}}
"""


def one_ccd(stored: str = "on_chip", mirrored: str = "") -> Detector:
    return Camera.from_yaml(HEAD + GRID.format(stored=stored, mirrored=mirrored)).detectors[0]


def sections(detector: Detector) -> dict[str, str]:
    dumped = detector.model_dump(mode="json")["amplifiers"]
    return {a["name"]: f"{a['raw_data']} {a['raw_prescan']} {a['raw_serial_overscan']}" for a in dumped}


def test_a_grid_mirrors_sections_towards_the_corner_at_which_an_amplifier_is_read() -> None:
    detector = one_ccd()
    assert detector.raw_shape == (12, 18)
    assert sections(detector) == {
        "A": "[4:7,1:5] [1:3,1:5] [8:9,1:5]",
        "B": "[12:15,1:5] [16:18,1:5] [10:11,1:5]",
        "C": "[4:7,8:12] [1:3,8:12] [8:9,8:12]",
        "D": "[12:15,8:12] [16:18,8:12] [10:11,8:12]",
    }
    assert [amplifier.gain for amplifier in detector.amplifiers] == [1.5] * 4
    assert not any(amplifier.flip_x or amplifier.flip_y for amplifier in detector.amplifiers)


def test_segments_stored_as_read_are_equal_and_turned_when_they_are_trimmed() -> None:
    detector = one_ccd(stored="as_read")
    assert sections(detector)["D"] == "[13:16,7:11] [10:12,7:11] [17:18,7:11]"
    assert [(a.flip_x, a.flip_y) for a in detector.amplifiers] == [(0, 0), (1, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize("stored", ["on_chip", "as_read"])
@pytest.mark.parametrize("mirrored", ["", "x", "y", "xy"])
def test_however_a_chip_is_stored_trimming_gives_the_same_picture(stored: str, mirrored: str) -> None:
    detector = one_ccd(stored, mirrored)
    rng = np.random.default_rng(1)
    chip = rng.integers(0, 1000, detector.bbox.shape)
    raw = np.zeros(detector.raw_shape, int)
    for amplifier in detector.amplifiers:  # the inverse of `trim`, amplifier by amplifier
        pixels = chip[amplifier.bbox.slices_in(detector.bbox)]
        raw[amplifier.raw_data.slices_in(detector.raw_bbox)] = pixels[
            :: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1
        ]
    np.testing.assert_array_equal(detector.trim(raw), chip)
    expected = chip  # what the file shows: the chip itself, mirrored as a whole
    if stored == "on_chip":
        shown = raw[::-1] if "y" in mirrored else raw
        shown = shown[:, ::-1] if "x" in mirrored else shown
        columns, rows = [3, 4, 5, 6, 11, 12, 13, 14], [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
        np.testing.assert_array_equal(shown[np.ix_(rows, columns)], expected)


def test_the_simulators_cameras_are_what_their_grids_say() -> None:
    """simcam4 lists its amplifiers one by one; the grid that describes it gives the same."""
    from etendue.camera.shipped import load_camera

    grid = """
kinds:
  ccd:
    amplifiers:
      grid: [2, 2]
      corners: [LL, LR, UL, UR]
      segment: [552, 528]
      prescan: "[1:8,1:512]"
      data: "[9:520,1:512]"
      serial_overscan: "[523:552,1:512]"
      parallel_overscan: "[9:520,515:528]"
    saturation: 54000
detectors: [{kind: ccd, id: 0, name: A, gain: [1.52, 1.58, 1.49, 1.61], read_noise: [4.6, 5.2, 4.9, 5]}]
"""
    assert Camera.from_yaml(HEAD + grid).detectors[0].amplifiers == load_camera("simcam4").detectors[0].amplifiers


def test_arrays_place_and_number_the_detectors_of_turned_groups() -> None:
    text = (
        GRID.format(stored="on_chip", mirrored="").split("detectors:")[0]
        + """
detectors:
  - kind: ccd
    array: [2, 2]
    pitch_mm: [10, 20]
    name: "{group}_S{row}{column}"
    rotation_deg: 1.0
    groups: {R0: [0, 100, 0], R1: [4, 0, 50, 90]}
"""
    )
    detectors = Camera.from_yaml(HEAD + text).detectors
    assert [(d.id, d.name) for d in detectors[:5]] == [
        (0, "R0_S00"), (1, "R0_S01"), (2, "R0_S10"), (3, "R0_S11"), (4, "R1_S00"),
    ]  # fmt: skip
    assert detectors[0].center_mm == (95.0, -10.0)
    assert detectors[4].center_mm == pytest.approx((10.0, 45.0))  # (-5, -10) turned by 90 degrees
    assert (detectors[0].rotation_deg, detectors[4].rotation_deg) == (1.0, 91.0)


def test_tables_give_numbers_of_single_amplifiers() -> None:
    text = (
        GRID.format(stored="on_chip", mirrored="").split("detectors:")[0]
        + """
detectors:
  - kind: ccd
    purpose: focus
    columns: [id, name, x_mm, y_mm, gain, read_noise]
    rows:
      - [7, F1, -3.5, 2, [1, 2, 3, 4], 5]
      - [8, F2, 3.5, 2, {B: 9, others: 2}, 6]
      - [9, 10, 3.5, 9, null, 6]
"""
    )
    first, second, third = Camera.from_yaml(HEAD + text).detectors
    assert (first.purpose, first.center_mm, third.name) == ("focus", (-3.5, 2.0), "10")
    assert [a.gain for a in first.amplifiers] == [1, 2, 3, 4]
    assert [a.gain for a in second.amplifiers] == [2, 9, 2, 2]
    assert [a.gain for a in third.amplifiers] == [1.5] * 4
    assert [a.read_noise for a in second.amplifiers] == [6] * 4


def test_a_camera_of_many_kinds_survives_its_short_form() -> None:
    text = (
        GRID.format(stored="on_chip", mirrored="x")
        + """
  - kind: ccd
    columns: [id, name, x_mm, y_mm, gain, serial]
    rows: [[1, B, 1, 1, [1, 2, 3, 4], 11-2], [2, C, 2, 2, 3, null]]
  - {kind: ccd, id: 3, name: D, crosstalk: [[0, 1, 2, 3], [1, 0, 2, 3], [0, 0, 0, 1], [0, 1, 0, 0]]}
"""
    )
    camera = Camera.from_yaml(HEAD + text)
    assert Camera.from_yaml(camera.to_yaml()) == camera
    assert len(camera.to_yaml().splitlines()) < 70


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("gain: 1.5", "gain: {A: 1, Z: 2}", 12, "gain: no amplifier Z; there are A, B, C, D"),
        ("gain: 1.5", "gain: [1, 2]", 12, "gain: 2 numbers for 4 amplifiers"),
        ("gain: 1.5", "gain: -1", 12, "greater than 0"),
        ("corners: [LL, LR, UL, UR]", "corners: [LL, LR]", 14, "2 corners for 4 amplifiers"),
        ("corners: [LL, LR, UL, UR]", "corners: [XX]", 16, "corners.0"),
        ("segment: [9, 6]", "segment: [9, 0]", 19, "segment.1"),
        ("segment: [9, 6]", "segment: [6, 6]", 14, "data [4:7,1:5] lies outside the segment"),
        ("grid: [2, 2]", "grid: [2, 2]\n      named: [A]", 16, "did you mean 'names'?"),
        ("kind: ccd, id", "kind: cdc, id", 25, "no such kind of CCD (got 'cdc'); known: ccd"),
        ("id: 0, name: A", "id: 0, name: A, crosstalk: [[0]]", 25, "no matrix of 4 x 4"),
        ("  - {kind: ccd, id: 0, name: A}", "  - {kind: ccd, columns: [nom], rows: [[1]]}", 25, "no column 'nom'"),
        ("  - {kind: ccd, id: 0, name: A}", "  - {kind: ccd, columns: [id, name], rows: [[1]]}", 25, "1 cells for 2"),
        ("  - {kind: ccd, id: 0, name: A}", "  - {kind: ccd, array: [1, 1], pitch_mm: [1, 1], name: '{x}'}", 25,
         "a pattern knows group, row, column and id"),
        ("plate_scale: 1.0", "", 2, "add 'plate_scale'"),
        ("[EXPTIME]", "[EXPTIME], unit: sec", 7, "header.exposure_time.unit"),
    ],
)  # fmt: skip
def test_every_fault_names_its_line_and_a_remedy(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    path = tmp_path / "camera.yaml"
    text = HEAD + GRID.format(stored="on_chip", mirrored="")
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        Camera.from_yaml(path)
    assert words in str(caught.value)
    where = int(str(caught.value).split(" line ")[1].split(":")[0])
    assert abs(where - line) <= 3  # the entry itself, or the one around it
    assert "\n" not in str(caught.value)


def test_all_faults_of_a_file_are_listed_in_the_order_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    text = HEAD + GRID.format(stored="sideways", mirrored="")
    path.write_text(text.replace("plate_scale", "plate_skale").replace("[EXPTIME]", "[EXPTIME], unit: sec"))
    camera, faults = read_camera(path)
    assert camera is None
    assert [fault.key for fault in faults] == [
        "plate_scale", "plate_skale", "header.exposure_time.unit", "kinds.ccd.amplifiers.stored",
    ]  # fmt: skip
    assert [fault.line for fault in faults] == sorted(fault.line or 0 for fault in faults)
