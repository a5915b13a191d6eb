import numpy as np
import pytest

from etendue.errors import InputError
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.galaxy_spectra import active_nucleus_spectra, galaxy_spectra
from etendue.simulate.light.lsst_bands import BANDS, lsst_band
from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.light.sed_grid import SedGrid, magnitude
from etendue.simulate.light.star_spectra import (
    effective_temperature,
    locus_colors,
    star_spectra,
    white_dwarf_spectra,
)
from etendue.simulate.light.user_spectra import read_spectra


def _colors(grid, first, second):
    first, second = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
    mag = np.stack([grid.photometry(lsst_band(name), first, second)[0] for name in BANDS], axis=-1)
    return -np.diff(mag, axis=-1)


def test_a_source_of_constant_f_nu_has_no_colour():
    wave = np.arange(250.0, 1251.0)
    mag = [float(magnitude(wave, wave**-2.0, lsst_band(name))) for name in BANDS]
    np.testing.assert_allclose(mag, mag[0], atol=1e-4)


def test_synthetic_colours_of_stars_lie_on_the_locus():
    color_gi = np.linspace(-0.9, 4.4, 300)
    have = _colors(star_spectra(), color_gi, np.full(300, -0.5))
    assert np.abs(have - locus_colors(color_gi, np.full(300, -0.5))).max() < 0.01


def test_the_locus_is_that_of_stripe_82():
    # Medians of 3981 stars of the Stripe 82 standard star catalog (Ivezic et al. 2007, AJ 134, 973; v4.2) at b = -48 in
    # bins of g-i: g-i, u-g, g-r, r-i in SDSS bands, with A_r = 0.237 as in Berry et al. (2012, ApJ 757, 166), table 1.
    dust = np.array([0.641, 0.41, 0.40, 0.241]) * 0.237
    observed = [
        (0.5, 1.003, 0.370, 0.147),
        (0.9, 1.519, 0.636, 0.251),
        (1.1, 1.887, 0.783, 0.304),
        (1.3, 2.132, 0.935, 0.366),
        (1.5, 2.377, 1.078, 0.424),
        (1.9, 2.575, 1.321, 0.570),
    ]
    gi, *colors = (np.array(observed) - dust).T
    have = locus_colors(gi, np.full(gi.size, -0.9))[:, :3]
    assert np.abs(have - np.stack(colors, axis=1)).max() < 0.1


def test_metal_poor_stars_are_bluer_in_u_as_photometric_metallicity_says():
    # Bond et al. (2010, ApJ 716, 1), eq. A1, for F and G stars in SDSS bands: LSST u-g is 0.05 redder, g-r 0.01 bluer.
    for true in (-1.5, -1.0, -0.5):
        x, y = locus_colors(np.array([0.55]), np.array([true]))[0, :2] + (-0.05, 0.01)
        linear = -13.13 + 14.09 * x + 28.04 * y
        quadratic = -5.51 * x * y - 5.90 * x**2 - 58.68 * y**2
        cubic = 9.14 * x**2 * y - 20.61 * x * y**2 + 58.20 * y**3
        assert abs(linear + quadratic + cubic - true) < 0.25


def test_the_sun_has_its_temperature():
    assert effective_temperature(np.array([0.57]))[0] == pytest.approx(5772.0, abs=150.0)


def test_white_dwarfs_are_bluer_in_u_than_the_main_sequence():
    dwarf = _colors(white_dwarf_spectra(), np.log10([10000.0]), 0.0)[0]
    star = locus_colors(np.array([dwarf[1] + dwarf[2]]), np.array([0.0]))[0]
    assert dwarf[0] < star[0] - 0.5


def test_galaxies_at_redshift_0_have_the_colours_of_fukugita_1995():
    # Table 3: g-r of elliptical, Sbc, Scd and irregular; u-g of the elliptical.
    have = _colors(galaxy_spectra(), [0.0, 0.43, 0.57, 0.77], 0.0)
    np.testing.assert_allclose(have[:, 1], [0.77, 0.57, 0.45, 0.26], atol=0.08)
    assert have[0, 0] == pytest.approx(1.9, abs=0.2)


def test_the_4000_angstrom_break_moves_through_the_bands():
    colors = _colors(galaxy_spectra(), 0.0, np.log1p(np.array([0.0, 0.5, 0.9, 1.2, 1.4])))
    assert colors[1, 1] > colors[0, 1] + 1.0
    assert colors[2, 2] > colors[0, 2] + 1.0
    assert colors[3, 3] > colors[0, 3] + 0.8


def test_galaxies_drop_out_of_u_at_redshift_3():
    color = _colors(galaxy_spectra(), 0.8, np.log1p(np.array([1.5, 3.3])))[:, 0]
    assert color[0] < 0.6
    assert color[1] > 2.0


def test_quasars_at_low_redshift_have_an_ultraviolet_excess():
    colors = _colors(active_nucleus_spectra(), -0.44, np.log1p(np.linspace(0.3, 2.0, 20)))
    assert colors[:, 0].max() < 0.6
    assert np.abs(colors[:, 1]).max() < 0.5


def test_extinction_coefficients_are_near_schlafly_and_finkbeiner_2011():
    # Table 6, R_V = 3.1, LSST bands; their law is Fitzpatrick's (1999) with a scale of 0.86;
    # ours is redder by 7% in i.
    published = np.array([4.145, 3.237, 2.273, 1.684, 1.323, 1.088]) / 0.86
    star = np.array([0.4])
    for name, value in zip(BANDS, published, strict=True):
        clear, _ = star_spectra().photometry(lsst_band(name), star, star * 0.0)
        dusty, _ = star_spectra().photometry(lsst_band(name), star, star * 0.0, 0.1)
        assert (dusty - clear)[0] / 0.1 == pytest.approx(value, rel=0.08), name


def test_the_law_is_r_v_in_v():
    assert extinction_law(np.array([549.5]))[0] == pytest.approx(3.1, rel=0.01)


def test_effective_wavelengths_lie_in_the_band_and_follow_the_colour():
    color_gi = np.array([-0.5, 0.5, 2.0])
    _, wave = star_spectra().photometry(lsst_band("g"), color_gi, np.zeros(3))
    assert (np.diff(wave) > 2.0).all()
    assert wave.min() > 460.0
    assert wave.max() < 510.0


def test_interpolated_photometry_is_that_of_the_spectrum_itself():
    wave = np.linspace(250.0, 1250.0, 1001)
    grid = SedGrid(np.array([0.0, 1.0]), np.zeros(1), wave, np.stack([wave**-2, wave**0])[:, None, :], lsst_band("r"))
    narrow = Bandpass("n", np.array([655.0, 656.0, 657.0, 658.0]), np.array([0.0, 0.8, 0.8, 0.0]))
    mag, mean = grid.photometry(narrow, np.array([0.0]), np.zeros(1))
    assert abs(mag[0]) < 1e-3
    assert mean[0] == pytest.approx(656.5, abs=0.1)


def test_a_band_beyond_the_spectra_is_refused():
    band = Bandpass("J", np.array([1150.0, 1200.0, 1350.0]), np.array([0.0, 0.8, 0.8]))
    with pytest.raises(InputError, match="band J reaches beyond"):
        star_spectra().photometry(band, np.zeros(1), np.zeros(1))


def test_a_users_spectra_are_read_and_refused(tmp_path):
    path = tmp_path / "sed.csv"
    path.write_text("400,1,2\n600,1,1\n900,1,0.5\n")
    grid = read_spectra(path, lsst_band("r"))
    mag, _ = grid.photometry(lsst_band("r"), np.array([0.0, 1.0]), np.zeros(2))
    np.testing.assert_allclose(mag, 0.0, atol=1e-9)
    path.write_text("4000,1\n9000,1\n")
    with pytest.raises(InputError, match="no light in r"):
        read_spectra(path, lsst_band("r"))
    path.write_text("600,1\n500,1\n")
    with pytest.raises(InputError, match="must rise"):
        read_spectra(path, lsst_band("r"))
