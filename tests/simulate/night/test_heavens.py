"""Sun, moon and horizon agree with astropy."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.shipped import load_camera
from etendue.geom.sphere import separation_deg
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.night.heavens import horizontal, moon_position, sun_position
from etendue.simulate.night.moonlight import moonlight_mag

SITE = load_camera("simcam").observatory
TIMES = 60676.0 + np.arange(0.0, 700.0, 13.7)


@pytest.mark.parametrize(("body", "place", "limit_deg"), [("sun", sun_position, 0.02), ("moon", moon_position, 0.7)])
def test_bodies_are_where_astropy_has_them(body, place, limit_deg):
    with iers.conf.set_temp("auto_download", False):
        true = get_body(body, Time(TIMES, format="mjd", scale="tdb")).transform_to("precessedgeocentric")
        of_date = SkyCoord(true.ra, true.dec).transform_to("icrs")  # only to have plain degrees
    ra, dec = place(TIMES)
    off = separation_deg(ra, dec, of_date.ra.deg, of_date.dec.deg)
    assert off.max() < limit_deg + 0.4  # the equinox of date is a third of a degree from ICRS


@settings(max_examples=20, deadline=None)
@given(ra=st.floats(0.0, 359.9), dec=st.floats(-80.0, 80.0), mjd=st.floats(60676.0, 60700.0))
def test_altitude_and_parallactic_angle_agree_with_spherical_astronomy(ra, dec, mjd):
    found = horizontal(ra, dec, mjd, SITE)
    location = EarthLocation(lon=SITE.longitude_deg * u.deg, lat=SITE.latitude_deg * u.deg, height=0 * u.m)
    with iers.conf.set_temp("auto_download", False):
        frame = AltAz(obstime=Time(mjd, format="mjd", scale="utc"), location=location)
        star = SkyCoord(ra * u.deg, dec * u.deg).transform_to(frame)
        zenith = SkyCoord(alt=90 * u.deg, az=0 * u.deg, frame=frame).transform_to("icrs")
        angle = SkyCoord(ra * u.deg, dec * u.deg).position_angle(zenith).deg
    assert float(found.altitude_deg) == pytest.approx(star.alt.deg, abs=0.4)
    if abs(star.alt.deg) < 80.0:
        assert abs((float(found.parallactic_deg) - angle + 180.0) % 360.0 - 180.0) < 3.0


def test_moonlight_is_brighter_nearer_the_full_moon_and_absent_below_the_horizon():
    band = lsst_band("g")

    def mag(separation=60.0, phase=0.0, zenith=30.0):
        return moonlight_mag(band, separation_deg=separation, phase_deg=phase, moon_zenith_deg=zenith,
                             zenith_deg=20.0, extinction_mag=0.2)  # fmt: skip

    assert mag(30.0) < mag(60.0)
    assert mag(phase=0.0) < mag(phase=60.0) < mag(phase=120.0)
    assert mag(zenith=91.0) == float("inf")
    assert 18.0 < mag() < 20.5  # full moon at 60 deg: about 3 mag above the dark sky
