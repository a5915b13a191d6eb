"""Folders of dated calibrations become versions; the same again changes nothing; what is wrong is one line."""

import json
from uuid import UUID

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from curated_survey import BOX, DEFECTS, GAINS, MEASURED, ecsv, fill, flat, write, write_folder
from lsst.daf.butler import Timespan

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.calibration_text import read_defects, read_ptc, write_defects, write_ptc
from etendue.image.fits_exposure import write_exposure
from etendue.middleware.configuration import Places
from etendue.middleware.curated.exporting import export_curated
from etendue.middleware.curated.folder import kinds, suffixes
from etendue.middleware.curated.versions import load_curated, preference, refuse_version, use_version, versions
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.copying import transfer
from etendue.middleware.validity import calibration_collections, in_force, limits, validities

DATES = (60676.0, 60888.0, 60949.0)  # 2025 January, August, October


def content(home, row):
    return home.get(home.butler.get_dataset(UUID(row.dataset_id)))


def said(home, **where):
    """Return what is valid when, and its content."""
    rows = validities(home, "simcam", **where)
    return [(row.key, row.span, json.dumps(content(home, row).to_dict(), sort_keys=True)) for row in rows]


def found_at(home, mjd, name="defects"):
    """Return what pipelines find at a time."""
    when = Timespan.fromInstant(Time(mjd, format="mjd", scale="tai"))
    where = {"instrument": "simcam", "detector": 0}
    ref = home.butler.find_dataset(name, where, collections="simcam/defaults", timespan=when)
    return None if ref is None else home.get(ref)


def test_every_calibration_that_pipelines_read_can_be_kept_as_a_file():
    assert {name: suffixes(name)[0] for name in kinds()} == {
        "bias": ".fits", "dark": ".fits", "flat": ".fits", "illumination": ".fits", "fringe": ".fits", "sky": ".fits",
        "defects": ".ecsv", "ptc": ".ecsv", "crosstalk": ".json", "linearizer": ".json", "charge_transfer": ".json",
        "brighter_fatter": ".json", "shutter": ".fits",
    }  # fmt: skip


def test_each_file_is_valid_until_the_next_begins(survey, kept):
    version, new = load_curated(survey, kept)
    assert (new, version.in_use, len(version.files)) == (True, True, 4)
    rows = validities(survey, "simcam")
    assert [(row.key, limits(row.span)) for row in rows] == [
        (("defects", 0, ""), DATES[:2]), (("defects", 0, ""), DATES[1:]), (("ptc", 0, ""), (None, None)),
    ]  # fmt: skip
    assert [content(survey, row).to_dict() for row in rows[:2]] == [
        {"boxes": [[4, 13, 3, 4]]},
        {"boxes": [[8, 11, 7, 9]]},
    ]
    assert [entry.gain for entry in content(survey, rows[2]).amplifiers] == [1.5, 1.6]
    assert rows[0].run == f"simcam/calib/curated/{version.label}/20250101T000000"


def test_pipelines_find_what_is_valid_at_the_time_and_curated_before_measured(survey, kept):
    survey.certify(["defects"], run=MEASURED)
    load_curated(survey, kept)
    where = (60000.0, 60700.0, 60900.0, 61000.0)
    assert [len(found_at(survey, mjd).boxes) for mjd in where] == [2, 1, 1, 2]
    assert found_at(survey, 60900.0).boxes == (Box.from_list([8, 11, 7, 9]),)
    use_version(survey, versions(survey)[0].label, prefer="measured")
    assert {found_at(survey, mjd) for mjd in where} == {DEFECTS}
    use_version(survey, None)
    assert preference(survey, "simcam") is None
    assert found_at(survey, 60900.0, "ptc") is None


def test_the_same_folder_again_changes_nothing(survey, kept):
    first, _ = load_curated(survey, kept, prefer="measured")
    before = said(survey), calibration_collections(survey, "simcam"), survey.butler.collections.query("*")
    for label in (None, first.label):
        again, new = load_curated(survey, kept, label=label)
        assert (new, again) == (False, first)
    assert (said(survey), calibration_collections(survey, "simcam"), survey.butler.collections.query("*")) == before


def test_registering_the_camera_again_keeps_the_version_in_use(survey, kept):
    load_curated(survey, kept)
    before = calibration_collections(survey, "simcam")
    survey.register_camera(survey.camera())
    assert calibration_collections(survey, "simcam") == before
    assert len(before) == 2


def test_another_content_is_another_version_and_the_earlier_one_stays(survey, kept):
    first, _ = load_curated(survey, kept, label="one")
    write(kept, "simcam/defects/S00/20250301T000000.yaml", "boxes: []\n")
    with pytest.raises(InputError, match=r"made of other files .* versions never change"):
        load_curated(survey, kept, label="one")
    load_curated(survey, kept, label="two")
    assert [(one.label, one.in_use) for one in versions(survey)] == [("one", False), ("two", True)]
    assert len(said(survey)) == 4
    assert len(said(survey, collections=[first.collection])) == 3
    use_version(survey, "one")
    assert len(said(survey)) == 3
    with pytest.raises(InputError, match=r"no such version .*'three'.* there are one, two"):
        use_version(survey, "three")
    with pytest.raises(InputError, match="never change"):
        refuse_version("simcam", first.collection)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "s3"])
def test_what_is_certified_goes_out_as_files_and_comes_back_the_same(kind, kept, tmp_path, request):
    places = Places()
    if kind == "postgresql":
        places = Places(database=request.getfixturevalue("postgres").new_database())
    elif kind == "s3":
        request.getfixturevalue("bucket")
        places = Places(files="s3://survey/night")
    survey = fill(Repository.create(tmp_path / "repo", places))
    survey.certify(["defects"], run=MEASURED, begin_mjd_tai=60000.123456789, end_mjd_tai=60010.0)
    survey.certify(["ptc", "flat"], run=MEASURED, end_mjd_tai=60020.0)
    load_curated(survey, kept, prefer="measured")
    types = ("defects", "ptc", "flat")
    written = export_curated(survey, tmp_path / "out", types=types)
    assert all(path.is_file() for path in written)
    other = Repository.create(tmp_path / "other")
    other.register_camera(survey.camera())
    load_curated(other, tmp_path / "out")
    ours, theirs = (in_force(validities(home, "simcam", types=types)) for home in (survey, other))
    assert {key: [one.span for one in rows] for key, rows in ours.items()} == {
        key: [one.span for one in rows] for key, rows in theirs.items()
    }
    pairs = [pair for key in ours for pair in zip(ours[key], theirs[key], strict=True)]
    assert len(pairs) == 6
    for mine, its in pairs:
        a, b = content(survey, mine.validity), content(other, its.validity)
        same = (a.image.array == b.image.array).all() if hasattr(a, "image") else str(a) == str(b)
        assert same
    assert load_curated(other, tmp_path / "out")[1] is False
    assert check(survey, depth="open").ok


def test_a_version_goes_with_a_transfer(survey, kept, tmp_path):
    load_curated(survey, kept)
    copy = Repository.create(tmp_path / "copy")
    transfer(survey, copy)
    assert said(copy) == said(survey)
    assert versions(copy) == versions(survey)
    assert load_curated(copy, kept)[1] is False


def test_a_transfer_leaves_the_version_that_its_target_chose(survey, kept, tmp_path):
    load_curated(survey, kept, label="one")
    copy = Repository.create(tmp_path / "copy")
    transfer(survey, copy)
    write(kept, "simcam/defects/S01/20250301T000000.yaml", "boxes: []\n")
    load_curated(survey, kept, label="two")
    transfer(survey, copy)
    assert [(one.label, one.in_use) for one in versions(copy)] == [("one", True), ("two", False)]


def test_images_of_other_programs_are_taken_and_etendues_are_kept_as_they_are(survey, tmp_path):
    folder = tmp_path / "kept" / "simcam"
    for name in ("bias/S00", "flat/S00/r_sim", "flat/S01/g_sim"):
        (folder / name).mkdir(parents=True)
    pixels = np.full(BOX.shape, 3.5, np.float32)
    pixels[5, 6] = np.nan
    fits.PrimaryHDU(pixels).writeto(folder / "bias/S00/20250101T000000.fits")
    fits.PrimaryHDU(pixels / 3.5).writeto(folder / "flat/S01/g_sim/20250101T000000.fits")
    own = folder / "flat/S00/r_sim/20250101T000000.fits"
    write_exposure(flat(), own)
    load_curated(survey, tmp_path / "kept")
    bias, own_flat, plain_flat = (
        survey.butler.get_dataset(UUID(row.dataset_id)) for row in validities(survey, "simcam")
    )
    assert survey.get(bias).mask.any_of("NO_DATA").sum() == 1
    assert survey.get(bias).unit == "adu"
    assert survey.butler.getURI(own_flat).read() == own.read_bytes()
    other = survey.get(plain_flat)
    assert (other.detector, other.physical_filter) == (1, "g_sim")


@pytest.mark.parametrize(("name", "text", "words"), [
    ("linearity/S00/20250101T000000.yaml", "",
     r"no calibration that pipelines read \(got 'linearity'\); they read bias"),
    ("defects/S09/20250101T000000.yaml", "", r"simcam has no such detector \(got 'S09'\); it has S00, S01"),
    ("defects/20250101T000000.yaml", "", r"wrong folder; as defects/DETECTOR/YYYYMMDDTHHMMSS"),
    ("flat/S00/20250101T000000.fits", "", r"wrong folder; as flat/DETECTOR/FILTER/YYYYMMDDTHHMMSS"),
    ("flat/S00/U/20250101T000000.fits", "", r"simcam has no such filter \(got 'U'\); it has"),
    ("defects/S00/20250101T000000.txt", "", r"no ending of defects \(got '.txt'\); use .ecsv, .yaml, .end"),
    ("defects/S00/january.yaml", "", r"january.yaml: the name is no date \(got 'january'\); name it as"),
    ("defects/S00/20250101T000000.end", "x", r"ends a validity and is not empty"),
    ("defects/S00/20250101T000000.yaml", "quatsch", r"holds no list 'boxes'"),
    ("defects/S00/20250101T000000.yaml", "boxes: [", r"cannot be read as YAML"),
    ("defects/S00/20250101T000000.yaml", "boxes: [{x0: 1, y0: 2, width: 3}]", r"lacks the column height; add it"),
    ("defects/S00/20250101T000000.yaml", "boxes: [{x0: 1, y0: 2, width: 3, height: a}]",
     r"height is not whole numbers \(got 'a'\)"),
    ("defects/S00/20250101T000000.yaml", "boxes: [{x0: 1, y0: 2, width: 0, height: 1}]",
     r"width is not positive \(got 0\)"),
    ("defects/S00/20250101T000000.yaml", "boxes: [{x0: 1, y0: 2, width: 3, height: 9999}]",
     r"a box leaves detector S00 of \(\d+, \d+\) pixels \(got \[2, 10001, 1, 4\]\)"),
    ("defects/S00/20250201T000000.ecsv", "x0 y0\n1 2\n", r"cannot be read as ECSV"),
    ("defects/S00/20250201T000000.ecsv", ecsv("x0 y0 width height hue", "1 2 3 4 5\n"),
     r"no such column \(got 'hue'\); give x0, y0, width, height"),
    ("defects/S00/20250201T000000.ecsv", ecsv("x0 y0 width height", "1 2 3 4.5\n", "float64"),
     r"x0 is not whole numbers \(got 1.0\)"),
    ("defects/S00/20250201T000000.ecsv", ecsv("x0 y0 width height", "", meta="# meta: {detector: S01}\n"),
     r"is of detector 'S01' by its content, of 'S00' by its folder; move it"),
    ("ptc/S00/20250101T000000.yaml", "amplifiers: [{name: A, gain: 1, read_noise: 5}]",
     r"not the amplifiers of detector S00 \(got \['A'\]\); it has A, B"),
    ("ptc/S00/20250101T000000.yaml", "amplifiers: [{name: A, gain: 0, read_noise: 5}]", r"gain is not positive"),
    ("ptc/S00/20250101T000000.yaml", "amplifiers: [{name: A, gain: -1, read_noise: 5}]",
     r"gain of amplifier A is not positive \(got -1.0\)"),
    ("bias/S00/20250101T000000.fits", "no image", r"cannot be read as FITS"),
])  # fmt: skip
def test_a_wrong_file_is_one_line_and_nothing_changes(name, text, words, survey, kept):
    write(kept, f"simcam/{name}", text)
    before = set(survey.butler.collections.query("*"))
    with pytest.raises(InputError, match=words) as refusal:
        load_curated(survey, kept)
    assert name.rpartition("/")[0] in str(refusal.value)
    assert set(survey.butler.collections.query("*")) == before


@pytest.mark.parametrize(("pixels", "words"), [
    (np.ones((8, 9), np.float32), r"covers \[0, 8, 0, 9\], the detector \[0, \d+, 0, \d+\]; give the trimmed frame"),
    (np.full(BOX.shape, 20000.0, np.float32), r"not normalised \(got 20000.0\); divide it by its median"),
    (np.full(BOX.shape, np.nan, np.float32), r"the flat has no finite pixel"),
    (np.ones((2, 8, 9), np.float32), r"holds not one image"),
])  # fmt: skip
def test_a_wrong_image_is_one_line(pixels, words, survey, tmp_path):
    folder = tmp_path / "kept/flat/S00/r_sim"
    folder.mkdir(parents=True)
    fits.PrimaryHDU(pixels).writeto(folder / "20250101T000000.fits")
    with pytest.raises(InputError, match=words):
        load_curated(survey, tmp_path / "kept")


def test_what_cannot_be_written_or_read_is_refused(survey, kept, tmp_path):
    with pytest.raises(InputError, match="no defects or ptc is certified"):
        export_curated(survey, tmp_path / "out")
    with pytest.raises(InputError, match=r"no calibration that pipelines read \(got 'raw'\)"):
        export_curated(survey, tmp_path / "out", types=["raw"])
    load_curated(survey, kept)
    export_curated(survey, tmp_path / "out")
    with pytest.raises(InputError, match="out/simcam/defects: is there already"):
        export_curated(survey, tmp_path / "out")
    with pytest.raises(InputError, match="no such folder"):
        load_curated(survey, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no calibration of simcam"):
        load_curated(survey, tmp_path / "empty")
    with pytest.raises(InputError, match=r"no label \(got 'a b'\)"):
        load_curated(survey, kept, label="a b")
    write_folder(tmp_path / "two")
    write(tmp_path / "two", "simcam/defects/0/20250801T000000.0.yaml", "boxes: []\n")
    with pytest.raises(InputError, match="two files of one date"):
        load_curated(survey, tmp_path / "two")


def test_gains_and_boxes_keep_their_numbers_as_text(tmp_path):
    write_ptc(GAINS, tmp_path / "a.ecsv", {"run": "x"})
    write_defects(DEFECTS, tmp_path / "b.ecsv", {})
    assert str(read_ptc(tmp_path / "a.ecsv")) == str((GAINS, {"run": "x"}))
    assert read_defects(tmp_path / "b.ecsv") == (DEFECTS, {})
