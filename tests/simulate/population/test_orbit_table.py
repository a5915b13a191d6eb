"""Orbits from a user's table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etendue.errors import InputError
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.moving import BodyClass, MovingLayer, MovingSpec
from etendue.simulate.population.orbit_table import OrbitTableSpec, make_orbit_table

CERES = (
    "a,e,inclination_deg,node_deg,peri_deg,mean_anomaly_deg,epoch_mjd_tdb,h_mag\n"
    "2.7666,0.0786,10.587,80.27,73.53,334.33,59800,3.33\n"
)
FIELD = Field(150.0, 12.0, 2.0, 2.0)


def write(folder: Path, text: str) -> Path:
    path = folder / "orbits.csv"
    path.write_text(text)
    return path


def test_elements_with_a_mean_anomaly_are_read(tmp_path: Path) -> None:
    layer = make_orbit_table(OrbitTableSpec(path=write(tmp_path, CERES), rename={"a_au": "a"}))
    lights = layer.lights(Moment(lsst_band("r"), 59800.0, 30.0, 0.0, 0.0, 180.0))
    assert len(lights) == 1
    assert 6.5 < lights.mag[0] < 9.5
    np.testing.assert_allclose(layer.bodies.orbits.a_au, 2.7666)


def test_the_truth_of_a_survey_gives_the_same_sky(tmp_path: Path) -> None:
    classes = tuple(BodyClass(dynamical_class=name, count=200) for name in ("neo", "tno"))
    drawn = MovingLayer.make(MovingSpec(epoch_mjd_tai=60400.0, classes=classes), FIELD, 3)
    path = tmp_path / "truth.parquet"
    pq.write_table(pa.table({name: pa.array(column) for name, column in drawn.objects.items()}), path)
    read = make_orbit_table(OrbitTableSpec(path=path))
    at = Moment(lsst_band("i"), 60410.3, 30.0, 150.0, 12.0, 60.0)
    ours, theirs = drawn.lights(at), read.lights(at)
    np.testing.assert_allclose(theirs.ra_deg, ours.ra_deg, atol=1e-9)
    np.testing.assert_allclose(theirs.mag, ours.mag, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("h_mag", "absolute", "no column h_mag"),
        ("0.0786", "-0.1", "column e, row 0: not possible"),
        ("0.0786", "1.2", "column a_au, row 0: is no orbit with its e"),
        ("0.0786", "x", "column e, row 0: does not hold a number .got .x."),
        ("334.33", "nan", "column mean_anomaly_deg, row 0: is not finite"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, CERES.replace(old, new))
    with pytest.raises(InputError, match=message):
        make_orbit_table(OrbitTableSpec(path=path, rename={"a_au": "a"}))


def test_unknown_types_and_names_are_refused(tmp_path: Path) -> None:
    typed = "spectral_type," + CERES.replace("\n2.7", "\nX,2.7")
    with pytest.raises(InputError, match="column spectral_type, row 0: is not known"):
        make_orbit_table(OrbitTableSpec(path=write(tmp_path, typed), rename={"a_au": "a"}))
    with pytest.raises(InputError, match="no column semimajor"):
        make_orbit_table(OrbitTableSpec(path=write(tmp_path, CERES), rename={"a_au": "semimajor"}))
