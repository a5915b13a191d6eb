from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.app.frame_finder import find_frames
from etendue.camera.file_spec import CubeSpec, FileSpec
from etendue.camera.guess import guess_camera
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    write_survey(small_survey("r", bias=2, flat=1, stars=0.0), folder)
    return folder


def foreign(path: Path) -> Path:
    header = fits.Header({"INSTRUME": "homemade", "OBJECT": "M 31", "EXPTIME": 30.0, "DATE-OBS": "2024-01-02T03:04:05"})
    fits.PrimaryHDU(np.full((40, 50), 1000, np.uint16), header).writeto(path)
    return path


def test_all_frames_below_the_folders_are_found_sorted_and_their_camera_known(frames):
    found = find_frames([frames])
    assert found.camera.name == "simcam"
    assert not found.guessed
    assert [path.parent.name for path in found.paths] == ["bias", "bias", "flat", "raw"]
    assert list(found.paths) == sorted(found.paths)


def test_a_file_named_twice_is_taken_once(frames):
    one = next((frames / "raw").iterdir())
    assert find_frames([one, frames / "raw"]).paths == (one,)


def test_the_camera_of_most_frames_counts_and_others_are_refused(frames, tmp_path):
    other = foreign(tmp_path / "other.fits")
    found = find_frames([frames, tmp_path])
    assert found.camera.name == "simcam"
    assert found.refused == ((other, "is a frame of camera unknown"),)


def test_cubes_of_a_known_camera_are_found(tmp_path):
    home = load_camera("microobservatory").model_copy(
        update={"name": "snaps", "files": FileSpec(cube=CubeSpec(snaps=2))}
    )
    header = fits.Header({"CREATOR": "MicroObservatory"})
    fits.PrimaryHDU(np.zeros((2, 500, 650), np.uint16), header).writeto(tmp_path / "a.fits")
    found = find_frames([tmp_path], known=[home])
    assert (found.camera.name, found.refused) == ("snaps", ())


def test_cubes_of_an_unknown_camera_are_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((2, 50, 65), np.uint16)).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"no two-dimensional image.*files: cube"):
        find_frames([tmp_path])


def test_an_unknown_camera_is_guessed(tmp_path):
    foreign(tmp_path / "a.fits")
    found = find_frames([tmp_path])
    assert found.guessed
    assert len(found.paths) == 1


def test_the_guess_is_made_from_a_frame_of_the_sky_and_the_brightest_pixels_of_all(tmp_path):
    for kind, level, extra in (
        ("Bias", 300, {}), ("Flat", 30000, {"FILTER": "V"}), ("Light", 900, {"FILTER": "V", "SECPIX": 1.3}),
    ):  # fmt: skip
        header = fits.Header({"INSTRUME": "homemade", "EXPTIME": 1.0, "DATE-OBS": "2024-01-02T03:04:05",
                              "IMAGETYP": kind, "GAIN": 139, "EGAIN": 0.8, **extra})  # fmt: skip
        pixels = np.full((40, 50), level, np.uint16)
        pixels[0, 0] += 1
        fits.PrimaryHDU(pixels, header).writeto(tmp_path / f"{kind}.fits")
    (tmp_path / "truncated.fits").write_bytes((tmp_path / "Flat.fits").read_bytes()[:3000])
    camera = find_frames([tmp_path]).camera
    assert (camera.plate_scale, camera.filters[0].physical_filter) == (1.3, "V")
    amplifier = camera.detectors[0].amplifiers[0]
    assert (amplifier.gain, amplifier.saturation) == (0.8, 65535.0)


def test_a_camera_of_the_repository_comes_first(tmp_path):
    own = guess_camera(foreign(tmp_path / "a.fits")).model_copy(update={"description": "corrected by hand"})
    found = find_frames([tmp_path], known=[load_camera("simcam"), own])
    assert found.camera is own
    assert not found.guessed


def test_files_that_are_no_fits_are_refused_with_the_reason(frames, tmp_path):
    (tmp_path / "broken.fits").write_text("not FITS")
    (tmp_path / "notes.txt").write_text("ignored")
    refused = find_frames([frames, tmp_path]).refused
    assert [path.name for path, _ in refused] == ["broken.fits"]
    with pytest.raises(InputError, match=r"broken\.fits"):
        find_frames([tmp_path])


def test_links_to_nothing_are_refused_by_name_and_folders_called_like_frames_are_searched(frames, tmp_path):
    (tmp_path / "night.fits").mkdir()
    (tmp_path / "night.fits" / "one.FITS.FZ").symlink_to(next((frames / "raw").iterdir()))
    (tmp_path / "gone.fits").symlink_to(tmp_path / "nowhere.fits")
    (tmp_path / "loop.fits").symlink_to(tmp_path / "loop.fits")
    found = find_frames([tmp_path])
    assert [path.name for path in found.paths] == ["one.FITS.FZ"]
    assert [(path.name, "no such file" in reason) for path, reason in found.refused] == [("gone.fits", True)]


def test_a_given_camera_is_believed(frames):
    camera = load_camera("lowell42")
    assert find_frames([frames], camera=camera).camera is camera


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_frames([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no FITS files"):
        find_frames([tmp_path])
