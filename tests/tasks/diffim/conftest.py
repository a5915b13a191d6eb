from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import convolve
from scipy.special import erf

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import GaussianMixturePsf

WCS = SkyWcs.tan(
    crpix_x=200.0, crpix_y=200.0, crval_ra_deg=124.6, crval_dec_deg=25.3, cd=np.array([[-3e-4, 0.0], [0.0, 3e-4]])
)


@dataclass
class Field:
    """A science image and a template with known truth; pixel-integrated Gaussian stars."""

    science: Exposure
    template: Exposure
    transient_x: np.ndarray
    transient_y: np.ndarray
    transient_flux: float


def add_stars(image, x, y, flux, sigma, half=12):
    for xi, yi, fi in zip(x, y, np.broadcast_to(flux, np.shape(x)), strict=True):
        x0, y0 = round(xi), round(yi)
        cols = np.arange(max(0, x0 - half), min(image.shape[1], x0 + half + 1))
        rows = np.arange(max(0, y0 - half), min(image.shape[0], y0 + half + 1))
        along_x, along_y = (
            0.5 * np.diff(erf((np.append(axis - 0.5, axis[-1] + 0.5) - centre) / (np.sqrt(2) * sigma)))
            for axis, centre in ((cols, xi), (rows, yi))
        )
        image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] += fi * np.outer(along_y, along_x)


def make_field(
    seed,
    *,
    size=400,
    n_stars=250,
    science_fwhm=2.6,
    template_fwhm=2.2,
    noise=10.0,
    template_noise=4.0,
    ratio=1.0,
    transient_flux=600.0,
    n_transients=60,
    correlated=False,
    n_faint=0,
):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(5, size - 5, size=(2, n_stars))
    flux = 10 ** rng.uniform(2.5, 4.8, size=n_stars)
    # Transients on a jittered lattice, so that they are isolated from each other.
    side = int(np.ceil(np.sqrt(n_transients)))
    lattice = np.stack(np.meshgrid(*2 * [np.linspace(30, size - 30, side)]), -1).reshape(-1, 2)[:n_transients]
    tx, ty = (lattice + rng.uniform(-4, 4, size=lattice.shape)).T
    science, template = np.zeros((2, size, size))
    add_stars(science, x, y, ratio * flux, science_fwhm / 2.3548)
    add_stars(science, tx, ty, transient_flux, science_fwhm / 2.3548)
    add_stars(template, x, y, flux, template_fwhm / 2.3548)
    faint = rng.uniform(5, size - 5, size=(2, n_faint))  # below the noise of the science image
    add_stars(science, *faint, ratio * 6.0 * noise, science_fwhm / 2.3548)
    add_stars(template, *faint, 6.0 * noise, template_fwhm / 2.3548)
    variance = noise**2 + np.maximum(science, 0.0)
    science += rng.normal(size=science.shape) * np.sqrt(variance)
    grain = rng.normal(size=template.shape)
    autocorrelation = None
    if correlated:
        filter_ = np.array([[0.0, 0.15, 0.0], [0.15, 1.0, 0.15], [0.0, 0.15, 0.0]])
        grain = convolve(grain, filter_, mode="wrap") / np.sqrt((filter_**2).sum())
        autocorrelation = NoiseAutocorrelation.from_filter(filter_)
    template += template_noise * grain
    box = Box.from_shape((size, size), x0=11, y0=-7)
    # A Gaussian integrated over pixels is nearly one of this width.
    psf = GaussianMixturePsf.circular(float(np.hypot(science_fwhm / 2.3548, 12**-0.5)), 31)

    def exposure(pixels, spread, **parts):
        return Exposure(
            image=Image(pixels.astype(np.float32), box),
            mask=Mask.empty(box),
            variance=Image(np.broadcast_to(spread, box.shape).astype(np.float32), box), wcs=WCS, **parts,
        )  # fmt: skip

    made = exposure(science, variance, psf=psf), exposure(template, template_noise**2, noise=autocorrelation)
    return Field(*made, tx + box.x.start, ty + box.y.start, transient_flux)


@pytest.fixture(scope="session")
def field_factory():
    return make_field
