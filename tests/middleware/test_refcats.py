import json

import numpy as np
import pytest
from lsst.daf.butler import CollectionType
from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.configuration import Places
from etendue.middleware.provenance.trace import find_product
from etendue.middleware.refcats import (
    EARLIER,
    REFCATS,
    refcat_versions,
    register_refcat,
    use_refcat,
    version_name,
)
from etendue.middleware.repository import Repository
from etendue.refcat.build import build_reference_catalog, write_reference_catalog
from etendue.refcat.catalog import METADATA_FILE, ReferenceCatalog
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
    return {int(ref.dataId["htm7"]): home.get(ref) for ref in home.query("refcat", collections=REFCATS)}


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


FEW = ((10.0, 1.0, 17.0), (10.1, 1.1, 18.0))
MORE = (*FEW, (10.05, 1.05, 19.0))


def few_stars(folder, rows=FEW, name="stars", **more) -> ReferenceCatalog:
    folder.mkdir(exist_ok=True)
    (folder / "rows.csv").write_text("ra,dec,r_mag\n" + "".join(f"{a},{d},{m}\n" for a, d, m in rows))
    made = build_reference_catalog(folder / "rows.csv", folder / name, overwrite=True)
    if not more:
        return made
    table = made.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=180.0)
    return write_reference_catalog(table, folder / name, overwrite=True, **more)


def magnitudes(home: Repository, collection: str = REFCATS) -> set[float]:
    found = [home.get(ref)["r_flux"] for ref in home.query("refcat", collections=collection)]
    return {round(31.4 - 2.5 * np.log10(flux), 1) for fluxes in found for flux in fluxes}


def make_earlier(home: Repository, catalog: ReferenceCatalog) -> None:
    """Register stars as etendue did before there were versions: into one run."""
    home.register_dataset_type("refcat", ("htm7",), "EtendueTable")
    other = Repository.create(home.path.parent / "aside")
    register_refcat(other, catalog)
    for ref in other.query("refcat", collections=REFCATS):
        home.put(other.get(ref), "refcat", dict(ref.dataId.required), run=REFCATS)


def test_a_version_is_named_by_its_stars_and_old_catalogs_tell_the_same(tmp_path):
    one, same, other = (few_stars(tmp_path / k, rows) for k, rows in (("a", FEW), ("b", FEW), ("c", MORE)))
    assert version_name(one) == version_name(same) != version_name(other)
    assert version_name(one).startswith("stars-")
    file = one.path / METADATA_FILE
    file.write_text(
        json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k not in ("edition", "content")})
    )
    assert version_name(ReferenceCatalog(one.path)) == version_name(same)


def test_versions_lie_beside_each_other_and_one_is_in_use(tmp_path):
    home = Repository.create(tmp_path / "repo")
    first, second = few_stars(tmp_path / "a"), few_stars(tmp_path / "b", MORE)
    register_refcat(home, first)
    assert magnitudes(home) == {17.0, 18.0}
    assert register_refcat(home, second, use=False) > 0
    assert magnitudes(home) == {17.0, 18.0}
    use_refcat(home, version_name(second))
    assert magnitudes(home) == {17.0, 18.0, 19.0}
    assert register_refcat(home, first, version="dr1") > 0
    assert register_refcat(home, first) == 0
    assert [(one.name, one.in_use) for one in refcat_versions(home)] == [
        ("dr1", False), *sorted([(version_name(first), True), (version_name(second), False)]),
    ]  # fmt: skip
    assert refcat_versions(home)[0].about == "stars: 2 stars, bands r"
    ref = home.query("refcat", collections=REFCATS)[0]
    assert find_product(home, str(ref.id), {}).run == f"refcats/{version_name(first)}"
    with pytest.raises(InputError, match=r"no such version .*\(got 'dr9'\); there are dr1, stars-"):
        use_refcat(home, "dr9")
    with pytest.raises(InputError, match="no name of a version"):
        register_refcat(home, first, version="a/b")


def test_a_part_of_a_large_catalog_grows_whole_trixels_first_and_keeps_the_others(tmp_path):
    home = Repository.create(tmp_path / "repo")
    far = (200.0, 30.0, 16.0)
    register_refcat(home, few_stars(tmp_path / "a", (*FEW, far), edition="dr3"))
    before = {ref.dataId["htm7"]: ref.id for ref in home.query("refcat", collections=REFCATS)}
    added = register_refcat(home, few_stars(tmp_path / "a", (*MORE, far), edition="dr3"))
    after = {ref.dataId["htm7"]: ref.id for ref in home.query("refcat", collections=REFCATS)}
    changed = {trixel for trixel, number in before.items() if after[trixel] != number}
    assert added == len(changed) > 0
    assert set(before) == set(after)
    assert len(changed) < len(before)
    assert magnitudes(home) == {16.0, 17.0, 18.0, 19.0}
    assert register_refcat(home, few_stars(tmp_path / "a", (*FEW, far), edition="dr3")) == 0
    [version] = refcat_versions(home)
    assert (version.runs, version.in_use) == (("refcats/stars-dr3/2", "refcats/stars-dr3"), True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("same", [True, False])
def test_stars_of_a_repository_without_versions_become_one(kind, same, tmp_path, request, caplog):
    places = Places(database=request.getfixturevalue("postgres").new_database()) if kind == "postgresql" else Places()
    home = Repository.create(tmp_path / "repo", places)
    first, second = few_stars(tmp_path / "a"), few_stars(tmp_path / "b", MORE)
    make_earlier(home, first)
    before = {ref.id for ref in home.query("refcat", collections=REFCATS)}
    assert magnitudes(home) == {17.0, 18.0}
    assert [one.name for one in refcat_versions(home)] == [EARLIER]
    register_refcat(home, first if same else second)
    name = version_name(first) if same else EARLIER
    assert f"are now version {name}" in caplog.text
    assert {ref.id for ref in home.query("refcat", collections=f"refcats/{name}")} == before
    assert magnitudes(home) == ({17.0, 18.0} if same else {17.0, 18.0, 19.0})
    again = Repository.open(home.path)
    use_refcat(again, name)
    assert {ref.id for ref in again.query("refcat", collections=REFCATS)} == before
    assert again.butler.collections.get_info(REFCATS).type is CollectionType.CHAINED
    assert magnitudes(again) == {17.0, 18.0}
    if not same:
        assert len(refcat_versions(again)) == 2


def test_choosing_stars_that_had_no_version_gives_them_one(tmp_path):
    home = Repository.create(tmp_path / "repo")
    make_earlier(home, few_stars(tmp_path / "a"))
    use_refcat(home, EARLIER)
    assert [(one.name, one.runs, one.in_use) for one in refcat_versions(home)] == [
        (EARLIER, (f"refcats/{EARLIER}",), True)
    ]


def test_fluxes_may_rest_on_another_catalog_beside_that_of_positions(tmp_path):
    home = Repository.create(tmp_path / "repo")
    first, second = few_stars(tmp_path / "a"), few_stars(tmp_path / "b", MORE, edition="other")
    register_refcat(home, first, version="gaia")
    assert register_refcat(home, second, version="ps1", for_fluxes=True) > 0
    assert register_refcat(home, second, version="ps1", for_fluxes=True) == 0
    versions = {one.name: one for one in refcat_versions(home)}
    assert versions["gaia"].in_use
    assert versions["ps1.fluxes"].in_use
    stars = {name: sum(len(home.get(ref)) for ref in home.query(name, collections=REFCATS))
             for name in ("refcat", "refcat_photometry")}  # fmt: skip
    assert stars["refcat_photometry"] > stars["refcat"] > 0
    register_refcat(home, second, version="other")
    versions = {one.name: one for one in refcat_versions(home)}
    assert [versions[name].in_use for name in ("gaia", "other", "ps1.fluxes")] == [False, True, True]
