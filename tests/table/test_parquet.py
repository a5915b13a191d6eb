import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etendue.errors import InputError
from etendue.schema.table_schema import load_schema, schema_names
from etendue.table.arrow import arrow_field
from etendue.table.parquet import read_table, write_table
from etendue.table.table import Table


def test_a_table_survives_its_file(tmp_path, stars):
    write_table(stars, tmp_path / "a.parquet")
    back = read_table(tmp_path / "a.parquet")
    assert back.content_hash() == stars.content_hash()
    assert back.meta == stars.meta
    assert back.schema is stars.schema
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("name", schema_names())
def test_every_empty_table_survives_its_file(tmp_path, name):
    table = Table.empty(name, bands=("r",))
    write_table(table, tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").content_hash() == table.content_hash()


def test_units_ucds_and_docs_are_in_the_file(tmp_path, stars):
    write_table(stars, tmp_path / "a.parquet")
    field = pq.read_schema(tmp_path / "a.parquet").field("ra")
    assert field.metadata[b"unit"] == b"deg"
    assert field.metadata[b"ucd"].startswith(b"pos.eq.ra")
    assert field.metadata[b"description"]


def test_nan_is_null_for_sql(tmp_path, stars):
    write_table(stars, tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet")["psfFlux"].null_count == 1


def test_some_columns_are_read_alone(tmp_path, stars):
    write_table(stars, tmp_path / "a.parquet")
    part = read_table(tmp_path / "a.parquet", columns=["ra", "dec"])
    assert part.names == ("ra", "dec")
    assert part.with_columns(x=np.zeros(5)).names == ("ra", "dec", "x")
    with pytest.raises(InputError, match="was not read"):
        part["psfFlux"]
    with pytest.raises(InputError, match="lacks columns"):
        read_table(tmp_path / "a.parquet", columns=["ra", "nothing"])


def test_columns_that_a_newer_schema_dropped_are_ignored(tmp_path, stars):
    arrow = stars.to_arrow().append_column(pa.field("old", pa.int64()), pa.array(range(5)))
    pq.write_table(arrow, tmp_path / "same.parquet")
    with pytest.raises(InputError, match="no such column"):
        read_table(tmp_path / "same.parquet")
    older = arrow.replace_schema_metadata({**arrow.schema.metadata, b"etendue.version": b"0"})
    pq.write_table(older, tmp_path / "older.parquet")
    assert read_table(tmp_path / "older.parquet").content_hash() == stars.content_hash()


def test_unreadable_files_are_named(tmp_path, stars):
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        read_table(tmp_path / "none.parquet")
    write_table(stars, tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    for damaged in (b"", b"PAR1", content[:-20], b"x" * 200):
        (tmp_path / "bad.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match=r"bad\.parquet"):
            read_table(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no etendue schema"):
        read_table(tmp_path / "other.parquet")


def test_a_remote_file_is_written_and_read(stars):
    write_table(stars, "memory://tables/a.parquet")
    assert read_table("memory://tables/a.parquet").content_hash() == stars.content_hash()


def test_reading_leaves_no_thread_behind_that_breaks_the_exit(tmp_path, stars):
    write_table(stars, tmp_path / "a.parquet")
    code = f"from etendue.table.parquet import read_table; read_table({str(tmp_path / 'a.parquet')!r})"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arrow_fields_leave_out_what_is_empty():
    column = load_schema("tracklet").column("nObs")
    assert set(arrow_field(column).metadata) == {b"ucd", b"description"}
