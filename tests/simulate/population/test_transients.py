"""Transients on hosts, and fast flashes."""

import numpy as np
import pytest
from pydantic import ValidationError

from etendue.simulate.light.dust import Dust
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.blackbody import blackbody_mag
from etendue.simulate.population.cosmology import comoving_mpc, distance_modulus, events_seen
from etendue.simulate.population.flashes import FlashLayer, FlashSpec
from etendue.simulate.population.hosts import Hosts
from etendue.simulate.population.hot_transients import thermal_mag
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.transients import (
    TRANSIENT_KINDS,
    Events,
    TransientClass,
    TransientLayer,
    TransientSpec,
)
from etendue.simulate.random_streams import stream

FIELD = Field(150.0, 2.0, 1.0, 1.0)
NO_DUST = Dust(constant_excess=0.0)


def spec(**counts: int) -> TransientSpec:
    classes = tuple(TransientClass(kind=kind, count=count, largest_redshift=0.6) for kind, count in counts.items())
    return TransientSpec(first_mjd_tai=60000.0, last_mjd_tai=60365.0, classes=classes, dust=NO_DUST)


def moment(mjd_tai: float = 60100.2, band: str = "g", exposure_time_s: float = 30.0) -> Moment:
    return Moment(lsst_band(band), mjd_tai, exposure_time_s, 150.0, 2.0, 3.0)


def nearby(kind: str, redshift: float, count: int = 400) -> Events:
    """Events of one redshift whose reference time is 0."""
    events = TransientLayer.make(spec(**{kind: count}), FIELD, 3).parts[0]
    common = events.common | {"redshift": np.full(count, redshift), "reference_mjd_tai": np.zeros(count)}
    return Events(kind, common, events.event)


def absolute(events: Events, band: str, day: float) -> np.ndarray:
    rows = np.arange(events.common["redshift"].size)
    return events.mags(lsst_band(band), day, rows)[0] - distance_modulus(events.common["redshift"])


# Brightest absolute AB magnitudes of ordinary events, from the literature: Ia and II-P Richardson et al. (2014, AJ 147,
# 118), AT 2017gfo Drout et al. (2017), disruptions van Velzen et al. (2021).
@pytest.mark.parametrize(
    ("kind", "band", "peak", "days"),
    [
        ("sn_ia", "g", -19.2, np.arange(-10.0, 20.0)),
        ("sn_ia", "i", -18.6, np.arange(-10.0, 20.0)),
        ("sn_ii", "r", -16.8, np.arange(1.0, 40.0)),
        ("kilonova", "i", -15.7, np.arange(0.1, 2.0, 0.1)),
        ("tde", "g", -19.2, np.arange(-10.0, 20.0)),
    ],
)
def test_peak_magnitudes_are_the_published_ones(kind: str, band: str, peak: float, days: np.ndarray) -> None:
    events = nearby(kind, 0.002)
    brightest = np.min([absolute(events, band, day) for day in days], axis=0)
    assert abs(np.median(brightest) - peak) < 0.4


def test_type_ia_decline_by_one_magnitude_in_fifteen_days_and_have_a_second_maximum() -> None:
    events = nearby("sn_ia", 0.002)
    normal = np.abs(events.event["stretch"] - 1.0) < 0.05
    decline = (absolute(events, "g", 15.0) - absolute(events, "g", 0.0))[normal]
    assert 0.6 < np.median(decline) < 1.1  # g lies between B (1.1) and V (0.65)
    y = [np.median(absolute(events, "y", day)[normal]) for day in (0.0, 9.0, 24.0, 50.0)]
    assert y[1] > y[0]
    assert y[2] < y[1]
    assert y[3] > y[2]


def test_stretched_type_ia_are_slower_and_brighter() -> None:
    events = nearby("sn_ia", 0.002)
    events.event["color"][:] = 0.0
    events.event["offset_mag"][:] = 0.0
    order = np.argsort(events.event["stretch"])
    peak = absolute(events, "g", 0.0)
    fall = absolute(events, "g", 15.0) - peak
    assert peak[order[-1]] < peak[order[0]] - 0.3
    assert fall[order[-1]] < fall[order[0]] - 0.3


def test_plateaus_last_and_drop() -> None:
    events = nearby("sn_ii", 0.002)
    r = [np.median(absolute(events, "i", day)) for day in (30.0, 70.0, 150.0, 250.0)]
    assert abs(r[1] - r[0]) < 0.7
    assert 1.0 < r[2] - r[1] < 4.0
    assert 0.6 < r[3] - r[2] < 1.4  # 0.98 mag in 100 days


def test_kilonovae_turn_red_within_days() -> None:
    events = nearby("kilonova", 0.002)
    color = [np.median(absolute(events, "g", day) - absolute(events, "z", day)) for day in (0.5, 1.5, 4.0)]
    assert color[0] < 0.3
    assert color[0] < color[1] < color[2]
    assert color[2] > 2.0


def test_redshift_stretches_time_and_moves_the_spectrum() -> None:
    near, far = nearby("sn_ia", 0.002), nearby("sn_ia", 0.5)
    # g at redshift 0.5 sees rest 320 nm, where type Ia are faint: K-correction.
    assert np.median(absolute(far, "g", 0.0) - absolute(near, "g", 0.0)) > 0.5
    slow = np.median(absolute(far, "i", 22.5) - absolute(far, "i", 0.0))
    fast = np.median(absolute(far, "i", 15.0) - absolute(far, "i", 0.0))
    assert slow > fast > 0.1


def test_nothing_shines_before_the_first_light() -> None:
    for kind in ("sn_ii", "kilonova", "afterglow"):
        assert np.isinf(absolute(nearby(kind, 0.1), "r", -0.01)).all()
    assert np.isinf(absolute(nearby("sn_ia", 0.1), "r", -40.0)).all()


def test_afterglows_fade_as_power_laws_that_break() -> None:
    events = nearby("afterglow", 1.0)
    early = absolute(events, "r", 0.02) - absolute(events, "r", 0.01)
    expected = 2.5 * events.event["decay"] * np.log10(2.0)
    assert np.median(np.abs(early - expected)) < 0.1
    late = absolute(events, "r", 80.0) - absolute(events, "r", 40.0)
    assert np.median(late - 2.5 * (events.event["decay"] + 1.0) * np.log10(2.0)) == pytest.approx(0.0, abs=0.1)


def test_black_bodies_radiate_their_luminosity() -> None:
    # The Sun: 3.828e33 erg/s at 5772 K has M_AB of about 4.7 in r.
    mag = thermal_mag(np.array([3.828e33]), np.array([5772.0]), np.array([[620.0]]))
    assert abs(mag[0, 0] - 4.65) < 0.1
    hot = blackbody_mag(lsst_band("g"), np.array([30000.0])) - blackbody_mag(lsst_band("r"), np.array([30000.0]))
    assert hot[0] < -0.2


def test_transients_follow_the_light_of_their_hosts() -> None:
    n = 200
    rng = np.random.default_rng(1)
    ra, dec = FIELD.scatter(rng, n)
    # Galaxies twice as long as wide, all to the north-east.
    e = (4.0 - 1.0) / (4.0 + 1.0)
    hosts = Hosts(np.arange(n) + 1000, ra, dec, rng.uniform(0.02, 0.5, n), np.full(n, 3.0), np.zeros(n), np.full(n, e))
    layer = TransientLayer.make(spec(sn_ii=20_000, tde=500), FIELD, 3, hosts)
    supernovae, disruptions = (part.common for part in layer.parts)
    row = supernovae["host_id"] - 1000
    np.testing.assert_array_equal(supernovae["redshift"], hosts.redshift[row])
    north = (supernovae["dec_deg"] - dec[row]) * 3600.0
    east = (supernovae["ra_deg"] - ra[row]) * 3600.0 * np.cos(np.radians(dec[row]))
    along, across = (east + north) / np.sqrt(2.0), (east - north) / np.sqrt(2.0)
    assert abs(along.std() / across.std() - 2.0) < 0.1
    elliptical = np.hypot(along / np.sqrt(2.0), across * np.sqrt(2.0))
    assert abs(np.median(elliptical) - 3.0) < 0.1  # half of them within the half-light ellipse
    np.testing.assert_array_equal(disruptions["ra_deg"], ra[disruptions["host_id"] - 1000])


def test_rates_give_numbers_that_go_with_area_and_time() -> None:
    classes = (TransientClass(kind="sn_ia", largest_redshift=0.4, boost=3.0),)
    small = TransientSpec(first_mjd_tai=60000.0, last_mjd_tai=60010.0, classes=classes, dust=NO_DUST)
    count = TransientLayer.make(small, FIELD, 3).objects["object_id"].size
    wide = TransientLayer.make(small, Field(150.0, 2.0, 2.0, 2.0), 3).objects["object_id"].size
    assert abs(wide / count - 4.0) < 1.0
    z, events = events_seen(2.4e4, 1.7, 0.4)
    shell = 4.0 / 3.0 * np.pi * (comoving_mpc(np.array([0.4]))[0] / 1e3) ** 3
    assert 2.4e4 * shell / 1.4 < events[-1] < 2.4e4 * shell * 1.4**0.7
    assert z[-1] == 0.4


def test_lights_are_finite_and_within_the_limit() -> None:
    layer = TransientLayer.make(spec(**dict.fromkeys(TRANSIENT_KINDS, 100)), FIELD, 3)
    for band in "ugrizy":
        lights = layer.lights(moment(band=band))
        assert 0 < len(lights) < 500
        assert np.isfinite(lights.mag).all()
        assert lights.mag.max() < 30.0
        assert np.isfinite(lights.wavelength_nm).all()
    assert set(layer.objects["kind"]) == set(TRANSIENT_KINDS)


def test_no_hosts_or_classes_are_no_transients() -> None:
    assert len(TransientLayer.make(spec(), FIELD, 3).lights(moment())) == 0
    none = np.zeros(0)
    empty = Hosts(np.zeros(0, np.int64), none, none, none, none, none, none)
    assert len(TransientLayer.make(spec(sn_ia=5), FIELD, 3, empty).lights(moment())) == 0


def test_unknown_transients_are_refused() -> None:
    with pytest.raises(ValidationError, match="unknown kind of transient"):
        TransientClass(kind="hypernova")


def test_flashes_give_their_energy_to_the_exposures_that_they_meet() -> None:
    flashes = FlashSpec(
        first_mjd_tai=60000.0, last_mjd_tai=60001.0, during_exposures_mjd_tai=(60000.5,) * 50, longest_s=20.0
    )
    layer = FlashLayer.make(flashes, FIELD, 3)
    step = 30.0 / 86400.0
    total = np.zeros(50)
    for k in range(25):
        lights = layer.lights(moment(60000.5 + (k + 0.5) * step, "g"))
        rows = np.searchsorted(layer.objects["object_id"], lights.object_id)
        total[rows] += 10.0 ** (-0.4 * lights.mag) * 30.0
    color = -2.5 * np.log10(total / layer.objects["decay_s"]) - layer.objects["peak_mag"]
    assert (np.abs(color) < 0.5).all()  # black bodies of 6,000 K and more between 480 and 550 nm
    assert len(layer.lights(moment(60000.4))) == 0


def test_distances_are_those_of_a_flat_universe() -> None:
    from astropy.cosmology import FlatLambdaCDM

    z = np.array([0.01, 0.1, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(distance_modulus(z), FlatLambdaCDM(70.0, 0.3).distmod(z).value, atol=2e-5)


def test_layers_are_pure_functions_of_their_seed() -> None:
    a, b, c = (TransientLayer.make(spec(sn_ia=50), FIELD, seed).objects["stretch"] for seed in (1, 1, 2))
    assert (a == b).all()
    assert not (a == c).any()
    assert stream(1, "transients").random() == stream(1, "transients").random()
