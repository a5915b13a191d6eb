import io
import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from etendue.camera.fits_cards import read_cards
from etendue.camera.fits_images import read_header, to_dict

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
VALUES = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), PRINTABLE,
    st.sampled_from(["DP.1: 2.5", "12:30:00", "O'Hara", "a'", "AXIS.1: -3", "long&", ""]), st.none(),
)  # fmt: skip
KEYWORDS = st.from_regex(r"[A-Z][A-Z0-9_-]{0,7}", fullmatch=True).filter(
    lambda name: name not in ("END", "COMMENT", "HISTORY", "CONTINUE", "SIMPLE", "XTENSION")
)


def same(found: dict, expected: dict) -> bool:
    return found == expected and [type(v) for v in found.values()] == [type(v) for v in expected.values()]


@given(
    st.lists(st.tuples(KEYWORDS, VALUES, PRINTABLE), max_size=40), st.lists(PRINTABLE, max_size=3), st.integers(0, 2)
)
def test_plain_headers_read_as_astropy_reads_them(cards, comments, blanks):
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts that need several cards, comments that are cut
        for keyword, value, comment in cards:
            header[keyword] = (value, comment)
        for text in comments:
            header.add_comment(text)
        for _ in range(blanks):
            header.append()
        stream = io.BytesIO(header.tostring().encode() + b"pixels")
        found = read_cards(stream)
        if found is not None:
            assert same(found, to_dict(fits.Header.fromstring(header.tostring())))
            assert stream.read() == b"pixels"


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80), max_size=8))
def test_any_cards_read_as_astropy_reads_them_or_are_left_to_it(lines):
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    text = text.ljust(-(-len(text) // 2880) * 2880)
    found = read_cards(io.BytesIO(text.encode("latin-1")))
    if found is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert same(found, to_dict(fits.Header.fromstring(text)))


@pytest.mark.parametrize(
    "card", ["A       = 1.5D3 / x", "A       =                 1E-3", "A       = 'it''s  '", "A       = T",
             "A       =                  007", "A       = -.5", "A       = ''", "A       = 'x' / a 'quoted' comment"]
)  # fmt: skip
def test_usual_forms_of_values_are_plain(card):
    text = (card.ljust(80) + "END".ljust(80)).ljust(2880)
    found = read_cards(io.BytesIO(text.encode()))
    assert found is not None
    assert same(found, to_dict(fits.Header.fromstring(text)))


def test_a_header_that_is_cut_off_is_not_read():
    assert read_cards(io.BytesIO(b"SIMPLE  =                    T".ljust(2880))) is None
    assert read_cards(io.BytesIO(b"SIMPLE  =")) is None


def test_what_stands_after_a_text_of_several_cards_is_read_too(tmp_path):
    hdu = fits.PrimaryHDU(np.zeros((4, 5), np.int16))
    hdu.header["LONGTEXT"] = "x" * 100
    hdu.header["AFTER"] = 7
    hdu.writeto(tmp_path / "long.fits")
    header = read_header(tmp_path / "long.fits")
    assert (header["LONGTEXT"], header["AFTER"]) == ("x" * 100, 7)
