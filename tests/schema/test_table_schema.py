from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from etendue.errors import InputError
from etendue.schema.column import Column
from etendue.schema.mask_planes import MASK_PLANE_DOCS, MASK_PLANES
from etendue.schema.table_schema import TableSchema, load_schema, schema_names

FELIS_TYPES = {
    "int64": {"long"},
    "int32": {"int"},
    "int16": {"short"},
    "float64": {"double"},
    "float32": {"float"},
    "bool": {"boolean"},
    "string": {"char", "string", "unicode"},
}


@cache
def lsst_columns(origin: str) -> dict:
    """Return the columns of a table of lsst-sdm-schemas, such as ``apdb.DiaSource``."""
    file, table = origin.split(".")
    path = Path(str(metadata.distribution("lsst-sdm-schemas").locate_file(f"lsst/sdm/schemas/{file}.yaml")))
    return _tables(path)[table]


@cache
def _tables(path: Path) -> dict:
    document = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
    return {table["name"]: {c["name"]: c for c in table.get("columns", [])} for table in document["tables"]}


@pytest.mark.parametrize("name", schema_names())
def test_lsst_columns_have_lsst_types_and_units(name):
    for column in load_schema(name).columns:
        if column.origin == "etendue":
            continue
        lsst = lsst_columns(column.origin)[f"r_{column.suffix}" if column.is_template else column.name]
        assert lsst["datatype"] in FELIS_TYPES[column.type], column.name
        assert (lsst.get("ivoa:unit") or lsst.get("fits:tunit") or "") == column.unit, column.name


@pytest.mark.parametrize("name", schema_names())
def test_our_own_columns_take_no_name_from_lsst_with_another_meaning(name):
    schema = load_schema(name)
    origins = {column.origin for column in schema.columns} - {"etendue"}
    for column in schema.columns:
        if column.origin == "etendue":
            names = {f"r_{column.suffix}" if column.is_template else column.name}
            for origin in origins:
                found = names & set(lsst_columns(origin))
                assert not found or lsst_columns(origin)[names.pop()]["datatype"] in FELIS_TYPES[column.type], (
                    column.name
                )


@pytest.mark.parametrize("name", schema_names())
def test_every_column_is_documented_and_the_key_is_required(name):
    schema = load_schema(name)
    assert schema.name == name
    assert all(column.doc for column in schema.columns)
    for key in schema.primary_key:
        assert not schema.column(key).nullable or name == "single_visit_star"
    # Every row has a place on the sky, but for those of stars and frames that another table places.
    assert schema.position_columns is not None or name in ("series_source", "series_effect")


@pytest.mark.parametrize("name", schema_names())
def test_units_are_valid(name):
    from astropy.units import Unit

    units = [Unit(column.unit) for column in load_schema(name).columns]
    assert all(unit.to_string() is not None for unit in units)


def test_single_visit_star_has_the_columns_of_source():
    assert load_schema("single_visit_star").columns == load_schema("source").columns


def test_templates_stand_for_one_column_per_band():
    schema = load_schema("object")
    assert schema.column("VR_psfFlux").unit == "nJy"
    assert schema.band_of("VR_psfFlux") == "VR"
    assert schema.band_of("coord_ra") is None  # although "ra" is a template too
    assert schema.bands_in(["r_psfFlux", "g_ra", "coord_ra"]) == ("g", "r")
    assert len(schema.expand(("g", "r"))) - len(schema.expand()) == 2 * (
        len(schema.expand(("g",))) - len(schema.expand())
    )


def test_wrong_names_are_answered_with_the_right_one():
    with pytest.raises(InputError, match="did you mean 'psfFlux'"):
        load_schema("source").column("psf_flux")
    with pytest.raises(InputError, match="unknown table"):
        load_schema("sources")
    with pytest.raises(InputError, match="unknown column type"):
        Column("x", "complex")


def test_mask_planes_keep_their_bits():
    assert [MASK_PLANES[name] for name in ("BAD", "SAT", "NO_DATA", "VIGNETTED", "GHOST", "HALO")] == [
        0,
        1,
        8,
        16,
        17,
        18,
    ]
    assert sorted(MASK_PLANES.values()) == list(range(19))
    assert set(MASK_PLANE_DOCS) == set(MASK_PLANES)


def test_a_column_that_stands_twice_is_refused():
    column = load_schema("source").columns[0]
    with pytest.raises(InputError, match=r"stand twice.*sourceId"):
        TableSchema("mine", 1, "", ("sourceId",), (column, column))
