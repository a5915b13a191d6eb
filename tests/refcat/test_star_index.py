"""The star index is saved as plain arrays, belongs to its catalog, and holds the brightest stars evenly."""

import json

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.healpix import pixel_of
from etendue.geom.sphere import separation_deg, sky_position
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.star_index import INDEX_FOLDER, StarIndex, build_star_index
from etendue.table.table import Table

N = 4000


def stars(seed=1, n=N):
    rng = np.random.default_rng(seed)
    flux = 10.0 ** rng.uniform(3.0, 6.0, n)
    flux[:10] = np.nan
    return Table("refcat", {
        "id": np.arange(n), "ra": rng.uniform(10.0, 12.0, n), "dec": rng.uniform(-1.0, 1.0, n),
        "raErr": np.full(n, 0.1 / 3600.0), "decErr": np.full(n, 0.1 / 3600.0),
        "pmra": np.zeros(n), "pmdec": np.full(n, 1000.0), "epoch": np.full(n, 51544.5),
        "r_flux": flux, "r_fluxErr": np.full(n, np.nan), "z_flux": np.r_[1.0, np.full(n - 1, np.nan)],
        "z_fluxErr": np.full(n, np.nan),
    })  # fmt: skip


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return write_reference_catalog(stars(), tmp_path_factory.mktemp("index") / "cat")


@pytest.fixture(scope="module")
def index(catalog):
    return build_star_index(catalog, max_order=10)


def test_an_opened_index_equals_the_built_one(catalog, index):
    for path in (catalog.path, catalog.path / INDEX_FOLDER):
        again = StarIndex.open(path)
        assert (again.content, again.orders, again.band) == (index.content, index.orders, "r")
        assert isinstance(again.codes, np.memmap)
        np.testing.assert_array_equal(again.quads, index.quads)


def test_a_level_holds_the_brightest_stars_of_every_cell(index):
    for level, order in enumerate(index.orders):
        rows = np.arange(index.star_start[level], index.star_start[level + 1])
        cell = pixel_of(order, *sky_position(index.vectors[rows]))
        assert np.bincount(cell - cell.min()).max() <= 10
    fainter = np.median(index.flux[index.star_start[-2] :])
    assert np.median(index.flux[: index.star_start[1]]) > fainter


def test_quads_are_half_to_one_cell_wide_and_refer_to_stars_of_their_level(index):
    for level, cell in enumerate(index.cell_rad):
        rows = slice(index.quad_start[level], index.quad_start[level + 1])
        quads = index.quads[rows]
        assert ((quads >= index.star_start[level]) & (quads < index.star_start[level + 1])).all()
        length = np.linalg.norm(index.vectors[quads[:, 0]] - index.vectors[quads[:, 1]], axis=1)
        assert (length > 0.499 * cell).all()
        assert (length < 1.001 * cell).all()
        assert len(np.unique(np.sort(quads, axis=1), axis=0)) == len(quads)


def test_a_cone_of_the_index_equals_brute_force(index):
    near = index.near(ra_deg=11.2, dec_deg=0.3, radius_deg=0.25)
    first = index.star_start[-2]
    off = separation_deg(11.2, 0.3, *sky_position(index.vectors[first:]))
    assert len(near) == (off <= 0.25).sum() > 10
    np.testing.assert_allclose(near.err_arcsec, 0.1, rtol=1e-5)


def test_stars_are_moved_to_the_epoch_asked_for(catalog, index, tmp_path):
    later = build_star_index(catalog, tmp_path / "later", epoch_mjd=51544.5 + 365.25 * 360.0, max_order=10)
    first, second = (sky_position(i.vectors[i.star_start[-2] :])[1].max() for i in (index, later))
    assert abs(second - first - 0.1) < 0.005


def test_without_quads_or_bands_there_is_no_index(tmp_path):
    few = write_reference_catalog(stars(n=13), tmp_path / "few")
    with pytest.raises(InputError, match="too few stars"):
        build_star_index(few)
    with pytest.raises(InputError, match="no such band"):
        build_star_index(few, band="g")


def test_absent_damaged_and_outdated_indexes_are_refused(tmp_path):
    catalog = write_reference_catalog(stars(n=400), tmp_path / "cat")
    with pytest.raises(InputError, match=r"no star index.*etendue refcat index"):
        StarIndex.open(catalog.path)
    build_star_index(catalog, max_order=6)
    with pytest.raises(InputError, match="already exists"):
        build_star_index(catalog, max_order=6)
    path = catalog.path / INDEX_FOLDER / "index.json"
    said = json.loads(path.read_text())
    for change, words in (({"version": 99}, "newer version"), ({"sizes": [1]}, "other lengths"),
                          ({"made_of": "x"}, "older than its catalog"), ({"orders": None}, "damaged")):  # fmt: skip
        path.write_text(json.dumps(said | change))
        with pytest.raises(InputError, match=words):
            StarIndex.open(catalog.path)
    path.write_text(json.dumps(said))
    (catalog.path / INDEX_FOLDER / "codes.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="damaged star index"):
        StarIndex.open(catalog.path)
