"""Refraction by colour is that of the standard atmosphere, towards the zenith."""

import erfa
import numpy as np
import pytest

from etendue.simulate.telescope.refraction import colour_shift_arcsec, refraction_arcsec

from .scene import exposure

WAVE = np.array([370.0, 480.0, 620.0, 870.0])


@pytest.mark.parametrize("zenith_deg", [20.0, 45.0, 60.0])
def test_differences_between_colours_are_erfas(zenith_deg):
    slope = np.tan(np.radians(zenith_deg))
    theirs = np.array([a * slope + b * slope**3 for a, b in (erfa.refco(740.0, 10.0, 0.0, w / 1e3) for w in WAVE)])
    ours = refraction_arcsec(WAVE, zenith_deg)
    np.testing.assert_allclose(np.diff(ours), np.diff(np.degrees(theirs) * 3600.0), rtol=0.02)


def test_bluer_sources_move_towards_the_zenith_and_the_reference_stays():
    planned = exposure(zenith_deg=40.0, parallactic_deg=30.0)
    east, north = colour_shift_arcsec(np.array([480.0, 550.0, 620.0]), 550.0, planned)
    assert np.degrees(np.arctan2(east[0], north[0])) == pytest.approx(30.0)
    assert np.degrees(np.arctan2(-east[2], -north[2])) == pytest.approx(30.0)
    assert (east[1], north[1]) == (0.0, 0.0)
