"""A user's own variables, transients, nuclei, flashes, comets and satellites; truth of a survey is such a table."""

from pathlib import Path

import erfa
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etendue.errors import InputError
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.agn import AgnLayer, AgnSpec
from etendue.simulate.population.comet_table import CometTableSpec, make_comet_table
from etendue.simulate.population.comets import CometLayer, CometSpec
from etendue.simulate.population.event_tables import (
    FlashTableSpec,
    NucleusTableSpec,
    TransientTableSpec,
    make_flash_table,
    make_nucleus_table,
    make_transient_table,
)
from etendue.simulate.population.flashes import FlashLayer, FlashSpec
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import tdb_of_tai
from etendue.simulate.population.satellite_shells import kepler
from etendue.simulate.population.satellite_table import SatelliteTableSpec, make_satellite_table
from etendue.simulate.population.transients import TransientClass, TransientLayer, TransientSpec
from etendue.simulate.population.variable_table import VariableTableSpec, make_variable_table
from etendue.simulate.population.variables import VARIABLE_KINDS, VariableLayer, VariableSpec, VariableStars

FIELD = Field(150.0, 12.0, 1.0, 1.0)
SPAN = (60400.0, 60500.0)
VANGUARD = (
    "EPOCH,MEAN_MOTION,ECCENTRICITY,INCLINATION,RA_OF_ASC_NODE,ARG_OF_PERICENTER,MEAN_ANOMALY\n"
    "2000-06-27T18:50:19.733568,10.82419157413667,.1859667,34.2682,348.7242,331.7664,19.3264\n"
)
# Mean of date, from the verification of SGP4 (Vallado et al. 2006, AIAA 2006-6753); minutes and km.
VANGUARD_AT = {
    0: (7022.46529266, -1400.08296755, 0.03995155),
    360: (-7154.03120202, -3783.17682504, -3536.19412294),
    720: (-7134.59340119, 6531.68641334, 3260.27186483),
}


def at(band: str = "i", day: float = 30.3, radius_deg: float = 2.0, mjd: float = SPAN[0]) -> Moment:
    return Moment(lsst_band(band), mjd + day, 30.0, FIELD.ra_deg, FIELD.dec_deg, radius_deg)


def written(folder: Path, layer: object) -> Path:
    path = folder / "truth.parquet"
    columns = layer.objects  # type: ignore[attr-defined]
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)
    return path


def assert_same_sky(one: object, other: object, moments: list[Moment]) -> None:
    lit = 0
    for moment in moments:
        ours, theirs = one.lights(moment), other.lights(moment)  # type: ignore[attr-defined]
        order, again = np.lexsort((ours.dec_deg, ours.ra_deg)), np.lexsort((theirs.dec_deg, theirs.ra_deg))
        np.testing.assert_allclose(theirs.ra_deg[again], ours.ra_deg[order], rtol=0, atol=1e-10)
        np.testing.assert_allclose(theirs.mag[again], ours.mag[order], rtol=0, atol=1e-9)
        lit += len(ours)
    assert lit > 0


def test_the_truth_of_variables_gives_the_same_sky(tmp_path: Path) -> None:
    stars = tuple(VariableStars(kind=kind, count=20) for kind in VARIABLE_KINDS)
    drawn = VariableLayer.make(VariableSpec(first_mjd_tai=SPAN[0], last_mjd_tai=SPAN[1], stars=stars), FIELD, 5)
    read = make_variable_table(VariableTableSpec(path=written(tmp_path, drawn)), SPAN, seed=99)
    assert_same_sky(drawn, read, [at("u"), at("i", 70.2)])


def test_the_truth_of_transients_gives_the_same_sky(tmp_path: Path) -> None:
    kinds = ("sn_ia", "sn_ii", "kilonova", "tde", "afterglow")
    classes = tuple(TransientClass(kind=kind, count=30, largest_redshift=0.3) for kind in kinds)
    drawn = TransientLayer.make(TransientSpec(first_mjd_tai=SPAN[0], last_mjd_tai=SPAN[1], classes=classes), FIELD, 5)
    read = make_transient_table(TransientTableSpec(path=written(tmp_path, drawn)), seed=99)
    assert_same_sky(drawn, read, [at("g"), at("z", 60.0)])


def test_the_truth_of_nuclei_and_flashes_gives_the_same_sky(tmp_path: Path) -> None:
    nuclei = AgnLayer.make(AgnSpec(count=50), FIELD, 5)
    read = make_nucleus_table(NucleusTableSpec(path=written(tmp_path, nuclei)), seed=99)
    assert_same_sky(nuclei, read, [at("g"), at("z", 60.0)])
    spec = FlashSpec(first_mjd_tai=SPAN[0], last_mjd_tai=SPAN[1], during_exposures_mjd_tai=(at().mjd_tai,))
    flashes = FlashLayer.make(spec, FIELD, 5)
    assert_same_sky(flashes, make_flash_table(FlashTableSpec(path=written(tmp_path, flashes))), [at()])


def test_the_truth_of_comets_gives_the_same_sky(tmp_path: Path) -> None:
    comets = CometLayer.make(CometSpec(epoch_mjd_tai=SPAN[0], count=300), FIELD, 5)
    read = make_comet_table(CometTableSpec(path=written(tmp_path, comets)))
    assert_same_sky(comets, read, [at(radius_deg=60.0)])


def test_what_a_table_leaves_open_is_drawn_and_what_it_gives_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "name,kind,ra,dec,mag_r,period_day\na,rr_lyrae,150,12,17,0.5\nb,mira,150.1,12,16,\nc,rr_lyrae,150.2,12,18,\n"
    )
    layer = make_variable_table(VariableTableSpec(path=path), SPAN, seed=1, copy=255)
    table = layer.objects
    by_name = dict(zip(table["mag_r"].tolist(), table["period_day"].tolist(), strict=True))
    assert by_name[17.0] == 0.5
    assert 0.2 < by_name[18.0] < 0.9
    assert 90.0 < by_name[16.0] < 700.0
    number = table["object_id"] - table["object_id"].min()  # rows of the table
    assert table["mag_r"][np.argsort(number)].tolist() == [17.0, 16.0, 18.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind,ra,dec,mag_r\npulsar,1,2,17\n", "column kind, row 0: is not known .got 'pulsar'.*one of rr_lyrae"),
        ("kind,ra,dec\nmira,1,2\n", "no column mag_r"),
        ("kind,ra,dec,mag_r,period_day\nmira,1,2,17,-3\n", "column period_day, row 0: not possible .got -3"),
        ("kind,ra,dec,mag_r\nmira,1,2,\n", "column mag_r, row 0: is not finite"),
    ],
)
def test_bad_variables_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        make_variable_table(VariableTableSpec(path=path), SPAN, seed=1)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_supernova_of_a_table_has_the_brightness_of_its_redshift_and_stretch(tmp_path: Path) -> None:
    path = tmp_path / "sn.csv"
    path.write_text(
        "kind,ra,dec,redshift,reference_mjd_tai,stretch,color,offset_mag,excess\n"
        "sn_ia,150,12,0.05,60430,1.0,0,0,0\nsn_ia,150,12.1,0.05,60430,1.2,0,0,0\n"
    )
    layer = make_transient_table(TransientTableSpec(path=path), seed=1)
    normal, wide = layer.lights(at("g", 30.0)).mag
    assert normal == pytest.approx(-19.3 + 36.7, abs=0.4)
    assert 0.2 < normal - wide < 0.4
    path.write_text("kind,ra,dec,redshift,reference_mjd_tai\nsn_ia,150,12,0,60430\n")
    with pytest.raises(InputError, match="column redshift, row 0: not possible"):
        make_transient_table(TransientTableSpec(path=path), seed=1)


def test_satellites_are_where_sgp4_puts_them_to_15_km(tmp_path: Path) -> None:
    path = tmp_path / "omm.csv"
    path.write_text(VANGUARD)
    tai = 51722.0 + 0.78495062 + 32.0 / 86400.0
    satellites = make_satellite_table(SatelliteTableSpec(path=path), tai - 0.25).satellites
    to_date = erfa.pmat06(2400000.5, tdb_of_tai(tai))
    for minutes, place in VANGUARD_AT.items():
        found = to_date @ satellites.positions_km(np.array([0.25 + minutes / 1440.0]))[0]
        assert np.linalg.norm(found - place) < 15.0


def test_kepler_s_equation_holds_for_all_ellipses() -> None:
    mean, e = np.meshgrid(np.linspace(-7.0, 7.0, 401), [0.0, 1e-3, 0.2, 0.7, 0.95, 0.99], indexing="ij")
    found = kepler(mean, e[0])
    gap = np.remainder(found - e * np.sin(found) - mean + np.pi, 2.0 * np.pi) - np.pi
    assert np.abs(gap).max() < 1e-12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10.82419157413667", "17.9", "meets the ground with its e"),
        (".1859667", "1.2", "column e, row 0: not possible"),
        ("2000-06-27T18:50:19.733568", "yesterday", "does not hold dates"),
        ("MEAN_MOTION", "SPEED", "no column mean_motion_rev_day"),
    ],
)
def test_bad_satellites_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "omm.csv"
    path.write_text(VANGUARD.replace(old, new))
    with pytest.raises(InputError, match=message):
        make_satellite_table(SatelliteTableSpec(path=path), 60000.0)
