"""Let the shape of a PSF follow turbulence: Gaussian processes of the place, besides its polynomial."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from etendue.image.psf import PixelBasisPsf
from etendue.image.psf_field import MaternField
from etendue.kernels.psf_field import fit_matern
from etendue.kernels.psf_modes import mode_amplitudes, shape_modes

Real = NDArray[np.float64]


class Places(TypedDict):
    """Where stars are [px] and what colour they have [mag], as PSFs take them; each shape (n,)."""

    x: Real
    y: Real
    color: Real | None


_LENGTHS = 2.0 ** np.arange(-4.0, 1.01, 0.5)  # of the half side of the detector
_CORE = 1.5  # distance [FWHM] to which stars tell their shape well


def with_random_field(
    psf: PixelBasisPsf, *, data: Real, weight: Real, places: Places, fwhm: float, min_gain: float
) -> PixelBasisPsf:
    """Find fields of the PSF's shape from what its stars have besides it.

    Width and both ellipticities of every star, with their errors, are taken for values of three Gaussian processes
    (as in Piff: Jarvis et al. 2021, section 4.4), whose variance and length are those that make the values most likely.

    Parameters
    ----------
    psf : PixelBasisPsf
        Model so far; what fields it has are found anew, with the modes that it has.
    data, weight : ndarray, float64, shape (n, k, k)
        Stamps of unit flux and inverse variances (0 where unusable).
    places : Places
        Positions and colours of the stars.
    fwhm : float
        Of the PSF [px].
    min_gain : float
        Least gain of the logarithm of the likelihood for a field.

    Returns
    -------
    PixelBasisPsf
        Without fields where none gains that much.
    """
    x, y = places["x"], places["y"]
    dx, dy = x - np.rint(x), y - np.rint(y)
    cut = max(0, psf.size // 2 - int(np.ceil(_CORE * fwhm)))
    core = slice(cut, psf.size - cut)
    model = psf.draw(**places).value
    n_other = len(psf.components) - (0 if psf.field is None else len(psf.field))
    if psf.field is None:
        modes, now = shape_modes(psf.components[0]), np.zeros((x.size, 3))
    else:
        modes, now = psf.components[n_other:], psf.field.at(x=x, y=y)
    residual, power, seen = (np.ascontiguousarray(stamps[:, core, core]) for stamps in (data - model, weight, model))
    amplitude, error = mode_amplitudes(residual, power, seen, modes, step=psf.step, dx=dx, dy=dy)
    told = np.isfinite(error).all(axis=1)
    lengths = _LENGTHS * 0.5 * (psf.x_scale + psf.y_scale)
    value = (amplitude + now)[told]
    found = [fit_matern(x[told], y[told], *one, lengths) for one in zip(value.T, error[told].T, strict=True)]
    kept = [k for k, one in enumerate(found) if one.gain > min_gain]
    if not kept:
        return psf.with_field(None, psf.components[:n_other])
    weights, scales = np.stack([found[k].weights for k in kept], axis=1), np.array([found[k].length for k in kept])
    field = MaternField(x[told], y[told], weights, scales)
    spread = np.maximum(field.at(x=x, y=y).std(axis=0), 1e-300)
    field = MaternField(x[told], y[told], weights / spread, scales)
    return psf.with_field(field, np.concatenate([psf.components[:n_other], modes[kept] * spread[:, None, None]]))
