"""Variable stars and active nuclei."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from etendue.kernels.random_walk import damped_walk, flare_flux
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.active_stars import draw_spotted, spot_change
from etendue.simulate.population.agn import AgnLayer, AgnSpec, agn_change
from etendue.simulate.population.eclipsing import (
    covered,
    draw_eclipsing,
    eclipsing_change,
    overlap_area,
)
from etendue.simulate.population.hosts import Hosts
from etendue.simulate.population.layer import Columns, Field
from etendue.simulate.population.long_period import draw_miras, mira_change
from etendue.simulate.population.microlensing import draw_microlensing, magnification, microlensing_change
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.moment_table import moment_table
from etendue.simulate.population.pulsators import cepheid_change, draw_cepheids, draw_rr_lyrae, rr_lyrae_change
from etendue.simulate.population.variable_kind import Look
from etendue.simulate.population.variables import VARIABLE_KINDS, VariableLayer, VariableSpec, VariableStars, draw_mags
from etendue.simulate.random_streams import stream

FIELD = Field(150.0, 2.0, 1.0, 1.0)
SPAN = (60000.0, 60365.0)


def repeated(star: Columns, row: int, count: int) -> Columns:
    return {name: np.repeat(column[row], count) for name, column in star.items()}


def look(times: np.ndarray, band: str = "g", exposure_time_s: float = 30.0) -> Look:
    return Look(lsst_band(band), times, exposure_time_s, np.zeros(times.size))


def moment(mjd_tai: float = 60100.2, band: str = "g", radius_deg: float = 3.0, exposure_time_s: float = 30.0) -> Moment:
    return Moment(lsst_band(band), mjd_tai, exposure_time_s, 150.0, 2.0, radius_deg)


@pytest.fixture(scope="module")
def layer() -> VariableLayer:
    stars = tuple(VariableStars(kind=kind, count=200) for kind in VARIABLE_KINDS)
    return VariableLayer.make(VariableSpec(first_mjd_tai=SPAN[0], last_mjd_tai=SPAN[1], stars=stars), FIELD, 7)


def test_every_kind_shines_in_every_band(layer: VariableLayer) -> None:
    for band in "ugrizy":
        lights = layer.lights(moment(band=band))
        assert len(lights) == 200 * len(VARIABLE_KINDS)
        assert np.isfinite(lights.mag).all()
        assert (np.abs(lights.wavelength_nm - lsst_band(band).pivot_nm) < 60.0).all()


def test_magnitudes_do_not_depend_on_the_circle_or_the_order(layer: VariableLayer) -> None:
    whole = layer.lights(moment())
    layer.lights(moment(60200.0))
    part = layer.lights(moment(radius_deg=0.5))
    assert 0 < len(part) < len(whole)
    rows = np.searchsorted(whole.object_id, part.object_id)
    np.testing.assert_array_equal(whole.mag[rows], part.mag)


def test_the_mean_in_r_is_the_magnitude_of_the_table() -> None:
    stars = (VariableStars(kind="rr_lyrae", count=300),)
    dusty = Dust(constant_excess=0.3)
    spec = VariableSpec(first_mjd_tai=SPAN[0], last_mjd_tai=SPAN[1], stars=stars, dust=dusty)
    layer = VariableLayer.make(spec, FIELD, 7)
    mags = np.mean([layer.lights(moment(60000.0 + 0.137 * k, "r")).mag for k in range(150)], axis=0)
    assert np.median(np.abs(mags - layer.objects["mag_r"])) < 0.02


def test_truth_has_a_row_per_star(layer: VariableLayer) -> None:
    objects = layer.objects
    assert next(iter(objects)) == "object_id"
    assert {column.size for column in objects.values()} == {200 * len(VARIABLE_KINDS)}
    assert np.unique(objects["object_id"]).size == objects["object_id"].size
    assert np.isnan(objects["radius_1"][objects["kind"] == "mira"]).all()


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValidationError, match="unknown kind of variable star"):
        VariableStars(kind="nova", count=1)


def test_pulsators_repeat_and_rise_faster_than_they_fall() -> None:
    for draw, change in ((draw_rr_lyrae, rr_lyrae_change), (draw_cepheids, cepheid_change)):
        star = draw(stream(1, "x"), 50, SPAN)
        fast = []
        for row in range(50):
            one = repeated(star, row, 400)
            times = 60000.0 + np.arange(400) / 400.0 * star["period_day"][row]
            curve = change(one, look(times))
            np.testing.assert_allclose(curve, change(one, look(times + 7.0 * star["period_day"][row])), atol=1e-6)
            brightest = int(np.argmin(curve))
            faintest = int(np.argmax(curve))
            fast.append(((brightest - faintest) % 400) / 400.0)
        assert np.median(fast) < 0.4


def test_rr_lyrae_amplitudes_fall_towards_the_red() -> None:
    star = draw_rr_lyrae(stream(1, "x"), 100, SPAN)
    star["first_overtone"][:] = False
    times = 60000.0 + np.linspace(0.0, 3.0, 600)
    size = [
        np.mean([np.ptp(rr_lyrae_change(repeated(star, row, 600), look(times, band))) for row in range(20)])
        for band in "grizy"
    ]
    assert (np.diff(size) < 0.0).all()
    wanted = np.mean([star["amplitude_mag"][row] for row in range(20)])
    assert abs(size[0] / wanted - 1.0) < 0.1


@pytest.mark.realdata
def test_rr_lyrae_look_like_those_of_stripe_82(shared_data: Path) -> None:
    """25 stars at their periods, amplitude, phase and mean fitted: median residual < 0.03 mag in g."""
    misses = []
    with tarfile.open(shared_data / "rrlyrae_s82.tar.xz") as archive:
        periods = list(csv.DictReader(_text(archive, "RRLyrae/periods.csv")))[::10]
        for line in periods:
            file = _text(archive, f"RRLyrae/light-curves/{line['Num']}.csv")
            rows = [row for row in csv.DictReader(file) if row["band"] == "g"]
            times, mag = (np.array([float(row[name]) for row in rows]) for name in ("time", "mag"))
            good = mag > 10.0
            misses.append(_best_fit(times[good], mag[good], float(line["Per"]), line["Type"] == "c"))
    assert len(misses) == 25
    assert np.median(misses) < 0.03


def _text(archive: tarfile.TarFile, name: str) -> io.TextIOWrapper:
    file = archive.extractfile(name)
    assert file is not None
    return io.TextIOWrapper(file)


def _best_fit(times: np.ndarray, mag: np.ndarray, period: float, overtone: bool) -> float:
    amplitude, phase = (part.ravel() for part in np.meshgrid(np.arange(0.3, 1.7, 0.1), np.arange(0.0, 1.0, 0.02)))
    star = {
        "first_overtone": np.full(amplitude.size, overtone),
        "period_day": np.full(amplitude.size, period),
        "amplitude_mag": amplitude,
        "phase": phase,
    }
    curves = np.array([rr_lyrae_change(star, look(np.full(amplitude.size, time))) for time in times])
    left = mag[:, None] - curves
    return float(np.median(np.abs(left - np.median(left, axis=0)), axis=0).min())


def test_overlap_of_circles_is_that_of_a_fine_grid() -> None:
    x, y = np.meshgrid(np.linspace(-2.0, 2.0, 1601), np.linspace(-2.0, 2.0, 1601))
    cell = (4.0 / 1600.0) ** 2
    for apart, r1, r2 in ((0.5, 1.0, 0.6), (1.2, 1.0, 0.6), (0.1, 1.0, 0.6), (1.7, 1.0, 0.6), (0.0, 0.5, 0.5)):
        both = (np.hypot(x, y) < r1) & (np.hypot(x - apart, y) < r2)
        area = overlap_area(np.array([apart]), np.array([r1]), np.array([r2]))[0]
        assert abs(area - both.sum() * cell) < 0.005


def test_limb_darkening_deepens_central_transits() -> None:
    apart, behind, front = np.array([0.0, 0.95]), np.ones(2), np.full(2, 0.1)
    flat, dark = covered(apart, behind, front, 0.0), covered(apart, behind, front, 0.6)
    np.testing.assert_allclose(flat[0], 0.01)
    assert dark[0] > 1.15 * flat[0]
    assert dark[1] < flat[1]
    assert covered(np.array([0.2]), np.array([0.5]), np.array([0.9]), 0.6)[0] == pytest.approx(1.0)


def test_both_eclipses_are_seen_and_the_hotter_star_makes_the_deeper_one() -> None:
    star = draw_eclipsing(stream(3, "x"), 300, SPAN)
    star["cos_inclination"][:] = 0.0
    n = 2000
    for row in range(0, 300, 20):
        times = (np.arange(n) / n - star["phase"][row]) * star["period_day"][row]
        curve = eclipsing_change(repeated(star, row, n), look(times, "g"))
        # Turns 0 are near the conjunction with the first star behind, turns 1/2 near the other.
        assert curve.max() > 0.05
        if star["e_along"][row] == 0.0 and star["e_ahead"][row] == 0.0:
            first, second = curve[0], curve[n // 2]
            assert first > second > 1e-3
            assert abs(curve[n // 4]) < 0.15


def test_eccentric_orbits_obey_kepler() -> None:
    star = draw_eclipsing(stream(3, "x"), 200, SPAN)
    e = np.hypot(star["e_along"], star["e_ahead"])
    row = int(np.argmax(e))
    star["cos_inclination"][:] = 0.0
    n = 20_000
    times = (np.arange(n) / n - star["phase"][row]) * star["period_day"][row]
    curve = eclipsing_change(repeated(star, row, n), look(times, "i"))
    dark = curve > np.median(curve) + 0.02
    turns = np.flatnonzero(dark) / n
    steps = np.flatnonzero(np.diff(turns) > 0.05)
    assert steps.size in (1, 2)
    parts = np.split(turns, steps + 1)
    if len(parts) == 3:  # one eclipse spans the end of the cycle
        parts = [np.concatenate([parts[2] - 1.0, parts[0]]), parts[1]]
    apart = np.median(parts[1]) - np.median(parts[0])
    # Time between the conjunctions (Hilditch 2001, An Introduction to Close Binary Stars, eq. 5.67).
    angle = np.pi - 2.0 * np.arctan(star["e_ahead"][row] / np.sqrt(1.0 - e[row] ** 2))
    assert abs(apart - (angle - np.sin(angle)) / (2.0 * np.pi)) < 2e-3


def test_microlensing_is_paczynskis_curve() -> None:
    u = np.array([0.1, 1.0, 10.0])
    np.testing.assert_allclose(magnification(u), (u**2 + 2.0) / (u * np.sqrt(u**2 + 4.0)))
    star = draw_microlensing(stream(1, "x"), 20, SPAN)
    star["source_share"][:] = 1.0
    peak = microlensing_change(star, look(star["peak_mjd_tai"], "r"))
    np.testing.assert_allclose(peak, -2.5 * np.log10(magnification(star["impact"])))
    before, after = (
        microlensing_change(star, look(star["peak_mjd_tai"] + k * star["crossing_day"], "r")) for k in (-1.0, 1.0)
    )
    np.testing.assert_allclose(before, after)
    star["source_share"][:] = 0.2
    assert (microlensing_change(star, look(star["peak_mjd_tai"], "r")) > peak).all()


def test_miras_are_continuous_and_different_every_cycle() -> None:
    star = repeated(draw_miras(stream(1, "x"), 1, SPAN), 0, 40_000)
    times = np.linspace(50000.0, 54000.0, 40_000)
    curve = mira_change(star, look(times, "r"))
    assert np.abs(np.diff(curve)).max() < 0.02
    peaks = curve[1:-1][(curve[1:-1] < curve[:-2]) & (curve[1:-1] <= curve[2:])]
    assert 8 < peaks.size < 45
    assert peaks.std() > 0.05


def test_spots_only_dim_and_turn_with_the_star() -> None:
    star = draw_spotted(stream(1, "x"), 300, SPAN)
    curves = np.array([spot_change(star, look(np.full(300, 60000.0 + t), "g")) for t in np.linspace(0.0, 30.0, 60)])
    assert (curves >= 0.0).all()
    red = np.array([spot_change(star, look(np.full(300, 60000.0 + t), "y")) for t in np.linspace(0.0, 30.0, 60)])
    moving = np.ptp(curves, axis=0) > 0.003
    assert moving.mean() > 0.5
    assert (np.ptp(curves, axis=0)[moving] > np.ptp(red, axis=0)[moving]).all()


def test_flares_come_at_their_rate_and_carry_their_energy() -> None:
    # Mean flux = rate x mean(peak x width) x integral of the template.
    n = 4000
    words = stream(1, "x").integers(0, 2**63, n, dtype=np.uint64)
    rate, smallest, width = np.full(n, 3.0), np.full(n, 0.01), np.full(n, 0.001)
    out = np.empty(n)
    flare_flux(out, words, rate, smallest, width, np.full(n, 60000.25), 0.5)
    t = np.linspace(-1.0, 0.0, 20001)
    rise = np.trapezoid(1.0 + 1.941 * t - 0.175 * t**2 - 2.246 * t**3 - 1.125 * t**4, t)
    template = rise + 0.6890 / 1.600 + 0.3030 / 0.2783
    u = (np.arange(200_000) + 0.5) / 200_000
    mean = np.mean((1.0 / (1.0 - 0.999 * u)) ** 1.3)
    expected = 3.0 * 0.01 * 0.001 * mean * template
    scatter = out.std() / np.sqrt(n)
    assert abs(out.mean() - expected) < 4.0 * scatter


def test_short_exposures_average_to_a_long_one() -> None:
    n, parts = 500, 10
    words = stream(1, "x").integers(0, 2**63, n, dtype=np.uint64)
    rate, smallest, width = np.full(n, 20.0), np.full(n, 0.01), np.full(n, 0.002)

    def flux(time: float, exposure: float) -> np.ndarray:
        out = np.empty(n)
        flare_flux(out, words, rate, smallest, width, np.full(n, time), exposure)
        return out

    step = 0.02 / parts
    short = [flux(60000.3 + (k - 4.5) * step, step) for k in range(parts)]
    np.testing.assert_allclose(np.mean(short, axis=0), flux(60000.3, 0.02), rtol=1e-6, atol=1e-12)


def test_damped_walks_have_their_correlation() -> None:
    n, tau = 40_000, 80.0
    words = stream(1, "x").integers(0, 2**63, n, dtype=np.uint64)

    def walk(time: float) -> np.ndarray:
        out = np.empty(n)
        damped_walk(out, words, np.full(n, tau), np.full(n, time))
        return out

    first = walk(60000.1)
    error = 1.0 / np.sqrt(n)
    assert abs(first.mean()) < 4.0 * error
    assert abs(first.var() - 1.0) < 4.0 * np.sqrt(2.0) * error
    for lag in (0.03, 1.0, 20.0, 80.0, 300.0):
        later = walk(60000.1 + lag)
        wanted = np.exp(-lag / tau)
        assert abs(np.mean(first * later) - wanted) < 6.0 * error
        assert abs(np.var(later - first) / (2.0 * (1.0 - wanted)) - 1.0) < 6.0 * np.sqrt(2.0) * error
    np.testing.assert_array_equal(first, walk(60000.1))


def test_damped_walks_are_continuous() -> None:
    times = 60000.0 + np.arange(20_000) / 4096.0
    out = np.empty(times.size)
    damped_walk(out, np.full(times.size, 12345, np.uint64), np.full(times.size, 50.0), times)
    assert np.abs(np.diff(out)).max() < 0.02


def test_bands_of_an_agn_follow_one_another() -> None:
    agn = AgnLayer.make(AgnSpec(count=50), FIELD, 3).objects
    times = np.linspace(60000.0, 62000.0, 300)
    u, i = (np.array([agn_change(agn, lsst_band(band).pivot_nm, np.full(50, time)) for time in times]) for band in "ui")
    together = [np.corrcoef(u[:, k], i[:, k])[0, 1] for k in range(50)]
    assert np.median(together) > 0.9
    assert (u.std(axis=0) > i.std(axis=0)).mean() > 0.9


def test_agn_sit_in_their_hosts() -> None:
    n = 30
    east = np.linspace(-0.5, 0.5, n)
    ra, dec = FIELD.to_sky(east, np.zeros(n))
    hosts = Hosts(np.arange(n) + 5, ra, dec, np.linspace(0.1, 2.0, n), np.ones(n), np.zeros(n), np.zeros(n))
    agn = AgnLayer.make(AgnSpec(count=10), FIELD, 3, hosts).objects
    row = agn["host_id"] - 5
    np.testing.assert_array_equal(agn["ra_deg"], ra[row])
    np.testing.assert_array_equal(agn["redshift"], hosts.redshift[row])
    assert np.unique(row).size == 10


def test_a_table_of_moments_holds_light_curves(layer: VariableLayer) -> None:
    moments = [moment(60100.0 + k, band) for k, band in enumerate("gri")]
    table = moment_table(layer, moments)
    assert {column.size for column in table.values()} == {3 * 200 * len(VARIABLE_KINDS)}
    assert table["band"][:3].tolist() == ["g", "r", "i"]
    assert table["mag"][0] == layer.lights(moments[0]).mag[0]
    assert moment_table(layer, [])["object_id"].size == 0


def test_magnitudes_follow_their_power_law() -> None:
    mags = draw_mags(stream(1, "x"), 100_000, 18.0, 22.0, 0.3)
    counts, _ = np.histogram(mags, [18.0, 19.0, 20.0, 21.0, 22.0])
    np.testing.assert_allclose(counts[1:] / counts[:-1], 10.0**0.3, rtol=0.06)
    flat = draw_mags(stream(1, "x"), 100_000, 18.0, 22.0, 0.0)
    assert abs(flat.mean() - 20.0) < 0.02
