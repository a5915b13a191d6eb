"""Overrides mean the frames they name, and errors name the entry."""

from pathlib import Path

import pytest

from etendue.camera.frame_override import FrameOverride
from etendue.camera.overrides import Frame, Overrides
from etendue.camera.shipped import load_camera
from etendue.camera.translate import identify_frame, translate
from etendue.errors import InputError

FRAME = Frame(camera="simcam", file_name="sc_7_0.fits.fz", exposure=2025100100007, detector=0, detector_name="S00",
              physical_filter="r_sim")  # fmt: skip
HEADER = {
    "INSTRUME": "simcam", "DATE-OBS": "2025-10-02T01:02:03", "EXPTIME": 90.0, "IMGTYPE": "OBJECT", "SEQNUM": 7,
    "FILTER": "r_sim", "CCDNUM": 0, "RA": "22:00:24", "DEC": "-29:54:00",
}  # fmt: skip
CARDS = "{CRVAL1: 10.0, CRVAL2: 20.0, CRPIX1: 512, CRPIX2: 512, CD1_1: -1.4e-4, CD1_2: 0, CD2_1: 0, CD2_2: 1.4e-4}"


def parse(text: str, folder: Path = Path("/somewhere")) -> Overrides:
    return Overrides.parse(text, folder / "overrides.yaml")


@pytest.mark.parametrize("name", ["sc_7_0", "sc_7_0.fits.fz", "sc_*", "2025100100007", "sc_?_0"])
def test_a_frame_is_named_by_file_pattern_or_exposure(name: str) -> None:
    found = parse(f"bad_frames: [{{frame: {name!r}, reason: clouds}}]").of_frame(FRAME)
    assert found.excluded == "clouds"


@pytest.mark.parametrize("entry", ["frame: sc_8_0", "frame: sc_7_0, detector: 1", "frame: sc_7_0, camera: other",
                                   "frame: '*', physical_filter: g_sim"])  # fmt: skip
def test_other_frames_are_left_alone(entry: str) -> None:
    assert parse(f"bad_frames: [{{{entry}, reason: clouds}}]").of_frame(FRAME).says_nothing


def test_masks_are_selected_by_the_corrected_filter() -> None:
    overrides = parse(
        "headers: [{frame: sc_7_0, corrected_filter: g_sim}]\n"
        "masks: [{physical_filter: g_sim, circle: [5, 5, 2]}, {physical_filter: r_sim, box: '[1:2,1:2]'}]"
    )
    found = overrides.of_frame(FRAME)
    assert found.physical_filter == "g_sim"
    assert [mask.circle for mask in found.masks] == [(5.0, 5.0, 2.0)]
    assert FrameOverride.from_dict(found.to_dict()) == found
    assert found.describe() == "1 mask, physical_filter g_sim"


def test_an_absent_or_empty_file_overrides_nothing(tmp_path: Path) -> None:
    assert Overrides.read(tmp_path / "overrides.yaml") == Overrides()
    (tmp_path / "overrides.yaml").write_text("# nothing yet\n")
    assert Overrides.read(tmp_path / "overrides.yaml").of_frame(FRAME).says_nothing


@pytest.mark.parametrize(("text", "words"), [
    ("bad_frames: [{frame: x}]", "bad_frames.0.reason: Field required"),
    ("bad_frames: [{reason: x}]", "name the frame"),
    ("bad_frame: []", "bad_frame: Extra inputs are not permitted; remove it or correct its spelling"),
    ("masks: [{frame: x}]", "give one of box, circle"),
    ("masks: [{frame: x, circle: [1, 2, 3], box: '[1:2,1:2]'}]", "not box and circle"),
    ("masks: [{frame: x, circle: [1, 2, -3]}]", "masks.0.circle.2: Input should be greater than 0 (got -3)"),
    ("masks: [{frame: x, circle: [.nan, 2, 3]}]", "finite"),
    ("masks: [{circle: [1, 2, 3]}]", "say where"),
    ("masks: [{frame: x, box: '[5:2,1:2]'}]", "is an empty FITS section"),
    ("masks: [{frame: x, box: '[1:2,1:2]', plane: WORSE}]", "no such mask plane"),
    ("masks: [{frame: x, sky_circle: [400, 2, 3]}]", "less than or equal to 360"),
    ("wcs: [{frame: x}]", "give either cards or file"),
    ("wcs: [{frame: x, cards: {CRVAL1: 3}}]", "wcs.0: the header has no usable WCS"),
    ("wcs: [{frame: x, cards: {GAIN: 3}}]", "GAIN is no keyword of a celestial WCS"),
    ("wcs: [{frame: x, file: none.wcs}]", "none.wcs: no such file"),
    ("headers: [{frame: x}]", "corrects nothing"),
    ("headers: [{frame: x, ra_deg: 5}]", "needs both ra_deg and dec_deg"),
    ("headers: [{frame: x, observation_type: sience}]", "observation_type: Input should be 'bias'"),
    ("[1, 2]", "holds no overrides"),
    ("a: [", "is not YAML"),
])  # fmt: skip
def test_a_wrong_entry_is_named_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("/somewhere/")
    assert "\n" not in str(caught.value)


def test_a_header_that_lacks_its_filter_is_helped() -> None:
    camera = load_camera("simcam")
    header = {key: value for key, value in HEADER.items() if key not in ("FILTER", "IMGTYPE")}
    with pytest.raises(InputError, match="no filter"):
        translate(header, camera, "a.fits")
    assert identify_frame(header, camera, "a.fits") == (2025100100007, 0)
    info = translate(header, camera, "a.fits", FrameOverride(
        exposure=7, detector=0, observation_type="flat", physical_filter="g_sim", object="dome",
    ))  # fmt: skip
    assert (info.observation_type, info.physical_filter, info.band, info.object) == ("flat", "g_sim", "g", "dome")


def test_a_wcs_by_hand_replaces_a_broken_one(tmp_path: Path) -> None:
    camera = load_camera("simcam")
    header = HEADER | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": "unknown"}
    with pytest.raises(InputError, match="CRVAL1 is not a number"):
        translate(header, camera, "a.fits")
    said = parse(f"wcs: [{{frame: sc_7_0, cards: {CARDS}}}]").of_frame(FRAME)
    wcs = translate(header, camera, "a.fits", said).wcs
    assert wcs is not None
    assert wcs.crval == (10.0, 20.0)
    lines = [f"{key:8}= {value}" for key, value in said.wcs.items() if not isinstance(value, str)]
    (tmp_path / "x.hdr").write_text("\n".join([*lines, "COMMENT by hand", "END"]) + "\n")
    assert parse("wcs: [{frame: sc_7_0, file: x.hdr}]", tmp_path).of_frame(FRAME).wcs == said.wcs


def test_a_corrected_pointing_replaces_the_wcs_of_the_header() -> None:
    camera = load_camera("simcam")
    header = HEADER | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": "unknown"}
    info = translate(header, camera, "a.fits", FrameOverride(exposure=7, detector=0, ra_deg=11.0, dec_deg=-3.0))
    assert (info.ra_deg, info.dec_deg, info.wcs_is_approximate) == (11.0, -3.0, True)
