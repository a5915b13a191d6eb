import numpy as np
import pytest
from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.refcats import REFCAT_RUN, register_refcat
from etendue.middleware.repository import Repository
from etendue.refcat.build import build_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.table.table import Table

N, MARGIN = 120, 300.0
# Around 41.8 deg HEALPix pixels are most elongated.
FIELDS = ((330.0, 41.8), (100.0, -29.9), (359.99, 0.0), (45.0, -89.9))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> ReferenceCatalog:
    rng, folder = np.random.default_rng(2), tmp_path_factory.mktemp("refcat")
    ra = np.concatenate([ra0 + rng.uniform(-0.5, 0.5, N) for ra0, _ in FIELDS]) % 360.0
    dec = np.concatenate([np.clip(dec0 + rng.uniform(-0.5, 0.5, N), -89.999, 90.0) for _, dec0 in FIELDS])
    rows = "\n".join(f"{k + 1},{a:.9f},{d:.9f},17.0" for k, (a, d) in enumerate(zip(ra, dec, strict=True)))
    (folder / "stars.csv").write_text(f"id,ra,dec,r_mag\n{rows}\n")
    return build_reference_catalog(folder / "stars.csv", folder / "cat")


@pytest.fixture(scope="module")
def home(catalog, tmp_path_factory) -> Repository:
    repository = Repository.create(tmp_path_factory.mktemp("repo") / "repo")
    assert register_refcat(repository, catalog, margin_arcsec=MARGIN) > 0
    return repository


def shards(home: Repository) -> dict[int, Table]:
    return {int(ref.dataId["htm7"]): home.get(ref) for ref in home.query("refcat", collections=REFCAT_RUN)}


def test_every_star_is_in_the_dataset_of_its_own_trixel(home, catalog):
    pixels, found = HtmPixelization(7), shards(home)
    stars = catalog.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=180.0)
    assert len(stars) == N * len(FIELDS)
    for number, ra, dec in zip(stars["id"], stars["ra"], stars["dec"], strict=True):
        trixel = pixels.index(UnitVector3d(LonLat.fromDegrees(float(ra), float(dec))))
        assert number in found[trixel]["id"]


def test_datasets_reach_beyond_their_trixel_by_the_margin(home, catalog):
    pixels = HtmPixelization(7)
    stars = catalog.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=180.0)
    for trixel, shard in shards(home).items():
        center = LonLat(pixels.triangle(trixel).getCentroid())
        away = separation_deg(
            center.getLon().asDegrees(), center.getLat().asDegrees(), np.asarray(stars["ra"]), np.asarray(stars["dec"])
        )
        near = set(np.asarray(stars["id"])[away < MARGIN / 3600.0].tolist())
        assert near <= set(shard["id"].tolist())


def test_registering_again_adds_nothing(home, catalog):
    assert register_refcat(home, catalog) == 0


def test_a_folder_that_is_no_catalog_is_refused(tmp_path):
    with pytest.raises(InputError, match="reference catalog"):
        ReferenceCatalog(tmp_path)


def test_only_trixels_with_stars_of_the_fields_are_put_and_they_are_whole(catalog, home, tmp_path):
    part = Repository.create(tmp_path / "part")
    ra, dec = FIELDS[1]
    assert 0 < register_refcat(part, catalog, cones=[(ra, dec, 0.2)], margin_arcsec=MARGIN) < len(shards(home))
    whole = shards(home)
    assert all(shard["id"].tolist() == whole[trixel]["id"].tolist() for trixel, shard in shards(part).items())
    near = catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=0.2)
    assert set(near["id"].tolist()) <= {int(k) for shard in shards(part).values() for k in shard["id"]}
