"""A frame in, files out, without a repository."""

import json
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable
from astropy.wcs import WCS, FITSFixedWarning
from click.testing import CliRunner

import etendue.app.process as process_module
from etendue.app.process import process
from etendue.app.processing.batch import ProcessOptions, process_frames, process_one
from etendue.app.processing.frame_camera import camera_of
from etendue.app.processing.frame_files import frame_name
from etendue.camera.file_spec import FileSpec
from etendue.camera.shipped import load_camera
from etendue.cli.main import main
from etendue.errors import AlgorithmError, InputError
from etendue.faults import arm
from etendue.geom.sphere import separation_deg
from etendue.image.fits_exposure import read_exposure
from etendue.refcat.build import build_reference_catalog
from etendue.refcat.star_index import build_star_index
from etendue.simulate.surveys.write import write_survey
from etendue.table.parquet import read_table
from small_surveys import small_survey

PICTURES = {"sources.png", "psf.png", "residual.png", "magnitudes.png", "astrometry.png"}


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Path:
    """Return a folder with one science frame, three biases, three flats and a catalog."""
    folder = tmp_path_factory.mktemp("night") / "frames"
    write_survey(small_survey("r", bias=3, flat=3), folder)
    return folder


@pytest.fixture(scope="module")
def frame(night) -> Path:
    return next((night / "raw").iterdir())


@pytest.fixture(scope="module")
def result(night, frame):
    return process(frame, refcat=night / "refcat.csv", bias=night / "bias", flat=night / "flat")


@pytest.fixture(scope="module")
def written(result, tmp_path_factory) -> Path:
    return result.write(tmp_path_factory.mktemp("out"))


def test_a_frame_is_calibrated_against_the_catalog(result):
    assert result.camera.name == "simcam"
    assert result.exposure.photo_calib.kind == "absolute"
    assert result.match.fit_position.sum() > 40
    assert result.match.rms_mas < 25.0
    assert result.match.rms_mag < 0.03
    summary = result.summary()
    assert summary["noise_ratio"] == pytest.approx(1.0, abs=0.05)
    assert 21.0 < summary["depth_mag"] < 24.0
    assert not [note for note in result.notes if "errors are wrong" in note]


def test_everything_is_written_and_readable_by_others(result, written):
    assert {path.name for path in written.iterdir()} == {
        "image.fits", "sources.parquet", "image.wcs", "summary.json", *PICTURES
    }  # fmt: skip
    with fits.open(written / "image.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:4]] == ["IMAGE", "MASK", "VARIANCE"]
        assert hdus["IMAGE"].data.shape == result.exposure.bbox.shape
    assert read_exposure(written / "image.fits", component="wcs") == result.wcs
    assert read_table(written / "sources.parquet").content_hash() == result.sources.content_hash()
    assert json.loads((written / "summary.json").read_text())["n_source"] == len(result.sources)
    for name in PICTURES:
        assert (written / name).read_bytes().startswith(b"\x89PNG")


def test_astropy_reads_the_wcs_header_as_we_do(result, written):
    header = fits.Header.fromtextfile(written / "image.wcs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(header)
    x, y = np.array([3.0, 500.0, 1000.0]), np.array([900.0, 510.0, 7.0])
    ra, dec = wcs.all_pix2world(x, y, 0)
    ours = result.wcs.pixel_to_sky(x=x, y=y)
    assert np.abs(ra - ours[0]).max() * 3600.0 < 1e-4
    assert np.abs(dec - ours[1]).max() * 3600.0 < 1e-4
    assert header["NAXIS1"] == result.exposure.bbox.x.size


@pytest.mark.parametrize("file_format", ["fits", "votable", "csv"])
def test_catalogs_of_every_format_hold_the_same(result, tmp_path, file_format):
    folder = result.write(tmp_path, file_format=file_format, plots=False)
    path = next(folder.glob("sources.*"))
    table = AstropyTable.read(path, format={"csv": "ascii.csv"}.get(file_format, file_format))
    assert len(table) == len(result.sources)
    np.testing.assert_allclose(table["ra"], result.sources["ra"], rtol=1e-14)
    np.testing.assert_allclose(table["psfFlux"], result.sources["psfFlux"], rtol=1e-6)
    if file_format != "csv":
        assert str(table["psfFlux"].unit) == "nJy"


def test_outputs_are_replaced_only_when_asked(result, tmp_path):
    folder = result.write(tmp_path, plots=False)
    (folder / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="already exists"):
        result.write(tmp_path, plots=False)
    result.write(tmp_path, plots=False, overwrite=True)
    assert not (folder / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_folder_that_is_not_ours_is_never_replaced(result, frame, tmp_path):
    (tmp_path / frame_name(frame)).mkdir()
    with pytest.raises(InputError, match="not an output of etendue process"):
        result.write(tmp_path, overwrite=True)


@pytest.mark.parametrize("fault", ["image.before-rename=no-space", "table.after-rename=io-error"])
def test_a_failing_disk_leaves_the_old_output_or_none(result, tmp_path, fault):
    for before in (False, True):
        if before:
            result.write(tmp_path, plots=False, file_format="csv")
        arm(fault)
        try:
            with pytest.raises((InputError, OSError)):
                result.write(tmp_path, plots=False, overwrite=before)
        finally:
            arm("")
        assert [path.name for path in tmp_path.iterdir()] == ([frame_name(result.frame)] if before else [])
    assert (tmp_path / frame_name(result.frame) / "sources.csv").exists()


def test_an_unknown_format_is_refused_before_anything_is_written(result, tmp_path):
    with pytest.raises(InputError, match="unknown table format"):
        result.write(tmp_path / "out", file_format="hdf5")
    assert not (tmp_path / "out").exists()


def test_without_anything_fluxes_are_relative_and_wrong_errors_are_said(frame):
    alone = process(frame)
    assert alone.match is None
    assert alone.exposure.photo_calib.kind == "relative"
    assert any("no certified bias" in note for note in alone.notes)


def test_stars_of_another_field_are_one_line(night, frame, tmp_path):
    (tmp_path / "other.csv").write_text("ra,dec,r_mag\n" + "".join(f"{10 + k / 100},5.0,15\n" for k in range(20)))
    with pytest.raises(AlgorithmError, match=r"no star of .*other.csv on the frame"):
        process(frame, refcat=tmp_path / "other.csv")
    outcome = process_one(frame, ProcessOptions(tmp_path, {"refcat": tmp_path / "other.csv"}))
    assert outcome.folder is None
    assert "\n" not in outcome.reason


def test_an_absent_catalog_is_refused(frame):
    with pytest.raises(InputError, match="gaia, ps1, 2mass"):
        process(frame, refcat="gaia.csv")


def test_frames_that_are_no_science_frames_are_refused(night):
    with pytest.raises(InputError, match="no science frame"):
        process(next((night / "bias").iterdir()))


def test_a_pointing_without_match_says_that_an_index_helps(frame, night, monkeypatch):
    def lost(*_arguments, **_keywords):
        raise AlgorithmError("no star pattern found")

    read = process_module.read_raw

    def approximate(path, camera):
        raw = read(path, camera)
        return replace(raw, info=replace(raw.info, wcs_is_approximate=True))

    monkeypatch.setattr(process_module, "read_raw", approximate)
    monkeypatch.setattr(process_module.CalibrateImage, "run", lost)
    with pytest.raises(AlgorithmError, match="--index"):
        process(frame, refcat=night / "refcat.csv")


def test_bad_frames_are_one_line_each_and_the_others_go_on(night, frame, tmp_path):
    text = tmp_path / "text.fits"
    text.write_text("no FITS\n")
    cut = tmp_path / "cut.fits.fz"
    cut.write_bytes(frame.read_bytes()[:40000])
    arguments = [
        "process",
        frame,
        text,
        cut,
        tmp_path / "absent.fits",
        "--out",
        tmp_path / "out",
        "--no-plots",
        "-j",
        "1",
    ]
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert told.exit_code == 1
    assert sum(line.startswith("failed: ") for line in told.stdout.splitlines()) == 3
    assert max(map(len, [line for line in told.stdout.splitlines() if not line.startswith("failed")])) <= 100
    assert told.stderr.splitlines()[-1] == "etendue: error: 3 of 4 frames failed"
    assert "Traceback" not in told.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == [frame_name(frame)]
    again = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert again.exit_code == 1
    assert all("already exists" in item["reason"] for item in json.loads(again.stdout)[:1])


def test_two_frames_of_one_name_are_refused(frame, tmp_path):
    other = tmp_path / "copy" / frame.name
    with pytest.raises(InputError, match="different folders"):
        process_frames([frame, other], ProcessOptions(tmp_path), progress=False)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.fits", "a"), ("a.b.fits.fz", "a.b"), ("n.0132.FIT", "n.0132"), (".fits", ".fits"), ("x", "x")],
)
def test_folders_are_named_after_their_frames(name, stem):
    assert frame_name(Path(name)) == stem


def test_an_unknown_camera_is_guessed_and_a_named_one_is_taken(frame, tmp_path):
    header = {"DATE-OBS": "2020-01-01T00:00:00", "EXPTIME": 10.0, "TELESCOP": "garden", "INSTRUME": "toy"}
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(np.ones((40, 50), np.int16), fits.Header(header)).writeto(path)
    camera, guessed = camera_of(path)
    assert guessed
    assert camera.name == "garden_toy"
    (tmp_path / "mine.yaml").write_text(camera.to_yaml())
    assert camera_of(path, str(tmp_path / "mine.yaml")) == (camera, False)
    assert camera_of(frame)[0].name == "simcam"
    assert not camera_of(frame)[1]


@pytest.fixture(scope="module")
def index(night, tmp_path_factory) -> Path:
    """Return the night's catalog with a star index."""
    folder = tmp_path_factory.mktemp("index") / "stars"
    build_star_index(build_reference_catalog(night / "refcat.csv", folder), band="r", max_order=12)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("header", ["nothing", "pointing", "wrong"])
def test_a_frame_is_found_by_its_stars(frame, night, index, result, monkeypatch, header):
    """Without any WCS, with a pointing only, and where the header's WCS points to another field."""
    read = process_module.read_raw

    def changed(path, camera):
        raw = read(path, camera)
        facts = {
            "nothing": {"wcs": None, "ra_deg": np.nan, "dec_deg": np.nan},
            "pointing": {"wcs_is_approximate": True},
            "wrong": {"wcs": raw.info.wcs.shifted(dx=9000.0, dy=-500.0), "wcs_is_approximate": False},
        }
        return replace(raw, info=replace(raw.info, **facts[header]))

    monkeypatch.setattr(process_module, "read_raw", changed)
    found = process(frame, index=index, bias=night / "bias", flat=night / "flat")
    assert found.match.rms_mas < 25.0
    middle = {"x": 500.0, "y": 500.0}
    off = separation_deg(*found.wcs.pixel_to_sky(**middle), *result.wcs.pixel_to_sky(**middle))
    assert float(off) * 3600.0 < 0.05
    assert any("found by the star pattern" in note for note in found.notes) == (header == "wrong")


@pytest.mark.slow
def test_rubin_s_code_is_never_imported(night, frame, tmp_path):
    arguments = ["process", str(frame), "--refcat", str(night / "refcat.csv"), "--bias", str(night / "bias"),
                 "--out", str(tmp_path), "-j", "1"]  # fmt: skip
    code = (
        f"import sys; from etendue.cli.main import main; main({arguments}, standalone_mode=False);"
        "print([name for name in sys.modules if name.split('.')[0] == 'lsst'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_under_the_final_name(frame, tmp_path):
    environment = {**os.environ, "ETENDUE_FAULTS": "table.before-rename=kill"}
    command = [sys.executable, "-m", "etendue.cli.main", "process", str(frame), "--out", str(tmp_path), "-j", "1"]
    code = f"from etendue.cli.main import main; main({command[3:]})"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())


@pytest.mark.slow
def test_the_frames_of_a_killed_worker_are_tried_again(frame, tmp_path, monkeypatch):
    other = tmp_path / f"second-{frame.name}"
    other.write_bytes(frame.read_bytes())
    (tmp_path / "fired").mkdir()
    monkeypatch.setenv("ETENDUE_FAULTS", "table.before-rename=kill")
    monkeypatch.setenv("ETENDUE_FAULTS_FIRED", str(tmp_path / "fired"))
    outcomes = process_frames([frame, other], ProcessOptions(tmp_path / "out", plots=False), workers=2, progress=False)
    assert list((tmp_path / "fired").iterdir())
    assert [outcome.reason for outcome in outcomes] == ["", ""]
    assert {outcome.folder.name for outcome in outcomes} == {frame_name(frame), frame_name(other)}


@pytest.mark.slow
def test_a_detector_is_chosen_from_files_that_hold_several(tmp_path):
    mosaic = load_camera("simcam").model_copy(update={"name": "mosaic", "files": FileSpec(detectors="many")})
    path = tmp_path / "mosaic.yaml"
    path.write_text(mosaic.to_yaml())
    spec = small_survey("r", bias=3, flat=3).model_copy(update={"camera": str(path), "detectors": (0, 1)})
    write_survey(spec, tmp_path / "night")
    (frame,) = (tmp_path / "night" / "raw").iterdir()
    name = mosaic.detectors[1].name
    arguments = {"camera": str(path), "bias": tmp_path / "night" / "bias", "flat": tmp_path / "night" / "flat"}
    with pytest.raises(InputError, match="holds 2 frames of camera mosaic; say which detector"):
        process(frame, **arguments)
    with pytest.raises(InputError, match="no such detector"):
        process(frame, **arguments, detector="7")
    (outcome,) = process_frames([frame], ProcessOptions(tmp_path / "out", arguments | {"detector": name}))
    assert outcome.reason == ""
    assert outcome.folder == tmp_path / "out" / f"{frame_name(frame)}.{name}"
    assert read_exposure(outcome.folder / "image.fits").detector == mosaic.detectors[1].id
    assert outcome.summary["n_psf_star"] > 10
    (again,) = process_frames([frame], ProcessOptions(tmp_path / "out", arguments | {"detector": name}))
    assert "already exists" in again.reason
