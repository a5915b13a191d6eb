"""Written catalogs do not depend on processes or on other visits, follow the schema, and tell nothing of the truth."""

import filecmp

import numpy as np
import pyarrow.parquet as pq
import pytest

from etendue.errors import InputError
from etendue.geom.ids import unpack_source_ids
from etendue.schema.table_schema import load_schema
from etendue.simulate.catalogs.catalog_maker import CatalogMaker
from etendue.simulate.catalogs.write import write_catalogs
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.survey import Survey
from etendue.table.parquet import read_table

from .skies import maker_of, spec_of

SKY = {
    "stars": {"faintest_mag": 21.0},
    "variables": [{"kind": "rr_lyrae", "count": 400, "brightest": 16.0, "faintest": 18.0}],
    "moving": [{"dynamical_class": "main_belt", "in_field": 15, "h_max": 18.0}],
    "moving_mag_limit": 21.5,
}
CATALOG = {"false_source": {"per_deg2": 1500.0}, "false_dia_source": {"per_deg2": 20_000.0}}
TABLES = {"source": "sourceId", "dia_source": "diaSourceId"}


def spec():
    return spec_of(SKY, CATALOG, bands="rg", nights=2, center=(10.0, 4.3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("catalogs")
    told = []
    rows = write_catalogs(spec(), path, 5, tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    for name, count in rows.items():
        assert sum(len(read_table(file)) for file in (path / name).iterdir()) == count > 0
    return path


def nights(folder, name):
    return sorted((folder / name).glob("*.parquet"))


def test_files_are_tables_of_the_schema(folder):
    for name in ("source", "dia_source", "visit_summary"):
        table = read_table(nights(folder, name)[0])
        schema = load_schema(name)
        assert table.names == tuple(column.name for column in schema.columns)
        keys = list(zip(*(table[key].tolist() for key in schema.primary_key), strict=True))
        assert len(set(keys)) == len(keys)


def test_any_visit_alone_is_the_visit_in_the_whole(folder):
    survey = Survey.plan(spec(), 5)
    exposure = survey.exposures[3]
    made = CatalogMaker(survey).make(exposure)
    for name, key in TABLES.items():
        whole = read_table(nights(folder, name)[1])
        assert whole.take(whole["visit"] == exposure.exposure).content_hash() == made[name].table.content_hash()
        truth = pq.read_table(nights(folder, f"truth/{name}")[1]).to_pydict()
        rows = np.flatnonzero(np.array(truth["visit"]) == exposure.exposure)
        np.testing.assert_array_equal(np.array(truth[key])[rows], made[name].truth[key])
        np.testing.assert_array_equal(np.array(truth["object_id"])[rows], made[name].truth["object_id"])


@pytest.mark.slow
def test_any_number_of_processes_writes_the_same_bytes(folder, tmp_path):
    write_catalogs(spec(), tmp_path, 5, workers=2)
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(names) >= 12
    assert filecmp.cmpfiles(folder, tmp_path, names, shallow=False)[0] == names


def test_another_seed_makes_another_survey(folder):
    other = maker_of(spec(), 6)
    table = read_table(nights(folder, "dia_source")[0])
    rows = other.make(other.survey.exposures[0])["dia_source"].table
    assert rows.content_hash() != table.take(table["visit"] == table["visit"][0]).content_hash()


@pytest.mark.parametrize("name", TABLES)
def test_ids_say_visit_and_detector_and_order_says_place(folder, name):
    table = read_table(nights(folder, name)[0])
    visit, detector, counter = unpack_source_ids(table[TABLES[name]])
    np.testing.assert_array_equal(visit, table["visit"])
    np.testing.assert_array_equal(detector, table["detector"])
    for one in np.unique(visit):
        for chip in np.unique(detector):
            rows = np.flatnonzero((visit == one) & (detector == chip))
            np.testing.assert_array_equal(counter[rows], np.arange(1, rows.size + 1))
            assert (np.diff(table["y"][rows].astype(float)) >= 0.0).all()


@pytest.mark.parametrize("name", TABLES)
def test_nothing_in_the_catalog_tells_objects_from_false_detections(folder, name):
    """Equal columns are filled, errors are one function of measured values, flags are alike."""
    table = read_table(nights(folder, name)[0])
    truth = pq.read_table(nights(folder, f"truth/{name}")[0]).to_pydict()
    own = np.array(truth["lost"]) == ""
    objects = dict(zip(np.array(truth[TABLES[name]])[own].tolist(), np.array(truth["object_id"])[own], strict=True))
    real = np.array([objects[key] for key in table[TABLES[name]].tolist()]) > 0
    assert 20 < real.sum() < len(table) - 20
    for column in table.schema.columns:
        values = table[column.name]
        if values.dtype.kind == "f":
            assert np.isnan(values[real]).all() == np.isnan(values[~real]).all()
            assert np.isnan(values).all() or not np.isnan(values).any()
        elif values.dtype.kind in "bU" and column.name not in ("band", "physical_filter", "isNegative"):
            assert np.unique(values).size == 1
    floats = [column.name for column in table.schema.columns if column.dtype.kind == "f"]
    full = [np.asarray(table[column], np.float32) for column in floats if not np.isnan(table[column]).any()]
    for first in range(len(full)):
        for second in range(first):
            equal = full[first] == full[second]
            assert equal[real].mean() == pytest.approx(equal[~real].mean(), abs=0.15)
    noted = {column.name for column in table.schema.columns if "ObjectId" in column.name or "object_id" in column.name}
    for column in noted:
        assert not table[column].any()
    assert not table.meta


def test_the_summary_says_when_where_and_how_deep(folder):
    table = read_table(nights(folder, "visit_summary")[0])
    maker = maker_of(spec(), 5)
    exposures = {exposure.exposure: exposure for exposure in maker.survey.exposures}
    for row in range(len(table)):
        exposure = exposures[int(table["visit"][row])]
        assert table["magLim"][row] == pytest.approx(maker.depth(exposure).magnitude, abs=0.01)
        assert table["expMidptMJD"][row] == exposure.mjd_tai_mid
        assert abs(table["dec"][row] - exposure.dec_deg) < 0.01
        assert table["xSize"][row] == table["ySize"][row] == 1024
        assert abs(table["urcdec"][row] - table["llcdec"][row]) == pytest.approx(0.142, abs=0.002)


def test_the_truth_holds_the_objects(folder):
    movers = pq.read_table(folder / "truth" / "objects_moving.parquet")
    assert movers.num_rows == 15
    seen = pq.read_table(nights(folder, "truth/dia_source")[0])["object_id"].to_numpy()
    assert np.isin(seen, movers["object_id"].to_numpy()).sum() > 3


def test_no_catalog_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match="no catalog"):
        write_catalogs(spec_of({"flashes": {"count": 1}}, {"source": False, "dia_source": False}), tmp_path)


def test_the_preset_for_movers_is_fourteen_nights_of_pairs():
    preset = load_survey("mops")
    scheduler = preset.cadence.scheduler
    assert scheduler is not None
    assert (scheduler.nights, scheduler.visits_per_night) == (14, 600)
    assert scheduler.pair_min > 0.0
    assert preset.catalog is not None
    assert preset.catalog.false_dia_source.per_deg2 == 450.0
    assert {one.dynamical_class for one in preset.sky.moving} == {"neo", "pha", "main_belt", "hilda", "trojan", "tno"}
