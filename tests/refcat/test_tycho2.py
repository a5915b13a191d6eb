"""Tycho-2 comes out of astrometry.net's index files with every star once, in right units; bad files are refused."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg, unit_vector
from etendue.refcat.tycho2 import DEBIAN_FOLDER, PATTERN, VT_AB_OFFSET, build_tycho2_catalog, read_tycho2

STEPS = 2.0**31 - 0.5


def as_text(name, values, header=()):
    """Return a table extension whose numbers are declared as text, as astrometry.net writes its trees."""
    width = values.shape[1] * values.itemsize if values.size else 0
    raw = np.frombuffer(values.tobytes(), f"S{width}" if width else "S1", len(values) if width else 0)
    hdu = fits.BinTableHDU.from_columns([fits.Column(name, f"{width}A", array=raw)])
    hdu.header.update(dict(header))
    # Trailing zeros of text are cut off: put the true bytes in place.
    return hdu, values.tobytes()


def write_index(path, ra, dec, mag, endian="<", kind="u32"):
    """Write the star part of an index file in the byte order of either kind of machine."""
    grid = np.rint((unit_vector(ra, dec) + 1.0) * STEPS).astype(f"{endian}u4")
    box = np.array([[-1.0], [-1.0], [-1.0], [1.0], [1.0], [1.0], [STEPS]], f"{endian}f8")
    stated = "04:03:02:01" if endian == "<" else "01:02:03:04"
    head = {"ENDIAN": stated, "KDT_NDAT": len(ra), "KDT_NDIM": 3, "KDT_DATA": kind}
    tables = [
        as_text("kdtree_header_stars", np.empty((0, 1), "u1"), head),
        as_text("kdtree_range_stars", box),
        as_text("kdtree_data_stars", grid),
    ]
    tagalong = fits.BinTableHDU.from_columns([fits.Column("MAG_VT", "E", array=np.asarray(mag, np.float32))])
    fits.HDUList([fits.PrimaryHDU(), *(hdu for hdu, _ in tables), tagalong]).writeto(path)
    with fits.open(path) as hdus:
        places = [hdu.fileinfo()["datLoc"] for hdu in hdus[1:4]]
    with path.open("r+b") as stream:
        for place, (_, content) in zip(places, tables, strict=True):
            stream.seek(place)
            stream.write(content)


@pytest.fixture
def stars():
    rng = np.random.default_rng(8)
    return rng.uniform(0.0, 360.0, 400), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 400))), rng.uniform(1.0, 13.0, 400)


def test_overlapping_files_of_both_byte_orders_give_every_star_once(tmp_path, stars):
    ra, dec, mag = stars
    write_index(tmp_path / "index-tycho2-07.littleendian.fits", ra[:300], dec[:300], mag[:300], "<")
    write_index(tmp_path / "index-tycho2-08.bigendian.fits", ra[200:], dec[200:], mag[200:], ">")
    table = read_tycho2(tmp_path)
    assert len(table) == len(set(table["id"].tolist())) == 400
    off = separation_deg(table["ra"][:, None], table["dec"][:, None], ra, dec)
    assert off.min(axis=1).max() * 3600.0 < 0.0003
    ab = 31.4 - 2.5 * np.log10(table["VT_flux"])
    np.testing.assert_allclose(ab, mag[off.argmin(axis=1)] + VT_AB_OFFSET, atol=1e-5)
    assert np.isnan(table["pmra"]).all()


def test_the_catalog_loads_like_any_other(tmp_path, stars, caplog):
    write_index(tmp_path / "index-tycho2-10.littleendian.fits", *stars)
    catalog = build_tycho2_catalog(tmp_path / "cat", tmp_path)
    assert (len(catalog), catalog.bands) == (400, ("VT",))
    assert "astrometry-data-tycho2-07" in caplog.text  # the deepest file is missing
    near = catalog.load_cone(ra_deg=stars[0][7], dec_deg=stars[1][7], radius_deg=0.01, epoch_mjd=58000.0)
    assert len(near) == 1
    assert near["epoch"][0] == 51544.5


def test_an_absent_catalog_says_which_package_to_install(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="apt-get install astrometry-data-tycho2-07"):
            read_tycho2(folder)


def test_damaged_files_are_refused_in_one_line(tmp_path, stars):
    path = tmp_path / "index-tycho2-07.littleendian.fits"
    write_index(path, *stars, kind="double")
    with pytest.raises(InputError, match="32-bit"):
        read_tycho2(tmp_path)
    path.unlink()
    fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    with pytest.raises(InputError, match="is no Tycho-2 index file"):
        read_tycho2(tmp_path)
    path.write_text("hello")
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_tycho2(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.realdata
@pytest.mark.slow
def test_debian_s_files_hold_the_sky_at_j2000():
    if not any(Path(DEBIAN_FOLDER).glob(PATTERN)):
        pytest.skip("Debian's astrometry-data-tycho2 packages are not installed")
    table = read_tycho2()
    assert len(table) > 100_000
    # Barnard's star moves by 10.4 arcsec/yr: its place says which epoch it is.
    off = separation_deg(269.452075, 4.693391, table["ra"], table["dec"]).min() * 3600.0
    assert off < 1.0
