"""Positions come from one catalog, fluxes from the same or another, colours correct both, clouds are said."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from etendue.image.photo_calib import PhotoCalib
from etendue.refcat.sample import ReferenceSample
from etendue.stages.on_reference import solve_flux, solve_position
from etendue.tasks.astrometry.fit import FitAstrometryConfig
from etendue.tasks.photometry.transparency import TransparencyConfig
from etendue.tasks.photometry.zero_point import ZeroPointConfig

N = 120


@dataclass
class Columns:
    """The columns that calibration reads."""

    x: np.ndarray
    y: np.ndarray
    psf_flux: np.ndarray
    x_err: np.ndarray = field(default_factory=lambda: np.full(N, 0.02))
    y_err: np.ndarray = field(default_factory=lambda: np.full(N, 0.02))
    centroid_flag: np.ndarray = field(default_factory=lambda: np.zeros(N, bool))
    pixel_flags: dict = field(default_factory=lambda: {"pixelFlags_saturated": np.zeros(N, bool)})

    def __len__(self):
        return N

    @property
    def psf_flux_err(self):
        return 0.01 * self.psf_flux


@pytest.fixture
def scene(wcs, visit_image):
    rng = np.random.default_rng(4)
    x, y, flux = rng.uniform(5.0, 195.0, N), rng.uniform(5.0, 195.0, N), 10.0 ** rng.uniform(4.0, 6.0, N)
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    color = rng.normal(0.7, 0.3, N)
    r_flux = 3.0 * flux
    fluxes = {"r": (r_flux, 0.001 * r_flux), "g": (r_flux * 10.0 ** (-0.4 * color), 0.001 * r_flux)}
    sample = ReferenceSample(ra, dec, np.full(N, 0.001), fluxes)
    columns = Columns(x + rng.normal(0.0, 0.02, N), y + rng.normal(0.0, 0.02, N), flux)
    exposure = visit_image(wcs=wcs, photo_calib=PhotoCalib(scale=1.0, kind="relative"))
    return exposure.replace(band="r"), columns, sample, color


def solved(scene, photometry=None, color="", transparency=None):
    exposure, columns, sample, _ = scene
    position = solve_position(exposure, columns, sample, FitAstrometryConfig(), "")
    return solve_flux(
        position, columns, sample, photometry, ZeroPointConfig(fit_color_term=bool(color)), color,
        transparency or TransparencyConfig(),
    )  # fmt: skip


def test_fluxes_are_on_the_scale_of_their_own_catalog(scene):
    _, _, sample, _ = scene
    one = solved(scene)
    assert one.exposure.photo_calib.scale == pytest.approx(3.0, rel=0.01)
    rows = np.arange(0, N, 2)
    other = ReferenceSample(
        sample.ra_deg[rows], sample.dec_deg[rows], sample.err_arcsec[rows],
        {"r": tuple(2.0 * values[rows] for values in sample.fluxes["r"])},
    )  # fmt: skip
    two = solved(scene, photometry=other)
    assert two.exposure.photo_calib.scale == pytest.approx(6.0, rel=0.01)
    assert two.exposure.wcs == one.exposure.wcs
    assert two.flags["calib_photometry_used"].sum() == pytest.approx(N // 2, abs=3)
    assert not two.flags["calib_photometry_used"][1::2].any()


def test_the_error_of_the_first_wcs_is_told_in_pixels(scene):
    exposure, columns, sample, _ = scene
    wrong = exposure.replace(wcs=exposure.wcs.shifted(dx=30.0, dy=-40.0))
    assert solve_position(wrong, columns, sample, FitAstrometryConfig(), "").moved_px == pytest.approx(50.0, abs=0.5)


def test_a_catalog_without_the_band_leaves_the_relative_scale(scene):
    _, _, sample, _ = scene
    other = ReferenceSample(sample.ra_deg, sample.dec_deg, sample.err_arcsec, {"i": sample.fluxes["r"]})
    assert solved(scene, photometry=other).exposure.photo_calib.kind == "relative"


def test_a_colour_term_is_fitted_where_a_colour_is_named(scene):
    _, columns, _, color = scene
    columns.psf_flux = columns.psf_flux * 10.0 ** (0.4 * 0.1 * (color - np.median(color)))
    facts = solved(scene, color="g-r").exposure.metadata
    assert facts["color_term"] == pytest.approx(0.1, abs=0.02)
    assert facts["color_term_color"] == pytest.approx(np.median(color), abs=0.05)
    assert solved(scene).exposure.metadata["color_term"] == 0.0


def test_clouds_are_told(scene):
    exposure = scene[0]
    clear = solved(scene).exposure.photo_calib.zero_point_mag
    nominal = clear + 0.5 - 2.5 * np.log10(exposure.visit_info.exposure_time_s)
    facts = solved(scene, transparency=TransparencyConfig(nominal_zero_point=nominal)).exposure.metadata
    assert facts["cloud_extinction_mag"] == pytest.approx(0.5)
    assert facts["cloudy"]
    assert not solved(scene).exposure.metadata["cloudy"]


def test_a_colour_that_the_catalog_lacks_corrects_nothing(scene):
    exposure, columns, sample, _ = scene
    plain = solve_position(exposure, columns, sample, FitAstrometryConfig(), "")
    blank = solve_position(exposure, columns, sample, FitAstrometryConfig(), "g-y")
    assert blank.exposure.wcs == plain.exposure.wcs
    assert blank.exposure.metadata["refraction_arcsec_per_mag"] == 0.0
    assert blank.exposure.metadata["refraction_err_arcsec_per_mag"] is None
