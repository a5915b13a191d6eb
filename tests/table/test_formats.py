import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable

from etendue.errors import InputError
from etendue.table.formats import read_any


@pytest.fixture
def table() -> AstropyTable:
    gap = np.ma.array([1, 2, 3], mask=[False, True, False])
    return AstropyTable(
        {"id": [2**60, 2, 3], "ra": [0.5, 1.5, 2.5], "name": ["a", "bb", "c d"], "n": gap, "mag": np.float32([1, 2, 3])}
    )


def write(table: AstropyTable, path):
    if path.suffix == ".parquet":
        columns = {name: pa.array(np.ma.getdata(table[name]).tolist()) for name in table.colnames if name != "n"}
        pq.write_table(pa.table({**columns, "n": pa.array([1, None, 3])}), path)
    elif path.suffix == ".vot":
        table.write(path, format="votable")
    else:
        table.write(path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "fits", "parquet", "vot", "ecsv"])
def test_every_format_gives_the_same_columns(tmp_path, table, suffix):
    found = read_any(write(table, tmp_path / f"catalog.{suffix}"))
    assert found["id"].tolist() == [2**60, 2, 3]
    assert found["ra"].tolist() == [0.5, 1.5, 2.5]
    assert found["name"].tolist() == ["a", "bb", "c d"]
    np.testing.assert_array_equal(found["n"], [1, np.nan, 3])
    np.testing.assert_array_equal(found["mag"], [1, 2, 3])
    assert all(array.dtype.isnative for array in found.values())


def test_the_kind_is_told_by_content_not_by_name(tmp_path, table):
    path = write(table, tmp_path / "catalog.fits")
    path.rename(tmp_path / "catalog.dat")
    assert read_any(tmp_path / "catalog.dat")["ra"].tolist() == [0.5, 1.5, 2.5]


def test_a_commented_header_line_is_understood(tmp_path):
    (tmp_path / "a.csv").write_text("# ra, dec\n1.0,2.0\n")
    assert {name: values.tolist() for name, values in read_any(tmp_path / "a.csv").items()} == {
        "ra": [1.0],
        "dec": [2.0],
    }


def test_what_is_no_table_is_refused_by_name(tmp_path):
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(tmp_path / "image.fits")
    (tmp_path / "text.dat").write_text("hello")
    (tmp_path / "bad.csv").write_text("a,b\n1,2,3\n")
    (tmp_path / "bad.vot").write_text("<VOTABLE><RESOURCE>")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError):
            read_any(path)
    with pytest.raises(InputError, match="No such file"):
        read_any(tmp_path / "none.csv")
    with pytest.raises(InputError, match="directory"):
        read_any(tmp_path)
