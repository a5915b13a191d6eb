import numpy as np
import pytest

from etendue.errors import InputError
from etendue.simulate.light.air import Air
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dark_sky import dark_sky_mag
from etendue.simulate.light.lsst_bands import BANDS, lsst_band, read_bandpass

_LSST_AREA_M2 = 32.4


def test_zero_points_are_those_of_smtn_002():
    published = {"u": 26.52, "g": 28.51, "r": 28.36, "i": 28.17, "z": 27.78, "y": 26.82}
    for name, value in published.items():
        assert abs(Air().zero_point(lsst_band(name), 1.0, _LSST_AREA_M2) - value) < 0.05, name


def test_extinction_at_the_zenith_is_that_of_smtn_002():
    published = {"u": 0.50, "g": 0.21, "r": 0.13, "i": 0.10, "z": 0.07, "y": 0.17}
    for name, value in published.items():
        assert abs(Air().extinction(lsst_band(name), 1.0) - value) < 0.03, name


def test_extinction_grows_with_airmass_and_vanishes_without_air():
    air = Air()
    for name in BANDS:
        one, two = (air.extinction(lsst_band(name), x) for x in (1.0, 2.0))
        assert one < two < 2.0 * one + 1e-9
    none = Air(pressure_hpa=1e-12, aerosol_depth=0.0, ozone_du=0.0, water_mm=0.0)
    assert abs(none.extinction(lsst_band("g"), 3.0)) < 1e-6


def test_half_power_points_are_the_cameras():
    for name, blue, red in (("g", 401.5, 551.9), ("r", 552.0, 691.0), ("i", 691.0, 818.0), ("z", 818.0, 923.5)):
        band = lsst_band(name)
        bright = band.wavelength_nm[band.throughput > 0.5 * band.throughput.max()]
        assert abs(bright[0] - blue) < 2.0
        assert abs(bright[-1] - red) < 2.0


def test_pivots_are_within_five_nm_of_the_lssts():
    published = {"u": 367.0, "g": 479.5, "r": 622.2, "i": 754.1, "z": 868.1, "y": 971.3}
    for name, value in published.items():
        assert abs(lsst_band(name).pivot_nm - value) < 5.0, name


def test_the_dark_sky_brightens_towards_the_horizon():
    assert dark_sky_mag(lsst_band("r")) == pytest.approx(21.2, abs=0.05)
    assert 0.2 < dark_sky_mag(lsst_band("r"), 1.0) - dark_sky_mag(lsst_band("r"), 2.0) < 0.7


def test_a_users_bandpass_is_read(tmp_path):
    path = tmp_path / "vr.txt"
    path.write_text("# nm electrons\n500 0.0\n510 0.5\n690 0.5\n700 0.0\n")
    band = read_bandpass(path, "VR")
    assert band.at(np.array([600.0, 900.0])).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5000 0.1\n6000 0.2\n", "wavelengths must rise"),
        ("500 0.1\n400 0.2\n", "wavelengths must rise"),
        ("500 10\n600 20\n", "throughputs must lie"),
        ("500\n600\n", "two finite columns"),
        ("a b\n", "not a table"),
    ],
)
def test_a_bad_bandpass_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_bandpass(path, "X")


def test_an_unknown_band_is_refused():
    with pytest.raises(InputError, match="no such band"):
        lsst_band("w")


def test_a_flat_source_yields_what_the_definition_says():
    band = Bandpass("box", np.array([500.0, 600.0]), np.array([1.0, 1.0]))
    # 3631 Jy: photons per second, area and relative bandwidth are 5.48e10 / m**2 (Bessell & Murphy 2012, table 3).
    assert band.electrons_per_second(1.0) == pytest.approx(5.48e10 * np.log(1.2), rel=2e-3)


@pytest.mark.parametrize(("band", "close"), [("u", 0.010), ("g", 0.006), ("r", 0.003), ("i", 0.003), ("z", 0.006)])
def test_the_air_dims_hot_and_cool_sources_as_the_integral_over_their_spectra(band, close):
    air, bandpass = Air(), lsst_band(band)
    slope, reference = air.colour_slope(bandpass, 1.8)
    wave = np.arange(bandpass.wavelength_nm[0], bandpass.wavelength_nm[-1], 0.5)
    for power in (-2.0, 0.0, 3.0):  # of f_nu over wavelength; 0 is constant f_nu
        photons = bandpass.at(wave) / wave * (wave / 600.0) ** power
        left = np.trapezoid(photons * air.transmission(wave, 1.8), wave) / np.trapezoid(photons, wave)
        mean = np.trapezoid(photons * wave, wave) / np.trapezoid(photons, wave)
        extinction = air.extinction(bandpass, 1.8) + slope * (mean - reference)
        assert extinction == pytest.approx(-2.5 * np.log10(left), abs=close)
