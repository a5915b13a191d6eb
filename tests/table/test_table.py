import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.table.json_rows import json_rows
from etendue.table.table import Table

ROW = {"trackletId": [1], "day_obs": [20190326], "nObs": [3], "mjd_tai_ref": [58568.0]}
ROW |= {name: [1.0] for name in ("ra", "dec", "raRate", "decRate")}


def test_missing_nullable_columns_read_null(stars):
    assert np.isnan(stars["ap03Flux"]).all()
    assert not stars["pixelFlags_cr"].any()
    assert (stars["parentSourceId"] == 0).all()
    assert stars["physical_filter"].tolist() == [""] * 5


def test_columns_have_the_types_of_the_schema(stars):
    for name in stars.names:
        assert stars[name].dtype.kind == stars.schema.column(name).dtype.kind
        assert stars[name].flags.c_contiguous
    assert stars["detector"].dtype == np.int16
    assert stars["xErr"].dtype == np.float32


def test_a_table_cannot_be_changed(stars):
    with pytest.raises(ValueError, match="read-only"):
        stars["x"][0] = 1.0
    with pytest.raises(TypeError):
        stars.meta["a"] = "b"


def test_later_changes_of_the_input_do_not_reach_the_table():
    values = np.array([1.0])
    table = Table("tracklet", {**ROW, "ra": values})
    values[0] = 7.0
    assert table["ra"][0] == 1.0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"nobs": [1]}, "did you mean 'nObs'"),
        ({"nObs": [2**40]}, "do not fit type int32"),
        ({"nObs": [1.5]}, "do not fit type int32"),
        ({"ra": ["1"]}, "do not fit type float64"),
        ({"band": [1]}, "do not fit type string"),
        ({"ra": [1.0, 2.0]}, "different lengths"),
        ({"ra": [[1.0]]}, "one dimension"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_value(columns, message):
    with pytest.raises(InputError, match=message):
        Table("tracklet", {**ROW, **columns})


def test_a_missing_required_column_is_named():
    with pytest.raises(InputError, match=r"required column is missing.*'decRate'"):
        Table("tracklet", {name: value for name, value in ROW.items() if name != "decRate"})


def test_masked_values_become_null():
    table = Table(
        "tracklet", {**ROW, "mag": np.ma.array([1.0], mask=[True]), "ssObjectId": np.ma.array([5], mask=[True])}
    )
    assert np.isnan(table["mag"][0])
    assert table["ssObjectId"][0] == 0
    assert Table("tracklet", {**ROW, "designation": [None]})["designation"].tolist() == [""]
    assert np.isnan(Table("tracklet", {**ROW, "mag": np.ma.array([5], mask=[True])})["mag"][0])


def test_rows_are_taken_by_mask_and_by_number(stars):
    assert stars.take(stars["x"] > 3)["x"].tolist() == [3.5, 4.5]
    assert stars.take([4, 0])["x"].tolist() == [4.5, 0.5]
    assert len(stars.take([])) == 0
    assert stars.sort_by("y")["x"].tolist() == [4.5, 3.5, 2.5, 1.5, 0.5]


def test_stacking_fills_missing_bands_with_null():
    base = {"objectId": [1], "tract": [0], "patch": [0], "coord_ra": [1.0], "coord_dec": [1.0]}
    both = Table.concat([Table("object", {**base, "g_psfFlux": [1.0]}), Table("object", {**base, "r_psfFlux": [2.0]})])
    assert both.bands == ("g", "r")
    np.testing.assert_array_equal(both["r_psfFlux"], [np.nan, 2.0])
    assert both.names == Table.empty("object", bands=("g", "r")).names
    with pytest.raises(InputError, match="different schemas"):
        Table.concat([both, Table.empty("source")])
    with pytest.raises(InputError, match="nothing to stack"):
        Table.concat([])


def test_columns_are_replaced_in_a_new_table(stars):
    changed = stars.with_columns(x=np.zeros(5))
    assert changed["x"].sum() == 0
    assert stars["x"].sum() > 0
    with pytest.raises(InputError, match="different lengths"):
        stars.with_columns(x=[1.0])


def test_the_hash_depends_on_the_values_only(stars):
    same = stars.with_meta(date="2026-11-21")
    assert same.content_hash() == stars.content_hash()
    assert stars.with_columns(x=stars["x"] + 1).content_hash() != stars.content_hash()
    other_nan = stars["psfFlux"].copy()
    other_nan.view(np.uint64)[2] ^= 1 << 63  # a NaN with its sign set
    assert stars.with_columns(psfFlux=other_nan).content_hash() == stars.content_hash()


@settings(deadline=None)
@given(texts=st.lists(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=5), min_size=1, max_size=5))
def test_texts_of_any_kind_survive_arrow(texts):
    n = len(texts)
    row = {name: np.resize(value, n) for name, value in ROW.items()}
    table = Table("tracklet", {**row, "designation": texts})
    assert Table.from_arrow(table.to_arrow())["designation"].tolist() == texts


def test_astropy_sees_units_and_docs(stars):
    table = stars.to_astropy()
    assert str(table["psfFlux"].unit) == "nJy"
    assert table["psfFlux"].description
    assert table.meta["skymap"] == "lowell"
    table["x"][0] = 9.0  # a copy
    assert stars["x"][0] == 0.5


def test_json_keeps_ids_exact_and_knows_no_nan(stars):
    rows = json.loads(json.dumps(json_rows(stars), allow_nan=False))
    assert rows[4]["sourceId"] == str(2**60 + 4)
    assert rows[2]["psfFlux"] is None
    assert rows[0]["band"] == "VR"
    assert rows[0]["pixelFlags_cr"] is False
