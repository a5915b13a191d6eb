"""Tell stars from galaxies, blends and artefacts by their size and shape."""

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

_NARROWEST = 0.2  # [px**2], FWHM of 1.05 px: bad columns, hot pixels and cosmic rays are narrower along an axis
_FEWEST = 5  # known stars that tell where the locus is


def select_stars(
    ixx: Real, iyy: Real, ixy: Real, snr: Real, known: NDArray[np.bool_] | None = None, enough: int = 1
) -> tuple[NDArray[np.bool_], Real]:
    """Select the sources on the stellar locus of moments.

    Sources that are sharper than any image of a star along some axis are left out first. The smallest common size is
    the stars': the locus starts at the mode of log size, found as the half-sample mode, and
    is clipped at 3 robust sigmas in log size and in both ellipticity components. Where stars of a catalog are known
    they alone tell where the locus is, and where they are enough they alone are chosen.

    Parameters
    ----------
    ixx, iyy, ixy : ndarray, float64, shape (n,)
        Adaptive moments [px**2]; NaN where they failed.
    snr : ndarray, float64, shape (n,)
        Signal-to-noise ratios.
    known : ndarray, bool, shape (n,), optional
        Sources that a catalog knows as stars.
    enough : int
        Number of known stars on the locus from which on no other source is chosen.

    Returns
    -------
    chosen : ndarray, bool, shape (n,)
        Stars.
    median : ndarray, float64, shape (3,)
        Their median ixx, iyy, ixy; a round Gaussian of 1 px**2 if there are none.
    """
    minor_axis = 0.5 * (ixx + iyy - np.hypot(ixx - iyy, 2.0 * ixy))
    sharp = np.isfinite(minor_axis) & (snr > 0) & (minor_axis > _NARROWEST)
    trusted = sharp if known is None or np.count_nonzero(sharp & known) < _FEWEST else sharp & known
    if not sharp.any():
        return sharp, np.array([1.0, 1.0, 0.0])
    trace = np.where(sharp, ixx + iyy, 1.0)
    features = np.stack([np.log(trace), (ixx - iyy) / trace, 2.0 * ixy / trace])
    middle, width = _locus(features[:, trusted])
    kept = sharp & (np.abs(features - middle[:, None]) < 3.0 * width[:, None]).all(axis=0)
    if known is not None and np.count_nonzero(kept & known) >= enough:
        kept &= known
    if not kept.any():
        return kept, np.array([1.0, 1.0, 0.0])
    return kept, np.array([np.median(moment[kept]) for moment in (ixx, iyy, ixy)])


def _locus(features: Real) -> tuple[Real, Real]:
    """Return the middle and the robust widths of the stars among features of shape (3, n)."""
    middle, width = np.median(features, axis=1), np.array([0.15, 0.1, 0.1])
    middle[0] = _half_sample_mode(features[0])
    for _ in range(6):
        near = (np.abs(features - middle[:, None]) < 3.0 * width[:, None]).all(axis=0)
        if np.count_nonzero(near) < 3:
            break
        middle = np.median(features[:, near], axis=1)
        scatter = 1.4826 * np.median(np.abs(features[:, near] - middle[:, None]), axis=1)
        width = np.clip(scatter, 0.02, 0.15)
    return middle, width


def _half_sample_mode(values: Real) -> float:
    """Return the mode by repeatedly keeping the densest half (Bickel & Fruehwirth 2006)."""
    values = np.sort(values)
    while values.size > 3:
        half = (values.size + 1) // 2
        first = int(np.argmin(values[half - 1 :] - values[: values.size - half + 1]))
        values = values[first : first + half]
    return float(np.median(values))
