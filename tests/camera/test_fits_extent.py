"""A file is whole when everything that its headers announce is there."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.fits_extent import missing_bytes
from etendue.errors import InputError


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    path = tmp_path_factory.mktemp("extent") / "frame.fits"
    pixels = np.arange(100 * 70, dtype=np.int16).reshape(100, 70)
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels, compression_type="RICE_1"), fits.ImageHDU(pixels)]
    fits.HDUList(hdus).writeto(path)
    return path


def test_a_whole_file_lacks_nothing(frame):
    assert missing_bytes(frame) == 0


@settings(max_examples=30, deadline=None)
@given(fraction=st.floats(0.001, 0.99))
def test_a_file_cut_anywhere_lacks_something_unless_whole_hdus_are_left(frame, tmp_path_factory, fraction):
    whole = frame.read_bytes()
    with fits.open(frame) as hdus:
        ends = {hdu.fileinfo()["datLoc"] + hdu.fileinfo()["datSpan"] for hdu in hdus}
    size = int(fraction * len(whole))
    cut = tmp_path_factory.mktemp("cut") / "cut.fits"
    cut.write_bytes(whole[:size])
    at_an_end = any(end - 2880 < size <= end for end in ends)  # padding may be left out
    assert at_an_end or missing_bytes(cut) > 0


def test_padding_is_not_asked_for(tmp_path):
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.zeros((10, 10), np.int16)).writeto(path)
    path.write_bytes(path.read_bytes()[: 2880 + 200])
    assert missing_bytes(path) == 0


def test_a_gzip_file_is_whole_when_its_stream_is(frame, tmp_path):
    path, whole = tmp_path / "frame.fits.gz", gzip.compress(frame.read_bytes())
    path.write_bytes(whole)
    assert missing_bytes(path) == 0
    path.write_bytes(whole[: len(whole) // 2])
    assert missing_bytes(path) > 0


@pytest.mark.parametrize("content", [b"hello, this is no image\n" * 200, b"\x89PNG" * 2000])
def test_what_can_never_become_a_fits_file_is_refused(tmp_path, content):
    path = tmp_path / "text.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no FITS file"):
        missing_bytes(path)


@pytest.mark.parametrize("card", ["ZNAXIS1 =              7000000", "ZTILE2  =                    7", "ZTILE1  =    0"])
def test_a_compressed_image_must_have_one_row_per_tile(frame, tmp_path, card):
    data, path = frame.read_bytes(), tmp_path / "damaged.fits"
    at = data.index(card[:8].encode())
    path.write_bytes(data[:at] + card.ljust(80).encode() + data[at + 80 :])
    with pytest.raises(InputError, match="is no table of 100 rows"):
        missing_bytes(path)


def test_an_empty_file_may_still_grow(tmp_path):
    path = tmp_path / "empty.fits"
    path.touch()
    assert missing_bytes(path) > 0
