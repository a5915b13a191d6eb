"""Refraction agrees with other formulae."""

import erfa
import numpy as np

from etendue.kernels.refraction import refraction_arcsec, refractivity


def test_colour_shifts_agree_with_the_independent_formula_of_erfa():
    # erfa.refco: A tan z with the refractivity of Owens-like terms (Hohenkerk and Sinclair 1985) and its own vapour.
    wave = np.array([350.0, 400.0, 450.0, 600.0, 700.0, 800.0, 900.0])
    for pressure, temperature, humidity in ((740.0, 10.0, 0.3), (1013.0, 0.0, 0.0), (620.0, -5.0, 0.9)):
        air = {"pressure_hpa": pressure, "temperature_c": temperature, "relative_humidity": humidity}
        found = refraction_arcsec(wave, 45.0, **air) - refraction_arcsec(500.0, 45.0, **air)
        a, _ = erfa.refco(pressure, temperature, humidity, wave / 1000.0)
        reference, _ = erfa.refco(pressure, temperature, humidity, 0.5)
        np.testing.assert_allclose(found, np.degrees(a - reference) * 3600.0, rtol=0.02)


def test_standard_air_has_the_index_of_edlens_formula():
    # Filippenko's equation 1 itself, at 15 C and 760 mm Hg; equation 2 is within 2e-5 of one there.
    standard = 64.328 + 29498.1 / (146.0 - 4.0) + 255.4 / (41.0 - 4.0)
    found = refractivity(500.0, pressure_hpa=1013.25, temperature_c=15.0) * 1e6
    np.testing.assert_allclose(found, standard, rtol=5e-5)


def test_nothing_is_refracted_at_the_zenith():
    assert refraction_arcsec(400.0, 0.0, pressure_hpa=740.0, temperature_c=10.0) == 0.0
