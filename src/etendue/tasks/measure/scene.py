"""An image taken apart into sources: what every measurement sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import PixelBasisPsf
from etendue.image.psf_gaussian import SIGMA_TO_FWHM
from etendue.tasks.measure.light import SourceLight

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Pixels without any source, and every source's own light.

    ``residual`` plus the stamp of a source is that source alone; on pixels that are ``bad`` only the stamp counts.

    Parameters
    ----------
    residual : ndarray, float64, shape (ny, nx)
        Image minus the light of all sources [image unit].
    variance : ndarray, float64, shape (ny, nx)
        Noise variance of the data; 0 where unknown.
    weight_variance : ndarray, float64, shape (ny, nx)
        Variance to weight by: photon noise of the modelled light, not of the data, whose fluctuations would bias
        fluxes low; infinite where unusable.
    slope : float
        Rise of the variance with the pixel value: 1 / gain.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    x0, y0 : int
        Parent coordinates of the first pixel.
    light : SourceLight
        The sources' own light.
    x, y : ndarray, float64, shape (n,)
        Centres [array pixels].
    psf_flux, psf_flux_err : ndarray, float64, shape (n,)
        Flux of the joint fit of point sources and its error.
    psf_chi2 : ndarray, float64, shape (n,)
        Reduced chi-square of that fit.
    psf : PixelBasisPsf
        In parent pixels.
    fwhm : float
        Of the PSF at the image's centre [px].
    pixel_scale : float
        Side of a pixel at the image's centre [arcsec]; NaN without a WCS.
    noise : NoiseAutocorrelation or None
        Correlation of the pixels' noise; None if it is white.
    forced : bool
        Whether the positions were given, not fitted.
    """

    residual: Real
    variance: Real
    weight_variance: Real
    slope: float
    bad: NDArray[np.bool_]
    x0: int
    y0: int
    light: SourceLight
    x: Real
    y: Real
    psf_flux: Real
    psf_flux_err: Real
    psf_chi2: Real
    psf: PixelBasisPsf
    fwhm: float
    pixel_scale: float
    noise: NoiseAutocorrelation | None
    forced: bool

    @property
    def sigma(self) -> float:
        """Width of the Gaussian that has the PSF's FWHM [px]."""
        return self.fwhm / SIGMA_TO_FWHM

    @property
    def correlation(self) -> Real:
        """Autocorrelation of the noise against pixel lag, shape (k, k); (1, 1) if it is white."""
        return np.ones((1, 1)) if self.noise is None else np.ascontiguousarray(self.noise.kernel)

    def __len__(self) -> int:
        return int(self.x.size)
