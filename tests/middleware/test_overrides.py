"""What overrides.yaml says comes into force frame by frame, and out again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.wcs_header import write_wcs
from etendue.middleware.overrides import with_bad_frame
from etendue.middleware.repository import Repository

CARDS = {"CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 512, "CRPIX2": 512, "CD1_1": -1.4e-4, "CD2_2": 1.4e-4}


def frame(path: Path, seq: int, **cards: object) -> Path:
    header = fits.Header({
        "INSTRUME": "simcam", "DATE-OBS": f"2025-10-02T01:{seq:02d}:03", "EXPTIME": 90.0, "IMGTYPE": "OBJECT",
        "SEQNUM": seq, "FILTER": "r_sim", "CCDNUM": 0, "RA": "22:00:24", "DEC": "-29:54:00",
    })  # fmt: skip
    scale = np.diag([-0.5, 0.5]) / 3600.0
    wcs = SkyWcs.tan(crpix_x=1053.5, crpix_y=511.5, crval_ra_deg=330.1, crval_dec_deg=-29.9, cd=scale)
    header.update(write_wcs(wcs, Box.from_shape((1024, 1024)))[0])
    header.update(cards)
    for key in [key for key, value in cards.items() if value is None]:
        del header[key]
    fits.PrimaryHDU(np.full((1024, 1104), 1000 + seq, np.uint16), header).writeto(path)
    return path


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overrides")
    (folder / "raw").mkdir()
    home = Repository.create(folder / "repo")
    home.register_camera(load_camera("simcam"))
    paths = [frame(folder / "raw" / f"n{seq}.fits", seq) for seq in (1, 2, 3)]
    assert [o.status for o in home.ingest(paths, transfer="copy")] == ["ingested"] * 3
    home.define_visits()
    return folder


@pytest.fixture
def home(survey: Path, tmp_path: Path) -> Repository:
    shutil.copytree(survey / "repo", tmp_path / "repo")
    return Repository.open(tmp_path / "repo")


def say(home: Repository, text: str) -> list[str]:
    (home.path / "overrides.yaml").write_text(text)
    return [f"{c.file}: {c.before} -> {c.after}" for c in home.apply_overrides()]


def in_force(home: Repository) -> dict[int, str]:
    refs = home.query("frame_override", collections="simcam/defaults")
    return {int(ref.dataId["exposure"]) % 100: str(home.get(ref).describe()) for ref in refs}


def test_frames_are_known_by_the_names_they_had_before_they_were_copied(home):
    assert say(home, "bad_frames: [{frame: n2, reason: clouds}]") == ["n2.fits: nothing -> excluded: clouds"]
    assert in_force(home) == {2: "excluded: clouds"}


def test_only_what_changed_becomes_a_new_dataset(home):
    say(home, "bad_frames: [{frame: n1, reason: clouds}, {frame: n2, reason: clouds}]")
    before = {ref.dataId["exposure"]: ref.id for ref in home.query("frame_override", collections="simcam/defaults")}
    assert say(home, "bad_frames: [{frame: n1, reason: clouds}, {frame: n3, reason: wind}]") == [
        "n2.fits: excluded: clouds -> nothing", "n3.fits: nothing -> excluded: wind",
    ]  # fmt: skip
    after = {ref.dataId["exposure"]: ref.id for ref in home.query("frame_override", collections="simcam/defaults")}
    assert in_force(home) == {1: "excluded: clouds", 3: "excluded: wind"}
    kept = set(before.values()) & set(after.values())
    assert len(kept) == 1
    assert say(home, (home.path / "overrides.yaml").read_text()) == []


def test_removing_the_file_takes_everything_back(home):
    say(home, "bad_frames: [{frame: '*', reason: clouds}]")
    assert len(in_force(home)) == 3
    (home.path / "overrides.yaml").unlink()
    assert len(home.apply_overrides()) == 3
    assert in_force(home) == {}


def test_registering_the_camera_again_keeps_them(home):
    say(home, "bad_frames: [{frame: n1, reason: clouds}]")
    home.register_camera(load_camera("simcam"))
    assert in_force(home) == {1: "excluded: clouds"}


def test_corrected_headers_reach_records_visits_and_readers(home):
    say(home, f"headers: [{{frame: n1, corrected_filter: g_sim}}, {{frame: n2, observation_type: flat}}]\n"
              f"wcs: [{{frame: n3, cards: {CARDS}}}]")  # fmt: skip
    records = {r.id % 100: r for r in home.butler.query_dimension_records("exposure", instrument="simcam")}
    assert records[1].physical_filter == "g_sim"
    assert records[2].observation_type == "flat"
    visits = {r.id % 100: r for r in home.butler.query_dimension_records("visit", instrument="simcam")}
    assert visits[1].physical_filter == "g_sim"
    place = visits[3].region.getBoundingCircle().getCenter()
    assert np.degrees(np.arctan2(place.y(), place.x())) == pytest.approx(10.0, abs=0.05)
    refs = home.query("raw", collections="simcam/raw/all")
    info = {int(r.dataId["exposure"]) % 100: i for r, i in zip(refs, home.raw_infos(refs), strict=True)}
    assert (info[1].band, info[2].observation_type, info[3].wcs.crval) == ("g", "flat", (10.0, 20.0))
    say(home, "")
    records = {r.id % 100: r for r in home.butler.query_dimension_records("exposure", instrument="simcam")}
    assert (records[1].physical_filter, records[2].observation_type) == ("r_sim", "science")


def test_a_frame_whose_header_lacks_its_filter_is_ingested_with_a_correction(home, tmp_path):
    path = frame(tmp_path / "mute.fits", 9, FILTER=None)
    (refused,) = home.ingest([path])
    assert "no filter" in refused.reason
    (home.path / "overrides.yaml").write_text("headers: [{frame: mute, corrected_filter: g_sim}]")
    (taken,) = home.ingest([path])
    assert (taken.status, taken.physical_filter) == ("ingested", "g_sim")
    assert 9 in {record.id % 100 for record in home.butler.query_dimension_records("visit", instrument="simcam")}
    (ref,) = home.query("raw", collections="simcam/raw/all", where="exposure.seq_num = 9")
    assert home.get(ref).info.physical_filter == "g_sim"
    stored = home.get("frame_override", dict(ref.dataId.required), collections="simcam/defaults")
    assert stored.physical_filter == "g_sim"


def test_a_wrong_file_changes_nothing(home):
    say(home, "bad_frames: [{frame: n1, reason: clouds}]")
    with pytest.raises(InputError, match=r"overrides\.yaml: bad_frames\.0\.reason"):
        say(home, "bad_frames: [{frame: n1}]")
    assert in_force(home) == {1: "excluded: clouds"}


def test_entries_without_frames_are_named(home):
    store = home.overrides("simcam")
    (home.path / "overrides.yaml").write_text("bad_frames: [{frame: n1, reason: a}, {frame: n8, reason: b}]")
    assert store.unmatched(home.butler, store.read()) == ["bad_frames.1"]


@pytest.mark.parametrize(("text", "expected"), [
    ("", "bad_frames:\n  - {frame: \"a\", reason: \"x\"}\n"),
    ("# mine\nbad_frames:  # all of them\n- {frame: b, reason: y}\n",
     "# mine\nbad_frames:  # all of them\n- {frame: \"a\", reason: \"x\"}\n- {frame: b, reason: y}\n"),
    ("bad_frames:\n    - frame: b\n      reason: y\n",
     "bad_frames:\n    - {frame: \"a\", reason: \"x\"}\n    - frame: b\n      reason: y\n"),
    ("masks: []\n", "masks: []\nbad_frames:\n  - {frame: \"a\", reason: \"x\"}\n"),
])  # fmt: skip
def test_a_bad_frame_is_added_without_losing_a_comment(text, expected):
    assert with_bad_frame(text, "a", "x") == expected


def test_the_wcs_of_a_frame_s_stars_counts_until_people_say_otherwise(home):
    key = int(home.query("raw", collections="simcam/raw/all", where="exposure.seq_num = 1")[0].dataId["exposure"]), 0
    store = home.overrides("simcam")
    store.remember_places({key: {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **CARDS}, (1, 0): None})
    assert [change.after for change in home.apply_overrides()] == ["WCS of its stars"]
    assert store.located()[1, 0] is None
    refs = home.query("raw", collections="simcam/raw/all", where="exposure.seq_num = 1")
    assert home.raw_infos(refs)[0].wcs.crval == (10.0, 20.0)
    assert say(home, "headers: [{frame: n1, ra_deg: 11.0, dec_deg: 21.0}]") == [
        "n1.fits: WCS of its stars -> ra_deg 11.0, dec_deg 21.0"
    ]
    assert say(home, f"wcs: [{{frame: n1, cards: {CARDS}}}]") == ["n1.fits: ra_deg 11.0, dec_deg 21.0 -> WCS"]
    assert say(home, "") == ["n1.fits: WCS -> WCS of its stars"]


def test_a_later_search_in_vain_takes_no_place_away(home):
    store, cards = home.overrides("simcam"), {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **CARDS}
    store.remember_places({(1, 0): cards, (2, 0): None})
    store.remember_places({(1, 0): None, (2, 0): cards, (3, 0): None})
    assert store.located() == {(1, 0): cards, (2, 0): cards, (3, 0): None}
