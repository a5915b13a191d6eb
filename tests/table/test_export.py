"""Tables leave for other programs whole, with units where the format has a place for them."""

import numpy as np
import pytest
from astropy.table import Table as AstropyTable

from etendue.errors import InputError
from etendue.table.export import SUFFIXES, export_table
from etendue.table.parquet import read_table
from etendue.table.table import Table


@pytest.fixture
def stars() -> Table:
    return Table("refcat", {"id": [1, 2], "ra": [10.0, 11.0], "dec": [-5.0, 5.0], "r_flux": [100.0, np.nan]})


@pytest.mark.parametrize("name", SUFFIXES)
def test_every_format_reads_back(stars, tmp_path, name):
    path = tmp_path / f"stars{SUFFIXES[name]}"
    export_table(stars, path, name)
    if name == "parquet":
        assert read_table(path).content_hash() == stars.content_hash()
        return
    back = AstropyTable.read(path, format={"csv": "ascii.csv"}.get(name, name))
    np.testing.assert_array_equal(back["id"], stars["id"])
    np.testing.assert_array_equal(back["ra"], stars["ra"])
    assert np.isnan(np.ma.filled(back["r_flux"].astype(float), np.nan)[1])
    assert name == "csv" or str(back["r_flux"].unit) == "nJy"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_unknown_format_is_refused(stars, tmp_path):
    with pytest.raises(InputError, match="parquet, fits, votable, csv"):
        export_table(stars, tmp_path / "stars.h5", "hdf5")
    assert not list(tmp_path.iterdir())
