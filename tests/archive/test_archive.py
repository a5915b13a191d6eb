import errno
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from etendue.archive import archive as module
from etendue.archive.archive import Archive
from etendue.errors import InputError
from etendue.geom.healpix import pixel_of
from etendue.geom.sphere import separation_deg
from etendue.table.table import Table

from .conftest import forced, objects


def raise_no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def ids(archive: Archive, table: str = "object") -> list[int]:
    return sorted(archive.query(f"SELECT objectId FROM {table}")["objectId"].to_pylist())


def test_published_rows_are_found_by_sql(tmp_path, catalog):
    archive = Archive(tmp_path / "archive")
    assert archive.publish("object", [catalog], "run1")
    result = archive.query(
        "SELECT count(*) AS n, avg(r_psfFlux) AS f FROM object WHERE coord_dec > ?", [25.0]
    ).to_pylist()[0]
    above = catalog["coord_dec"] > 25
    assert result["n"] == above.sum()
    assert result["f"] == pytest.approx(catalog["r_psfFlux"][above].mean(dtype=float))


def test_publishing_the_same_rows_again_changes_nothing(tmp_path, catalog):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog], "run1")
    before = archive.snapshot
    assert not archive.publish("object", [catalog.take(np.arange(len(catalog))[::-1])], "run1")  # any order
    assert not Archive(tmp_path).publish_all({"object": [catalog]}, "run1")
    assert Archive(tmp_path).snapshot == before


def test_a_key_published_anew_replaces_its_rows_only(tmp_path):
    archive = Archive(tmp_path, max_rows=50)
    archive.publish("object", [objects(200)], "a")
    archive.publish("object", [objects(100, first=1000, seed=2)], "b")
    assert archive.publish("object", [objects(30, first=5000, seed=3)], "a")
    assert ids(archive) == [*range(1000, 1100), *range(5000, 5030)]
    archive.publish("object", [objects(0)], "b")
    assert ids(archive) == [*range(5000, 5030)]


def test_the_layout_is_hats(tmp_path, catalog):
    archive = Archive(tmp_path, max_rows=100)
    archive.publish("object", [catalog], "run1")
    folder = tmp_path / "object" / "v000001"
    properties = dict(line.split("=", 1) for line in (folder / "hats.properties").read_text().splitlines()[1:])
    assert properties["hats_nrows"] == "400"
    assert (properties["hats_col_ra"], properties["hats_col_dec"]) == ("coord_ra", "coord_dec")
    info = np.loadtxt(folder / "partition_info.csv", delimiter=",", skiprows=1, dtype=int)
    assert info[:, 2].sum() == 400
    assert info[:, 2].max() <= 100
    for order, pixel, rows in info.tolist():
        path = folder / f"dataset/Norder={order}/Dir={pixel // 10000 * 10000}/Npix={pixel}.parquet"
        table = pq.read_table(path, partitioning=None)
        healpix = table["_healpix_29"].to_numpy()
        assert table.num_rows == rows
        assert (np.diff(healpix) >= 0).all()
        np.testing.assert_array_equal(
            healpix, pixel_of(29, table["coord_ra"].to_numpy(), table["coord_dec"].to_numpy())
        )
        assert (healpix >> 2 * (29 - order) == pixel).all()


def test_partitions_that_do_not_change_are_shared_between_versions(tmp_path):
    archive = Archive(tmp_path)
    north, south = objects(50), objects(50, first=100).with_columns(coord_dec=np.full(50, -60.0))
    archive.publish("object", [north], "north")
    archive.publish("object", [south], "south")
    files = [sorted((tmp_path / "object" / version).rglob("Npix=*")) for version in ("v000001", "v000002")]
    assert [len(found) for found in files] == [1, 2]
    assert any(files[0][0].samefile(other) for other in files[1])


@pytest.mark.parametrize("radius", [0.0, 60.0, 3600.0, 20000.0])
def test_cone_search_equals_the_slow_definition(tmp_path, catalog, radius):
    archive = Archive(tmp_path, max_rows=40)
    archive.publish("object", [catalog], "run1")
    ra, dec = catalog["coord_ra"][7], catalog["coord_dec"][7]
    distance = separation_deg(ra, dec, catalog["coord_ra"], catalog["coord_dec"]) * 3600
    expected = catalog["objectId"][np.argsort(distance)][: (distance <= radius).sum()]
    found = archive.cone_search("object", ra, dec, radius)
    np.testing.assert_array_equal(found["objectId"], expected)
    assert found.schema.name == "object"
    some = archive.cone_search("object", ra, dec, radius, columns=["objectId"])
    assert set(some.names) == {"objectId", "coord_ra", "coord_dec"}


def test_cone_search_reads_few_files(tmp_path, catalog, monkeypatch):
    archive = Archive(tmp_path, max_rows=20)
    archive.publish("object", [catalog], "run1")
    queries = []
    monkeypatch.setattr(archive, "query", lambda sql: queries.append(sql) or catalog.take([]).to_arrow())
    archive.cone_search("object", 120.0, 25.0, 30.0)
    assert 1 <= queries[0].count(".parquet") <= 4 < len(archive._catalogs["object"].partitions)


def test_a_cone_across_ra_zero_and_the_pole_is_whole(tmp_path):
    rows = Table.concat([objects(40), objects(2, first=100), objects(2, first=200)])
    ra, dec = rows["coord_ra"].copy(), rows["coord_dec"].copy()
    ra[40:], dec[40:] = [359.9999, 0.0001, 10.0, 190.0], [0.0, 0.0, 89.9999, 89.9999]
    archive = Archive(tmp_path)
    archive.publish("object", [rows.with_columns(coord_ra=ra, coord_dec=dec)], "run1")
    assert sorted(archive.cone_search("object", 0.0, 0.0, 1.0)["objectId"]) == [100, 101]
    assert sorted(archive.cone_search("object", 77.0, 90.0, 1.0)["objectId"]) == [200, 201]


def test_a_light_curve_is_complete_and_in_order(tmp_path, catalog):
    archive = Archive(tmp_path, max_rows=200)
    archive.publish_all({"object": [catalog], "forced_source": [forced(catalog, v) for v in (3, 1, 2)]}, "run1")
    curve = archive.light_curve(17)
    assert curve["midpointMjdTai"].tolist() == [60001.0, 60002.0, 60003.0]
    assert set(curve["objectId"].tolist()) == {17}
    with pytest.raises(InputError, match="no such objectId"):
        archive.light_curve(99999)
    with pytest.raises(InputError, match="no light curves"):
        archive.light_curve(17, table="object")
    with pytest.raises(InputError, match="no such table"):
        archive.light_curve(17, table="dia_source")


def test_new_bands_are_null_in_old_rows(tmp_path):
    archive = Archive(tmp_path)
    archive.publish("object", [objects(20)], "a")
    archive.publish("object", [objects(20, first=100, band="g", seed=5)], "b")
    result = archive.query("SELECT count(g_psfFlux) AS g, avg(r_psfFlux) AS r FROM object WHERE g_psfFlux > 0")
    assert result.to_pylist() == [{"g": 20, "r": None}]
    assert archive.cone_search("object", 120.0, 25.0, 36000).bands == ("g", "r")


def test_an_open_reader_keeps_its_snapshot(tmp_path, catalog):
    writer = Archive(tmp_path)
    writer.publish("object", [catalog], "a")
    reader = Archive(tmp_path)
    writer.publish("object", [objects(5, first=9000)], "b")
    assert len(ids(reader)) == 400
    reader.refresh()
    assert len(ids(reader)) == 405
    assert len(ids(Archive(tmp_path, snapshot=1))) == 400
    with pytest.raises(InputError, match="older snapshot"):
        Archive(tmp_path, snapshot=1).publish("object", [catalog], "c")


def test_a_writer_that_dies_changes_nothing(tmp_path, catalog, monkeypatch):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog], "a")

    def die(*_args, **_kwargs):
        raise KeyboardInterrupt

    for target in ("etendue.archive.rows.Rows.write", "etendue.archive.manifest.Manifest.save"):
        with monkeypatch.context() as patch:
            patch.setattr(target, die)
            with pytest.raises(KeyboardInterrupt):
                Archive(tmp_path).publish("object", [objects(5, first=9000)], "b")
        assert len(ids(Archive(tmp_path))) == 400
    assert Archive(tmp_path).publish("object", [objects(5, first=9000)], "b")
    assert len(ids(Archive(tmp_path))) == 405


def test_a_full_disk_changes_nothing_and_says_so(tmp_path, catalog, monkeypatch):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog], "a")
    with monkeypatch.context() as patch:
        patch.setattr("etendue.archive.rows.Rows.write", raise_no_space)
        with pytest.raises(InputError, match="cannot be written: No space left"):
            archive.publish("object", [objects(5, first=9000)], "b")
    assert len(ids(Archive(tmp_path))) == 400
    assert not list(tmp_path.rglob(".partial-*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        Archive(tmp_path / "file" / "archive")


def test_facts_about_single_tables_stay_out_of_the_catalog(tmp_path, catalog):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog.with_meta(run="20261121T000000Z")], "a")
    assert dict(archive.cone_search("object", 120.0, 25.0, 60.0).meta) == {}
    assert b"20261121" not in next(tmp_path.rglob("Npix=*")).read_bytes()


def test_prune_keeps_what_recent_snapshots_show(tmp_path):
    archive = Archive(tmp_path)
    for number in range(4):
        archive.publish("object", [objects(10, first=100 * number)], f"k{number}")
    archive.prune(keep=2)
    assert sorted(path.name for path in (tmp_path / "object").iterdir()) == ["v000003", "v000004"]
    assert len(ids(Archive(tmp_path))) == 40
    assert len(ids(Archive(tmp_path, snapshot=3))) == 30
    with pytest.raises(InputError, match="no such snapshot"):
        Archive(tmp_path, snapshot=1)


def test_an_empty_table_can_be_queried(tmp_path):
    archive = Archive(tmp_path)
    archive.publish("dia_object", [], "run1")
    assert archive.query("SELECT diaObjectId FROM dia_object").num_rows == 0
    assert len(archive.cone_search("dia_object", 1.0, 2.0, 10.0)) == 0
    assert archive.count("dia_object") == 0


def test_an_archive_moved_elsewhere_still_works(tmp_path, catalog):
    Archive(tmp_path / "a").publish("object", [catalog], "run1")
    shutil.move(tmp_path / "a", tmp_path / "it's b")
    assert len(ids(Archive(tmp_path / "it's b"))) == 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT nothing FROM object",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY object TO 'out.csv'",
        "SELECT 1; SELECT 2",
        "DROP VIEW object",
        "SET threads = 9",
        "ATTACH 'x.db'",
        "",
    ],
)
def test_bad_sql_is_one_clear_line(tmp_path, catalog, sql):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog], "run1")
    with pytest.raises(InputError) as caught:
        archive.query(sql)
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_archived_are_refused_by_name(tmp_path, catalog):
    archive = Archive(tmp_path)
    with pytest.raises(InputError, match="400 rows have no valid position"):
        archive.publish("object", [catalog.with_columns(coord_ra=np.full(400, np.nan))], "a")
    with pytest.raises(InputError, match="schema object given for table source"):
        archive.publish("source", [catalog], "a")
    with pytest.raises(InputError, match="no such table"):
        archive.cone_search("object", 1.0, 1.0, 1.0)
    assert Archive(tmp_path).snapshot == 0
    assert module.Archive(tmp_path).tables == ()


def test_circles_off_the_sky_are_refused(tmp_path, catalog):
    archive = Archive(tmp_path)
    archive.publish("object", [catalog], "run1")
    for ra, dec, radius in ((np.nan, 0, 1), (0, 91, 1), (0, 0, -1)):
        with pytest.raises(InputError, match="no circle"):
            archive.cone_search("object", ra, dec, radius)
