import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from etendue.errors import InputError
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.user_table import TableSpec, make_table

_CSV = """name,ra,dec,mag_g,mag_r,half_light,sersic,e1,pm_ra
star,10.0,20.0,18.0,17.5,,,,3600000
galaxy,10.01,20.0,20.0,,0.8,4.0,0.3,0
dark,10.0,20.01,,21.0,0,1,0,0
"""


def _moment(band):
    return Moment(lsst_band(band), 57388.5 + 365.25, 30.0, 10.0, 20.0, 0.5)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(_CSV)
    return path


def test_a_table_shines_as_it_says(table):
    layer = make_table(TableSpec(path=table))
    lights = layer.lights(_moment("g"))
    assert lights.mag.tolist() == [18.0, 20.0]
    assert lights.shape.tolist() == [-1, 0]
    assert (lights.shapes.half_light[0], lights.shapes.sersic[0], lights.shapes.e1[0]) == (0.8, 4.0, 0.3)
    assert layer.lights(_moment("r")).mag.tolist() == [17.5, 21.0]
    assert layer.objects["name"].tolist() == ["star", "galaxy", "dark"]


def test_proper_motion_is_applied(table):
    moved, still = make_table(TableSpec(path=table)).lights(_moment("g")).ra_deg
    assert (moved - 10.0) * np.cos(np.radians(20.0)) * 3600 == pytest.approx(3600.0, rel=1e-3)
    assert still == pytest.approx(10.01, abs=1e-12)


@pytest.mark.parametrize("kind", ["parquet", "fits"])
def test_other_formats_hold_the_same(tmp_path, kind):
    columns = {"alpha": np.array([1.0, 2.0]), "dec": np.array([3.0, 4.0]), "i": np.array([20.0, 21.0])}
    path = tmp_path / f"mine.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(columns), path)
    else:
        Table(columns).write(path)
    layer = make_table(TableSpec(path=path, rename={"ra": "alpha", "mag_i": "i"}))
    assert layer.objects["ra"].tolist() == [1.0, 2.0]
    assert layer.magnitudes(lsst_band("i"))[0].tolist() == [20.0, 21.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ra,mag_g\n1,20\n", "no column dec"),
        ("ra,dec,g\n1,2,20\n", "no column mag_<band>"),
        ("ra,dec,mag_g\n1,95,20\n", "column dec, row 0"),
        ("ra,dec,mag_g\nx,5,20\n", "column ra, row 0: does not hold a number"),
        ("ra,dec,mag_g,half_light,sersic\n1,5,20,1,9\n", "column sersic, row 0"),
        ("ra,dec,mag_g,half_light,e1\n1,5,20,1,1.2\n", "column e1, row 0"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        make_table(TableSpec(path=path))


def test_a_missing_band_is_named(table):
    with pytest.raises(InputError, match="no column mag_z"):
        make_table(TableSpec(path=table)).lights(_moment("z"))
    with pytest.raises(InputError, match="no column b"):
        make_table(TableSpec(path=table, rename={"ra": "b"}))
