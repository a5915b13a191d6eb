"""Reference catalogs: any table in, stars at an epoch out."""

import json

import numpy as np
import pytest
from astropy.table import Table as AstropyTable
from astropy.time import Time

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.refcat.build import build_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.refcat.columns import find_columns
from etendue.refcat.proper_motion import apply_proper_motion

N = 3000


@pytest.fixture(scope="module")
def gaia() -> AstropyTable:
    rng = np.random.default_rng(7)
    return AstropyTable(
        {
            "source_id": np.arange(N) + 10**17,
            "ra": (rng.uniform(-2.0, 2.0, N)) % 360.0,
            "dec": rng.uniform(-2.0, 2.0, N),
            "ra_error": np.full(N, 0.5),
            "dec_error": np.full(N, 0.25),
            "pmra": rng.normal(0.0, 50.0, N),
            "pmdec": rng.normal(0.0, 50.0, N),
            "ref_epoch": np.full(N, 2016.0),
            "phot_g_mean_mag": rng.uniform(12.0, 20.0, N),
            "r_mag": rng.uniform(12.0, 20.0, N),
            "r_mag_err": np.full(N, 0.01),
        }
    )


@pytest.fixture(scope="module")
def catalog(gaia, tmp_path_factory) -> ReferenceCatalog:
    folder = tmp_path_factory.mktemp("refcat")
    gaia.write(folder / "gaia.csv")
    return build_reference_catalog(folder / "gaia.csv", folder / "gaia", order=6)


@pytest.mark.parametrize(
    ("suffix", "form"), [("csv", "csv"), ("fits", "fits"), ("parquet", "parquet"), ("vot", "votable")]
)
def test_every_format_gives_the_same_catalog(gaia, catalog, tmp_path, suffix, form):
    gaia.write(tmp_path / f"t.{suffix}", format=form)
    other = build_reference_catalog(tmp_path / f"t.{suffix}", tmp_path / "cat", order=6)
    cone = {"ra_deg": 359.5, "dec_deg": 0.3, "radius_deg": 0.7}
    assert other.load_cone(**cone).content_hash() == catalog.load_cone(**cone).content_hash()


def test_cone_over_the_zero_meridian_equals_brute_force(gaia, catalog):
    inside = separation_deg(359.9, 0.5, gaia["ra"], gaia["dec"]) <= 0.8
    loaded = catalog.load_cone(ra_deg=359.9, dec_deg=0.5, radius_deg=0.7, padding_arcsec=360.0)
    assert sorted(loaded["id"]) == sorted(gaia["source_id"][inside])


def test_polygon_equals_brute_force(gaia, catalog):
    loaded = catalog.load_polygon(ra_deg=[359.0, 1.0, 1.0, 359.0], dec_deg=[-0.5, -0.5, 0.5, 0.5])
    ra = (np.asarray(gaia["ra"]) + 180.0) % 360.0 - 180.0
    sure = (np.abs(ra) < 0.999) & (np.abs(gaia["dec"]) < 0.4999)
    possible = (np.abs(ra) <= 1.001) & (np.abs(gaia["dec"]) < 0.501)
    ids = set(loaded["id"])
    assert set(gaia["source_id"][sure]) <= ids <= set(gaia["source_id"][possible])


def test_padding_widens_the_polygon(catalog):
    box = {"ra_deg": [359.5, 0.5, 0.5, 359.5], "dec_deg": [-0.5, -0.5, 0.5, 0.5]}
    assert len(catalog.load_polygon(**box)) < len(catalog.load_polygon(**box, padding_arcsec=300.0))


def test_stars_move_to_the_epoch(gaia, catalog):
    mjd = Time(2026.0, format="jyear", scale="tai").mjd
    loaded = catalog.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=1.0, epoch_mjd=mjd)
    row = np.searchsorted(gaia["source_id"], loaded["id"])
    north = (loaded["dec"] - gaia["dec"][row]) * 3.6e6
    east = (loaded["ra"] - gaia["ra"][row] + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(north, 10.0 * gaia["pmdec"][row], atol=0.05)
    np.testing.assert_allclose(east * 3.6e6 * np.cos(np.radians(loaded["dec"])), 10.0 * gaia["pmra"][row], atol=0.05)


def test_a_fast_star_enters_from_a_neighbouring_shard(tmp_path):
    AstropyTable({"ra": [10.0], "dec": [0.0], "pmra": [0.0], "pmdec": [10_000.0], "epoch": [2000.0]}).write(
        tmp_path / "t.csv"
    )
    catalog = build_reference_catalog(tmp_path / "t.csv", tmp_path / "cat", order=10)
    mjd = 51544.5 + 360.0 * 365.25  # one degree further north
    assert len(catalog.load_cone(ra_deg=10.0, dec_deg=1.0, radius_deg=0.01, epoch_mjd=mjd)) == 1


def test_fluxes_are_ab_nanojanskys_and_errors_degrees(gaia, catalog):
    loaded = catalog.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=0.5)
    row = np.searchsorted(gaia["source_id"], loaded["id"])
    np.testing.assert_allclose(-2.5 * np.log10(loaded["r_flux"]) + 31.4, gaia["r_mag"][row], atol=1e-6)
    np.testing.assert_allclose(loaded["r_fluxErr"] / loaded["r_flux"], 0.01 / 1.0857, rtol=1e-4)
    np.testing.assert_allclose(loaded["raErr"], 0.5 / 3.6e6, rtol=1e-6)
    assert catalog.bands == ("g", "r")


def test_motion_keeps_still_stars_exactly():
    ra, dec = apply_proper_motion([123.456789], [-89.99], [np.nan], [0.0], [1e4])
    assert (ra[0], dec[0]) == (123.456789, -89.99)


def test_vizier_names_are_understood():
    found = find_columns(["RAJ2000", "DEJ2000", "pmRA", "pmDE", "e_pmRA", "Vmag", "e_Vmag", "BTmag"])
    assert found.fields["dec"] == "DEJ2000"
    assert found.fields["pmraErr"] == "e_pmRA"
    assert {band: c.error for band, c in found.bands.items()} == {"V": "e_Vmag", "BT": None}


def test_a_mapping_wins_over_guesses():
    found = find_columns(["ra", "dec", "a", "d", "brightness"], {"ra": "a", "dec": "d", "i_flux": "brightness"})
    assert (found.fields["ra"], found.bands["i"].is_flux) == ("a", True)


@pytest.mark.parametrize(
    ("columns", "mapping", "says"),
    [
        ({"a": [1.0]}, None, "no columns of right ascension"),
        ({"ra": [1.0], "dec": [2.0]}, {"ra": "x"}, "lacks columns"),
        ({"ra": ["1:00:00"], "dec": [2.0]}, None, "decimal degrees"),
        ({"ra": [1.0], "dec": [92.0]}, None, "declination outside"),
        ({"ra": [1.0], "dec": [2.0]}, {"spam": "ra"}, "unknown name"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, columns, mapping, says):
    AstropyTable(columns).write(tmp_path / "t.csv")
    with pytest.raises(InputError, match=says) as caught:
        build_reference_catalog(tmp_path / "t.csv", tmp_path / "cat", columns=mapping)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cat").exists()


def test_no_or_damaged_catalog_is_said_so(tmp_path):
    with pytest.raises(InputError, match="no reference catalog"):
        ReferenceCatalog(tmp_path)
    (tmp_path / "refcat.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(InputError, match="damaged"):
        ReferenceCatalog(tmp_path)


def test_an_existing_catalog_is_kept_unless_asked(gaia, tmp_path):
    gaia.write(tmp_path / "t.csv")
    build_reference_catalog(tmp_path / "t.csv", tmp_path / "cat")
    with pytest.raises(InputError, match="already exists"):
        build_reference_catalog(tmp_path / "t.csv", tmp_path / "cat")
    assert len(build_reference_catalog(tmp_path / "t.csv", tmp_path / "cat", overwrite=True)) == N


def test_an_empty_region_is_an_empty_table(catalog):
    assert len(catalog.load_cone(ra_deg=90.0, dec_deg=60.0, radius_deg=1.0)) == 0


def test_tables_without_ids_keep_every_star_apart(tmp_path):
    for number in (1, 2):
        AstropyTable({"ra": [10.0 * number, 20.0], "dec": [0.0, number]}).write(tmp_path / f"{number}.csv")
    catalog = build_reference_catalog([tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "cat")
    loaded = catalog.load_cone(ra_deg=15.0, dec_deg=0.0, radius_deg=30.0)
    assert len(set(loaded["id"].tolist())) == len(loaded) == 4
