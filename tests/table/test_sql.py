import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etendue.errors import InputError
from etendue.table.sql import LockedDuckDB, quote_name, quote_string


def test_views_are_queried_with_parameters():
    database = LockedDuckDB({"t": pa.table({"a": [1, 2, 3]})})
    assert database.query("SELECT a FROM t WHERE a > ? ORDER BY a", [1])["a"].to_pylist() == [2, 3]


def test_only_the_given_directories_are_read(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("in/a.parquet", "out.parquet"):
        pq.write_table(pa.table({"a": [1]}), tmp_path / name)
    inside = f"SELECT * FROM read_parquet({quote_string(str(tmp_path / 'in/a.parquet'))})"
    database = LockedDuckDB({"t": inside}, directories=[tmp_path / "in"])
    assert database.query("SELECT count(*) AS n FROM t")["n"].to_pylist() == [1]
    for path in (tmp_path / "out.parquet", tmp_path / "in" / ".." / "out.parquet", "/etc/passwd"):
        with pytest.raises(InputError, match="Permission"):
            database.query(f"SELECT * FROM read_parquet('{path}')")


def test_variables_of_the_program_are_out_of_reach():
    secret = pa.table({"password": ["x"]})
    with pytest.raises(InputError, match="secret"):
        LockedDuckDB({}).query("SELECT * FROM secret")
    assert secret.num_rows == 1


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE u AS SELECT 1", "SET threads = 2", "PRAGMA version", "INSTALL httpfs", "SELECT 1; SELECT 2", " "],
)
def test_anything_but_one_select_is_refused(sql):
    with pytest.raises(InputError):
        LockedDuckDB({}).query(sql)


def test_quotes_cannot_be_left():
    database = LockedDuckDB({'a"b': pa.table({"x": [1]})})
    assert database.query('SELECT x FROM "a""b"')["x"].to_pylist() == [1]
    assert quote_name('a"b') == '"a""b"'
    assert quote_string("it's") == "'it''s'"
