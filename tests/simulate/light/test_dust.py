import numpy as np
import pytest

from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galactic import from_galactic, to_galactic

_ALL = np.array([np.inf])


def test_galactic_coordinates_are_astropys():
    coordinates = pytest.importorskip("astropy.coordinates")
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    l_deg, b_deg = to_galactic(ra, dec)
    theirs = coordinates.SkyCoord(ra, dec, unit="deg").galactic
    ours = coordinates.SkyCoord(l_deg, b_deg, unit="deg", frame="galactic")
    assert ours.separation(theirs).arcsec.max() < 0.05
    back = from_galactic(l_deg, b_deg)
    np.testing.assert_allclose(np.cos(np.radians(back[0] - ra)), 1.0, atol=1e-9)
    np.testing.assert_allclose(back[1], dec, atol=1e-7)


def test_the_column_at_the_poles_is_that_of_the_maps():
    # Schlegel, Finkbeiner & Davis (1998): median E(B-V) of 0.015 to 0.025 mag above |b| = 80.
    assert 0.012 < Dust().smooth(np.zeros(1), np.array([90.0]), _ALL)[0] < 0.025


def test_the_column_follows_the_cosecant_of_latitude():
    pole, forty = (Dust().smooth(np.array([90.0]), np.array([b]), _ALL)[0] for b in (90.0, 30.0))
    assert forty / pole == pytest.approx(2.0, rel=0.1)


def test_the_column_grows_with_distance_to_its_end():
    distance = np.geomspace(0.01, 50.0, 40)
    column = Dust().smooth(np.full(40, 30.0), np.full(40, 5.0), distance)
    assert (np.diff(column) > 0.0).all()
    assert column[0] == pytest.approx(Dust().excess_per_kpc * 0.01, rel=0.02)


def test_clouds_have_unit_mean_and_the_stated_scatter():
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 4000), np.degrees(np.arcsin(rng.uniform(-1, 1, 4000)))
    clouds = Dust(turbulence=0.3).clouds(ra, dec, 7)
    assert clouds.mean() == pytest.approx(1.0, abs=0.05)
    assert np.log(clouds).std() == pytest.approx(0.3, abs=0.05)


def test_constant_dust_is_constant_and_no_dust_is_none():
    ra = np.linspace(0, 300, 7)
    assert (Dust(constant_excess=0.1).excess(ra, ra * 0, 1.0, 1) == 0.1).all()
    assert (Dust(excess_per_kpc=0.0).excess(ra, ra * 0 + 45, np.inf, 1) == 0.0).all()
