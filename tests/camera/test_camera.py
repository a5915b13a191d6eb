"""A camera YAML is checked, says in one line what is wrong, and survives a round trip."""

from importlib import resources
from pathlib import Path

import pytest

from etendue.camera.camera import Camera
from etendue.camera.section import format_section, parse_section
from etendue.camera.shipped import identify_camera, load_camera, shipped_cameras
from etendue.errors import InputError
from etendue.geom.box import Box

MINIMAL = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}]
detectors:
  - id: 0
    name: CCD
    raw_shape: [4, 6]
    amplifiers:
      - {name: A, raw_data: "[1:3,1:4]", bbox: "[1:3,1:4]"}
      - {name: B, raw_data: "[4:6,1:4]", bbox: "[4:6,1:4]", flip_x: true}
header:
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {constant: science}
"""


@pytest.mark.parametrize("name", shipped_cameras())
def test_shipped_cameras_survive_a_round_trip(name: str) -> None:
    camera = load_camera(name)
    assert Camera.from_yaml(camera.to_yaml()) == camera


@pytest.mark.parametrize("name", shipped_cameras())
def test_shipped_cameras_take_under_100_lines_and_two_per_further_detector(name: str) -> None:
    text = resources.files("etendue.camera.cameras").joinpath(f"{name}.yaml").read_text()
    assert len(text.splitlines()) < 100 + 2 * (len(load_camera(name).detectors) - 1)


@pytest.mark.parametrize("name", shipped_cameras())
def test_a_header_that_a_shipped_camera_writes_is_recognised_as_its_own(name: str) -> None:
    camera = load_camera(name)
    if camera.header.match:
        cards = {key: value if isinstance(value, str) else value[0] for key, value in camera.header.match.items()}
        assert identify_camera(cards) == camera
        assert identify_camera(cards, known=[load_camera("simcam")]) == camera


def test_the_named_cameras_are_shipped() -> None:
    assert {"lowell42", "microobservatory", "simcam", "simcam4", "simcam9"} <= set(shipped_cameras())


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("plate_scale: 1.0", "plate_scale: -1.0", "plate_scale"),
        ("plate_scale: 1.0", "plate_scale: 1.0\nplate_skale: 2.0", "plate_skale"),
        ("raw_shape: [4, 6]", "raw_shape: [4, 5]", "outside raw_shape"),
        ('bbox: "[4:6,1:4]"', 'bbox: "[5:7,1:4]"', "gaps or overlap"),
        ('bbox: "[4:6,1:4]"', 'bbox: "[4:6,4:1]"', "detectors.0.amplifiers.1.bbox"),
        ('bbox: "[4:6,1:4]"', 'bbox: "[4:7,1:4]"', "raw_data is (4, 3) pixels"),
        ("name: B", "name: A", "names repeat"),
        ("    name: CCD", '    name: CCD\n    bad_regions: ["[5:4,1:1]"]', "detectors.0.bad_regions"),
        ("  exposure_time: {keywords: [EXPTIME]}\n", "", "header.exposure_time"),
    ],
)
def test_errors_name_file_key_and_remedy_in_one_line(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(MINIMAL.replace(old, new))
    with pytest.raises(InputError) as caught:
        Camera.from_yaml(path)
    message = str(caught.value)
    assert str(path) in message
    assert key in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "\x00"])
def test_text_that_is_no_camera_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"camera\.yaml"):
        Camera.from_yaml(path)


def test_a_serial_number_that_looks_like_a_date_stays_text() -> None:
    assert load_camera("lowell42").detectors[0].serial == "6393-15-01"


@pytest.mark.parametrize("name", ["1_53", "010", "12:30:45", "6393-15-01", "1e5", "7"])
def test_names_that_yaml_would_take_for_numbers_survive(name: str) -> None:
    quoted = f"name: '{name}'" if name in ("1e5", "7") else f"name: {name}"
    camera = Camera.from_yaml(MINIMAL.replace("name: CCD", quoted))
    assert camera.detectors[0].name == name
    assert Camera.from_yaml(camera.to_yaml()).detectors[0].name == name


def test_small_numbers_need_no_decimal_point() -> None:
    assert Camera.from_yaml(MINIMAL.replace("plate_scale: 1.0", "plate_scale: 1e-3")).plate_scale == 1e-3


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="lowell42"):
        load_camera("hubble")
    with pytest.raises(InputError, match="known: VR"):
        load_camera("lowell42").band("Halpha")
    with pytest.raises(InputError, match="known: 0"):
        load_camera("simcam").detector(7)


def test_trimming_puts_flipped_amplifiers_in_place() -> None:
    import numpy as np

    detector = Camera.from_yaml(MINIMAL).detectors[0]
    trimmed = detector.trim(np.tile(np.arange(6), (4, 1)))
    assert trimmed[0].tolist() == [0, 1, 2, 5, 4, 3]
    with pytest.raises(InputError, match="wrong size"):
        detector.trim(np.zeros((4, 5)))


def test_sections_count_from_one_and_include_both_ends() -> None:
    box = parse_section(" [18:1382,1:1370]")
    assert box == Box.from_list([0, 1370, 17, 1382])
    assert format_section(box) == "[18:1382,1:1370]"
    for wrong in ("[0:3,1:2]", "[3:1,1:2]", "18:20,1:2", ""):
        with pytest.raises(InputError):
            parse_section(wrong)
