"""Light curves from a user's tables."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.curve_store import CurveStore
from etendue.simulate.population.light_curve_table import CurveLayer, LightCurveTableSpec, make_light_curve_table
from etendue.simulate.population.moment import Moment

STARS = """name,ra,dec,curve,period_day,epoch_mjd_tai,stretch,mag_offset
pulses,150.0,12.0,saw,0.5,60000,,
fainter,150.1,12.0,saw,0.5,60000,,2.5
nova,150.2,12.0,nova,,60010,2,
"""
CURVES = """curve,band,day,mag
saw,r,0.0,18.0
saw,r,0.5,17.0
saw,g,0.25,18.5
nova,r,0,20
nova,r,1,15
nova,r,5,19
"""


def layer(folder: Path, stars: str = STARS, curves: str = CURVES, **more: object) -> CurveLayer:
    (folder / "stars.csv").write_text(stars)
    (folder / "curves.csv").write_text(curves)
    given_ = {"path": folder / "stars.csv", "curves": folder / "curves.csv", "barycentric": False} | more
    return make_light_curve_table(LightCurveTableSpec.model_validate(given_))


def mags(made: CurveLayer, mjd: float, band: str = "r", seconds: float = 0.0) -> dict[str, float]:
    lights = made.lights(Moment(lsst_band(band), mjd, seconds, 150.1, 12.0, 1.0))
    names = dict(zip(made.objects["object_id"].tolist(), made.objects["name"].tolist(), strict=True))
    return {names[number]: mag for number, mag in zip(lights.object_id.tolist(), lights.mag.tolist(), strict=True)}


def test_periodic_curves_are_folded_closed_and_shared(tmp_path: Path) -> None:
    made = layer(tmp_path)
    for day, expected in ((0.0, 18.0), (0.125, 17.5), (0.25, 17.0), (0.375, 17.5), (7.625, 17.5)):
        found = mags(made, 60000.0 + day)
        assert found["pulses"] == pytest.approx(expected, abs=1e-6)
        assert found["fainter"] == pytest.approx(expected + 2.5, abs=1e-6)
        assert "nova" not in found


def test_a_curve_that_happens_once_is_dark_before_and_after_and_stretched(tmp_path: Path) -> None:
    made = layer(tmp_path)
    assert mags(made, 60011.0)["nova"] == pytest.approx(17.5)
    assert mags(made, 60016.0)["nova"] == pytest.approx(17.0)
    assert "nova" not in mags(made, 60009.99)
    assert "nova" not in mags(made, 60020.01)
    steady = layer(tmp_path, beyond="steady")
    assert mags(steady, 60009.0)["nova"] == pytest.approx(20.0)
    assert mags(steady, 60100.0)["nova"] == pytest.approx(19.0)


def test_bands_without_points_are_dark_and_one_point_is_a_constant(tmp_path: Path) -> None:
    made = layer(tmp_path)
    assert mags(made, 60000.3, "g") == pytest.approx({"pulses": 18.5, "fainter": 21.0})
    assert mags(made, 60000.3, "z") == {}


def test_light_is_averaged_over_the_exposure(tmp_path: Path) -> None:
    made = layer(tmp_path)
    seconds = 0.5 * 86400.0  # a whole period
    flux = np.mean(10.0 ** (-0.4 * np.interp(np.linspace(0, 1, 4001), [0, 0.5, 1], [18.0, 17.0, 18.0])))
    assert mags(made, 60000.2, seconds=seconds)["pulses"] == pytest.approx(-2.5 * np.log10(flux), abs=0.01)


def test_times_are_the_barycentre_s_by_default(tmp_path: Path) -> None:
    moment = Moment(lsst_band("r"), 60000.1, 0.0, 150.1, 12.0, 1.0)
    here, there = layer(tmp_path).lights(moment), layer(tmp_path, barycentric=True).lights(moment)
    delay = (here.mag[0] - there.mag[0]) / 4.0 * 86400.0  # 2 mag per quarter day
    assert 1.0 < abs(delay) < 510.0


@pytest.mark.parametrize(
    ("stars", "curves", "message"),
    [
        (STARS.replace("12.0,nova", "12.0,flare"), CURVES, "column curve, row 2: has no points in .*curves.csv"),
        (STARS, CURVES.replace("r,0.5", "r,1.5"), "column day, curve saw: not a phase .got 1.5"),
        (STARS, CURVES.replace("band", "filter"), "no column band"),
        (STARS, CURVES.replace("5,19", "x,19"), "column day, row 5: does not hold a number"),
        (STARS.replace("60010,2", "60010,0"), CURVES, "column stretch, row 2: not possible"),
    ],
)
def test_what_is_wrong_is_named_by_file_column_and_row(tmp_path: Path, stars: str, curves: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        layer(tmp_path, stars, curves)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_interpolation_is_that_of_each_curve_alone(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = rng.integers(1, 8, 5)
    curve = np.repeat([f"c{k}" for k in range(5)], sizes)
    day, mag = rng.uniform(0.0, 1.0, curve.size), rng.normal(20.0, 1.0, curve.size)
    store = CurveStore.of(curve, np.full(curve.size, "r"), day, mag)
    rows, days, closed = rng.integers(0, 5, 40), rng.uniform(-0.1, 1.1, 40), rng.random(40) < 0.5
    days = np.where(closed, np.clip(days, 0.0, 1.0), days)
    found = store.mags(rows, "r", days, closed, steady=True)
    for k in range(40):
        mine = curve == f"c{rows[k]}"
        order = np.argsort(day[mine])
        x, y = day[mine][order], mag[mine][order]
        if closed[k]:
            x, y = np.concatenate([x - 1.0, x, x + 1.0]), np.tile(y, 3)
        assert found[k] == pytest.approx(np.interp(days[k], x, y), abs=1e-9)
