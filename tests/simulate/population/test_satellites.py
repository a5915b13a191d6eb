"""Satellites: streaks through a field, shadow, glints."""

import numpy as np
import pytest

from etendue.camera.camera import Observatory
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg, sky_position
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import AU_KM, observe_from
from etendue.simulate.population.satellite_shells import GM_EARTH_KM3_S2, diffuse_mag, sunlit
from etendue.simulate.population.satellites import SatelliteLayer, SatelliteSpec, Shell

RUBIN = Observatory(name="Rubin", longitude_deg=-70.74942, latitude_deg=-30.24463, elevation_m=2670.0)
FIELD = Field(150.0, 12.0, 2.0, 2.0)
EPOCH = 60400.0
TWILIGHT = 60399.96  # the Sun stands 15 degrees below the horizon of Rubin


def dense(count: int = 200_000, altitude_km: float = 550.0, tumbling: float = 0.0) -> SatelliteLayer:
    shell = Shell(count=count, altitude_km=altitude_km, inclination_deg=53.0, tumbling=tumbling)
    return SatelliteLayer.make(SatelliteSpec(epoch_mjd_tai=EPOCH, shells=(shell,)), FIELD, 4)


def overhead(mjd_tai: float, exposure_time_s: float = 30.0, radius_deg: float = 1.75) -> Moment:
    ra, dec = sky_position(observe_from(mjd_tai, RUBIN).geocentric_au)
    return Moment(lsst_band("r"), mjd_tai, exposure_time_s, float(ra), float(dec), radius_deg, RUBIN)


@pytest.fixture(scope="module")
def layer() -> SatelliteLayer:
    return dense()


def test_streaks_cross_the_field_at_the_speed_of_their_orbit(layer: SatelliteLayer) -> None:
    at = overhead(TWILIGHT, 60.0, 4.0)
    streaks = layer.streaks(at)
    assert streaks.object_id.size > 5
    # Straight overhead at 550 km and 7.6 km/s: 0.79 deg/s, less the Earth's turning.
    assert ((streaks.rate_deg_s > 0.6) & (streaks.rate_deg_s < 0.9)).all()
    whole = (streaks.start_s > -29.5) & (streaks.end_s < 29.5)
    assert whole.any()
    for ra, dec in ((streaks.ra_start_deg, streaks.dec_start_deg), (streaks.ra_end_deg, streaks.dec_end_deg)):
        apart = separation_deg(ra, dec, at.ra_deg, at.dec_deg)[whole]
        assert ((apart >= at.radius_deg) & (apart < at.radius_deg + 0.25)).all()


def test_pieces_join_into_the_streak(layer: SatelliteLayer) -> None:
    at = overhead(TWILIGHT, 30.0, 4.0)
    lights, streaks = layer.lights(at), layer.streaks(at)
    assert set(lights.object_id) == set(streaks.object_id)
    length = np.hypot(lights.rate_ra, lights.rate_dec) * at.exposure_time_s / 3600.0 / 3600.0
    for row, name in enumerate(streaks.object_id):
        mine = lights.object_id == name
        ends = separation_deg(
            streaks.ra_start_deg[row], streaks.dec_start_deg[row], streaks.ra_end_deg[row], streaks.dec_end_deg[row]
        )
        assert abs(length[mine].sum() - ends) < 0.01 * ends
        seconds = streaks.end_s[row] - streaks.start_s[row]
        flux = (10.0 ** (-0.4 * lights.mag[mine])).sum()
        assert abs(flux / (10.0 ** (-0.4 * streaks.mag[row]) * seconds / at.exposure_time_s) - 1.0) < 1e-9
        per_arcsec = -2.5 * np.log10(flux / (length[mine].sum() * 3600.0))
        assert abs(per_arcsec - streaks.mag_arcsec[row]) < 1e-3


def test_a_piece_that_crosses_a_small_circle_between_its_ends_is_there(layer: SatelliteLayer) -> None:
    lights = layer.lights(overhead(TWILIGHT, 30.0, 4.0))
    long = np.argmax(np.hypot(lights.rate_ra, lights.rate_dec))  # from its middle to an end it is 0.05 deg and more
    middle = Moment(lsst_band("r"), TWILIGHT, 30.0, lights.ra_deg[long], lights.dec_deg[long], 0.02, RUBIN)
    near = layer.lights(middle)
    assert lights.object_id[long] in near.object_id
    assert np.hypot(lights.rate_ra[long], lights.rate_dec[long]) * 30.0 / 3600.0 / 3600.0 > 0.1


def test_a_longer_exposure_sees_more_streaks_of_equal_brightness(layer: SatelliteLayer) -> None:
    short, long = layer.streaks(overhead(TWILIGHT, 15.0)), layer.streaks(overhead(TWILIGHT, 120.0))
    assert long.object_id.size > 2 * short.object_id.size
    both = np.isin(short.object_id, long.object_id)
    assert both.all()


def test_low_satellites_are_dark_at_midnight_overhead(layer: SatelliteLayer) -> None:
    observer = observe_from(EPOCH + np.arange(0.0, 1.0, 0.01), RUBIN)
    height = -np.einsum("ij,ij->i", observer.position_au, observer.geocentric_au)
    midnight = EPOCH + 0.01 * int(np.argmin(height))
    assert len(layer.lights(overhead(midnight))) == 0


def test_geostationary_satellites_trail_by_fifteen_arcsec_a_second() -> None:
    shell = Shell(count=3000, altitude_km=35_786.0, inclination_deg=0.01, inclination_spread_deg=0.0, tumbling=0.0)
    layer = SatelliteLayer.make(SatelliteSpec(epoch_mjd_tai=EPOCH, shells=(shell,)), FIELD, 4)
    zenith = overhead(TWILIGHT)
    at = Moment(zenith.bandpass, TWILIGHT, 30.0, zenith.ra_deg, 4.9, 2.0, RUBIN)
    streaks = layer.streaks(at)
    assert streaks.object_id.size > 5
    np.testing.assert_allclose(streaks.rate_deg_s * 3600.0, 15.0, rtol=0.01)


def test_orbits_are_circular_with_keplers_period() -> None:
    satellites = dense(10).satellites
    period = 2.0 * np.pi * np.sqrt(satellites.radius_km**3 / GM_EARTH_KM3_S2) / 86400.0
    days = np.linspace(0.0, 1.0, 50)[:, None]
    radius = np.linalg.norm(satellites.positions_km(days), axis=-1)
    np.testing.assert_allclose(radius, np.broadcast_to(satellites.radius_km, radius.shape), rtol=1e-12)
    again = satellites.positions_km(period) - satellites.positions_km(np.zeros(10))
    assert np.linalg.norm(again, axis=-1).max() < 60.0  # nodes drift by 5 degrees a day


def test_the_shadow_is_a_cone_behind_the_earth() -> None:
    to_sun = np.array([1.0, 0.0, 0.0])
    places = np.array(
        [[7000.0, 0, 0], [-7000.0, 0, 0], [-42164.0, 6000.0, 0], [-42164.0, 6600.0, 0], [-7000.0, 6400.0, 0]]
    )
    share = sunlit(places, to_sun)
    assert share[0] == 1.0
    assert share[1] == 0.0
    assert share[2] == 0.0
    assert share[3] == 1.0
    assert 0.0 < share[4] < 1.0


def test_brightness_falls_with_the_square_of_the_distance() -> None:
    line = np.array([[0.0, 500.0, 0.0], [0.0, 5000.0, 0.0]])
    near, far = diffuse_mag(np.full(2, 6.0), line, np.array([1.0, 0.0, 0.0]))
    assert abs(far - near - 5.0) < 1e-12
    assert abs(near - (6.0 - 5.0 * np.log10(2.0))) < 1e-9  # standard at 1000 km, phase 90 degrees


def test_tumbling_satellites_glint_once_a_period() -> None:
    layer = dense(20_000, altitude_km=9000.0, tumbling=1.0)
    at = overhead(TWILIGHT, 30.0)
    streaks = layer.streaks(at)
    assert streaks.glints.sum() > 0
    rows = np.searchsorted(layer.objects["object_id"], streaks.object_id)
    expected = (streaks.end_s - streaks.start_s) / layer.objects["tumble_s"][rows]
    assert (np.abs(streaks.glints - expected) <= 1.5).all()
    lights = layer.lights(at)
    length = np.hypot(lights.rate_ra, lights.rate_dec) * at.exposure_time_s / 3600.0
    assert (length < 60.0).sum() >= streaks.glints.sum()  # a glint is hardly a trail


def test_satellites_without_a_site_are_refused(layer: SatelliteLayer) -> None:
    with pytest.raises(InputError, match="observatory"):
        layer.lights(Moment(lsst_band("r"), EPOCH, 30.0, 0.0, 0.0, 1.0, None))


def test_no_satellites_are_no_streaks() -> None:
    layer = SatelliteLayer.make(SatelliteSpec(epoch_mjd_tai=EPOCH, shells=()), FIELD, 1)
    assert layer.streaks(overhead(TWILIGHT)).object_id.size == 0
    assert observe_from(EPOCH, RUBIN).geocentric_au.shape == (3,)
    assert abs(np.linalg.norm(observe_from(EPOCH, RUBIN).geocentric_au) * AU_KM - 6376.0) < 5.0
