"""Detections of nothing: peaks of the noise, remains of bright stars, artefacts."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.expected import KINDS, Expected
from etendue.simulate.catalogs.footprint import Footprint
from etendue.simulate.catalogs.noise_peaks import draw_peaks, peaks_per_deg2
from etendue.simulate.surveys.catalog_spec import FalseSpec

Vector = NDArray[np.float64]
Codes = NDArray[np.int8]

_HIGHEST_SNR = 100.0
_NOISE, _NEAR_STAR, _DIPOLE, _ARTEFACT = (KINDS.index(name) for name in ("noise", "near_star", "dipole", "artefact"))


def draw_false(
    rng: np.random.Generator, spec: FalseSpec, footprint: Footprint, sigma_arcsec: float,
    threshold: tuple[float, float], stars: tuple[Vector, Vector, Vector], *, both_signs: bool,
) -> Expected:  # fmt: skip
    """Draw the false detections of an exposure.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    spec : FalseSpec
        How many of which kind.
    footprint : Footprint
        Detectors.
    sigma_arcsec : float
        Standard deviation of the PSF [arcsec].
    threshold : (float, float)
        Signal-to-noise ratio that is detected, and its scatter [mag].
    stars : tuple of ndarray, float64, shape (m,)
        Field angles [deg] and template fluxes [nJy] of the bright stars.
    both_signs : bool
        Whether this is a difference: on images all are positive and dipoles are not detected.

    Returns
    -------
    Expected
        All of them are detections.
    """
    negative, signs = (spec.negative_fraction, 2.0) if both_signs else (0.0, 1.0)
    rate = signs * peaks_per_deg2(threshold[0], sigma_arcsec) if spec.per_deg2 is None else spec.per_deg2
    count = int(rng.poisson(rate * footprint.area_deg2))
    kind = _kinds(rng, spec, count, has_stars=stars[0].size > 0, dipoles=both_signs)
    field_x, field_y = footprint.scatter(rng, count)
    template = np.zeros(count)
    at_star = np.flatnonzero((kind == _NEAR_STAR) | (kind == _DIPOLE))
    if at_star.size:
        star = rng.integers(stars[0].size, size=at_star.size)
        far = rng.gamma(2.0, spec.near_star_arcsec / 3600.0, at_star.size) * (kind[at_star] == _NEAR_STAR)
        angle = rng.uniform(0.0, 2.0 * np.pi, at_star.size)
        field_x[at_star], field_y[at_star] = stars[0][star] + far * np.cos(angle), stars[1][star] + far * np.sin(angle)
        template[at_star] = np.where(kind[at_star] == _DIPOLE, stars[2][star], 0.0)
    none = np.zeros(count)
    return Expected(
        object_id=np.zeros(count, np.int64), kind=kind, field_x=field_x, field_y=field_y, flux=none,
        psf_flux=none, template=template,
        length_arcsec=np.where(kind == _ARTEFACT, rng.exponential(spec.artefact_arcsec, count), 0.0),
        bearing_deg=rng.uniform(0.0, 180.0, count), moments=np.zeros((count, 3)),
        snr=_ratios(rng, spec, kind, threshold) * np.where(rng.random(count) < negative, -1.0, 1.0),
    )  # fmt: skip


def _kinds(rng: np.random.Generator, spec: FalseSpec, count: int, *, has_stars: bool, dipoles: bool) -> Codes:
    shares = np.cumsum([spec.artefact_fraction, spec.near_star_fraction, spec.dipole_fraction])
    codes = np.array([_ARTEFACT, _NEAR_STAR, _DIPOLE, _NOISE], np.int8)
    if not has_stars:
        codes[1:3] = _NOISE
    if not dipoles:
        codes[2] = _NOISE
    return codes[np.searchsorted(shares, rng.random(count), side="right")]


def _ratios(rng: np.random.Generator, spec: FalseSpec, kind: Codes, threshold: tuple[float, float]) -> Vector:
    """Return signal-to-noise ratios: of the noise its peaks', of all else a power law."""
    least = threshold[0] * 10.0 ** (0.4 * threshold[1] * rng.normal(size=kind.size))
    tail = np.minimum(least * (1.0 - rng.random(kind.size)) ** (-1.0 / spec.tail), np.maximum(_HIGHEST_SNR, least))
    return np.where(kind == _NOISE, draw_peaks(rng, least), tail)
