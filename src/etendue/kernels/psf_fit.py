"""Solve for the B-spline coefficients of a PSF from star stamps, on plain arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.psf import backproject, draw_pixel_basis, normal_product, sum_over_stars

Real = NDArray[np.float64]

# Waves (along y, x) that repeat from pixel to pixel; those with the opposite sign are their complex conjugates.
_PIXEL_WAVES = ((1, 0), (0, 1), (1, 1), (1, -1))

# Each ring around a star is cut into so many parts, of which the median counts: neighbours stand in one or two of them.
# Rings nearer than this [px] have too few pixels for that.
_SECTORS, _FEWEST_SECTORS = 8, 6

# Wings of stars differ over the field by about this fraction, besides noise.
_WING_SPREAD = 0.15
# Power of the distance with which light falls far from stars: behind a turbulent atmosphere 11/3 in the end, but 4.0 to
# 3.7 between 3 and 12 FWHM, where nearly all of that light is.
_WING_POWER, _WING_POWER_ERR = 3.9, 0.15
_WING_POWERS = np.arange(3.0, 5.51, 0.1)

# Coarser grids [px] hold no whole wave per pixel: what looks like one on them is a longer wave that the PSF needs.
_COARSEST_FLATTENED = 0.55


def solve_components(
    data: Real,
    weight: Real,
    *,
    terms: Real,
    dx: Real,
    dy: Real,
    start: Real,
    step: float,
    prior: Real,
    iterations: int,
) -> Real:
    """Minimise ``sum w (d - A c)^2 + sum (c - start)^2 / prior^2`` over all stars together.

    Conjugate gradients, preconditioned with the diagonal of the normal equations; A combines the spatial terms and
    draws each star's stamp. The diagonal must be the true one: the photons of bright stars make the weights of their
    cores hundreds of times smaller than those of their wings, and a rougher guess leaves the cores unsolved.

    Parameters
    ----------
    data, weight : ndarray, float64, shape (n, k, k)
        Star stamps divided by their fluxes, and inverse variances (0 where unusable).
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the stars.
    dx, dy : ndarray, float64, shape (n,)
        Star position minus the centre of the middle stamp pixel [px].
    start : ndarray, float64, shape (n_terms, m, m)
        First coefficients, and the mean of the prior.
    step : float
        Grid spacing [px].
    prior : ndarray, float64, shape (n_terms, m, m)
        Prior 1-sigma of each coefficient.
    iterations : int
        Steps of the conjugate gradients.

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        The coefficients.
    """
    size, m = data.shape[1], start.shape[1]
    weight = np.ascontiguousarray(weight)
    stiffness = prior**-2.0
    diagonal = sum_over_stars(terms**2, backproject(weight, step, dx, dy, m, True)) + stiffness
    change = np.zeros_like(start)
    misfit = weight * (data - draw_pixel_basis(start, terms, step, dx, dy, size))
    residual = sum_over_stars(terms, backproject(misfit, step, dx, dy, m, False))
    conditioned = residual / diagonal
    direction, power = conditioned, float(np.sum(residual * conditioned))
    for _ in range(iterations):
        if power == 0.0:
            break
        image = normal_product(direction, terms, weight, step, dx, dy) + stiffness * direction
        length = power / float(np.sum(direction * image))
        change += length * direction
        residual -= length * image
        conditioned = residual / diagonal
        new_power = float(np.sum(residual * conditioned))
        direction, power = conditioned + (new_power / power) * direction, new_power
    return start + change


def normalised(components: Real, step: float) -> Real:
    """Scale a PSF to unit integral everywhere.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients.
    step : float
        Grid spacing [px].

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        Unit integral of the mean, zero integral of the other terms: what they had is taken off with the mean's profile
        (first order in the spatial variation of the norm).
    """
    mean = components[0] / (components[0].sum() * step**2)
    scaled = components / (components[0].sum() * step**2)
    excess = scaled.sum(axis=(1, 2)) * step**2
    excess[0] = 0.0
    return scaled - excess[:, None, None] * mean


def centred(components: Real, window: float) -> Real:
    """Move the windowed centroid of a PSF to the middle of the grid everywhere.

    Shifting the PSF one way and all stars the other way changes nothing in the data; this fixes the choice. To first
    order: each term loses the part of the mean's slopes that carries its dipole moment.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients.
    window : float
        Width of the Gaussian window [samples].

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        Components without dipole moment under the window.
    """
    offset = np.arange(components.shape[1]) - 0.5 * (components.shape[1] - 1)
    weight = np.exp(-0.5 * (offset / window) ** 2)
    moved = components.copy()
    for axis, lever in ((1, (weight, weight * offset)), (0, (weight * offset, weight))):
        slope = np.gradient(components[0], axis=axis)
        dipole = np.einsum("tij,i,j->t", components, *lever)
        moved -= (dipole / np.einsum("ij,i,j->", slope, *lever))[:, None, None] * slope
    return moved


def flattened(components: Real, step: float) -> Real:
    """Make the pixel sum of a PSF the same at every sub-pixel phase, everywhere.

    A PSF times any function of the sub-pixel phase, and star fluxes divided by it, fit the data as well: the stars of
    one image do not determine that function, and fluxes inherit what the first guess and the noise left in it. It is 1
    where the pixels respond uniformly: the Fourier transform of a PSF that contains the pixel is 0 at whole waves per
    pixel. To first order: each term loses the part of the mean profile, modulated by such waves, that carries them.
    Grids with spacings above 0.55 px, those of well-sampled PSFs, cannot carry such waves and are returned as they are.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients.
    step : float
        Grid spacing [px].

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        Components whose pixel sums do not depend on the phase.
    """
    if step > _COARSEST_FLATTENED:
        return components
    offset = (np.arange(components.shape[1]) - 0.5 * (components.shape[1] - 1)) * step
    phase = np.stack([2.0 * np.pi * (ky * offset[:, None] + kx * offset) for ky, kx in _PIXEL_WAVES])
    modulated = np.concatenate([np.cos(phase), np.sin(phase)]) * components[0]
    response, present = _pixel_waves(modulated, offset, step), _pixel_waves(components, offset, step)
    amount, *_ = np.linalg.lstsq(response.T, present.T, rcond=1e-3)
    return components - np.einsum("qt,qij->tij", amount, modulated)


def _pixel_waves(grids: Real, offset: Real, step: float) -> Real:
    """Return real and imaginary parts of the transform of B-spline grids at whole waves per pixel, shape (n, 8)."""
    waves = {k: np.sinc(k * step) ** 4 * np.exp(-2j * np.pi * k * offset) for k in (-1, 0, 1)}
    found = [np.einsum("nij,i,j->n", grids, waves[ky], waves[kx]) for ky, kx in _PIXEL_WAVES]
    return np.stack([wave.real for wave in found] + [wave.imag for wave in found], axis=-1) * step**2


def renormalised(components: Real, factor: Real) -> Real:
    """Divide a PSF by a spatial polynomial near 1, to first order.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients.
    factor : ndarray, float64, shape (n_terms,)
        Coefficients of the polynomial in the spatial terms.

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        The components minus (factor - 1) times the mean profile.
    """
    excess = factor.copy()
    excess[0] -= 1.0
    return components - excess[:, None, None] * components[0]


def aperture_scale(data: Real, weight: Real, model: Real, terms: Real, radius: float) -> Real:
    """Fit how aperture fluxes of stars depart from their PSF fluxes over the field.

    Parameters
    ----------
    data, weight, model : ndarray, float64, shape (n, k, k)
        Isolated stamps, inverse variances (0 where unusable) and PSF stamps.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the stars.
    radius : float
        Aperture radius [px].

    Returns
    -------
    ndarray, float64, shape (n_terms,)
        Polynomial of aperture over PSF flux, outliers clipped at 4 sigma; an error of 0.5 % per star is allowed for.
    """
    offset = np.arange(data.shape[1]) - data.shape[1] // 2
    disk = np.hypot(offset[:, None], offset) <= radius
    power = weight * disk
    flux = (power * model * data).sum(axis=(1, 2)) / (power * model**2).sum(axis=(1, 2))
    scaled = flux[:, None, None] * model
    filled = np.where(weight > 0.0, data, scaled)
    ratio = (filled * disk).sum(axis=(1, 2)) / (scaled * disk).sum(axis=(1, 2))
    noise = np.where(weight > 0.0, 1.0 / np.where(weight > 0.0, weight, 1.0), 0.0)
    error = np.hypot(np.sqrt((noise * disk).sum(axis=(1, 2))) / flux, 0.005)
    keep = np.isfinite(ratio)
    factor = np.zeros(terms.shape[1])
    for _ in range(3):
        factor, *_ = np.linalg.lstsq(terms[keep] / error[keep, None], ratio[keep] / error[keep])
        keep = np.isfinite(ratio) & (np.abs(ratio - terms @ factor) < 4.0 * error)
    return factor


def radial_profile(grid: Real) -> Real:
    """Return the azimuthal mean of a grid's absolute values as an image.

    Parameters
    ----------
    grid : ndarray, float64, shape (m, m)
        Grid centred on its middle.

    Returns
    -------
    ndarray, float64, shape (m, m)
        Mean absolute value at each sample's rounded distance from the middle.
    """
    offset = np.arange(grid.shape[0]) - 0.5 * (grid.shape[0] - 1)
    radius = np.rint(np.hypot(offset[:, None], offset)).astype(np.int64)
    mean = np.bincount(radius.ravel(), np.abs(grid).ravel()) / np.bincount(radius.ravel())
    return mean[radius]


class Wings(NamedTuple):
    """Mean radial profile of stars, and the sky that they stand on."""

    profile: Real  # (half + 1,), at each distance [1 / px**2]
    slope: float  # power of distance with which the profile falls at its end
    sky: float  # common to all stars [unit of their fluxes / px**2]


def ring_profile(data: Real, weight: Real, flux: Real, start: float) -> Wings:
    """Average stars over rings, apart from the sky that they stand on.

    From ``start`` on a star s has ``A r^-b + c / f_s``: its wings scale with its flux f_s, what is left of the sky (c)
    does not. A is what rings have there; the power b is that of least misfit, with a prior of 3.9 +- 0.15 (a turbulent
    atmosphere). Further in rings are averaged one by one. Stars whose ring departs from the others
    (neighbours, galaxies) do not count.

    Parameters
    ----------
    data, weight : ndarray, float64, shape (n, k, k)
        Star stamps divided by their fluxes, centred on their pixel, and inverse variances (0 where unusable).
    flux : ndarray, float64, shape (n,)
        Fluxes of the stars.
    start : float
        Distance from which on the wings are a power [px].

    Returns
    -------
    Wings
    """
    half = data.shape[1] // 2
    row, column = np.indices(data.shape[1:]) - half
    ring = np.minimum(np.rint(np.hypot(row, column)), half + 1).astype(np.int64).ravel()
    flat, weights = data.reshape(len(data), -1), weight.reshape(len(data), -1)
    turn = np.arctan2(row, column).ravel() / (2.0 * np.pi) + 0.5
    sector = ring * _SECTORS + (turn * _SECTORS).astype(np.int64) % _SECTORS
    mean, norm = _ring_medians(flat, weights, sector, half)
    first = min(int(np.ceil(start)), half - 3)
    slope, sky = _power_wings(mean, norm, flux, first)
    profile = np.array([_clipped_mean(mean[:, r] - sky / flux, norm[:, r]) for r in range(half + 1)])
    radius = np.arange(first, half + 1.0)
    profile[first:] = max(_at_start(profile, norm, first, slope), 0.0) * (radius / first) ** -slope
    return Wings(np.maximum(profile, 0.0), slope, sky)


def _at_start(profile: Real, norm: Real, first: int, slope: float) -> float:
    """Return the brightness at the ring ``first`` by those around it, brought there with the power of the wings."""
    rings = np.arange(max(first - 1, 1), min(first + 3, profile.size))
    return float(np.average(profile[rings] * (rings / first) ** slope, weights=norm[:, rings].sum(axis=0) + 1e-300))


def _ring_medians(flat: Real, weights: Real, sector: NDArray[np.int64], half: int) -> tuple[Real, Real]:
    """Return the median of the means of each ring's sectors, and its inverse variance, shape (n, half + 1)."""
    shape = (len(flat), half + 2, _SECTORS)
    norm = _sums_by_ring(sector, weights, shape[1] * _SECTORS).reshape(shape)[:, : half + 1]
    total = _sums_by_ring(sector, weights * flat, shape[1] * _SECTORS).reshape(shape)[:, : half + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(norm > 0.0, total / norm, np.nan)
    means[~(norm > 0.0).any(axis=2)] = 0.0  # nothing of the ring is usable, and so says its weight
    median = np.nanmedian(means, axis=2)
    few = np.arange(half + 1) < _FEWEST_SECTORS
    mean = np.where(few, total.sum(axis=2) / np.maximum(norm.sum(axis=2), 1e-300), median)
    return mean, norm.sum(axis=2) * np.where(few, 1.0, 2.0 / np.pi)


def _sums_by_ring(ring: NDArray[np.int64], values: Real, count: int) -> Real:
    """Return the sums of the pixels of each stamp, a row of ``values``, in each ring."""
    return np.stack([np.bincount(ring, one, count).astype(np.float64) for one in values])


def _power_wings(mean: Real, weight: Real, flux: Real, first: int) -> tuple[float, float]:
    """Fit the power b of wings, and the sky c, to rings of stars from ``first`` on.

    The brightness where the wings begin is measured well: only how they fall, and the sky, are free.
    """
    outer, noise = mean[:, first:], weight[:, first:]
    radius, by_sky = np.arange(first, mean.shape[1], dtype=np.float64), 1.0 / flux[:, None]
    use, power, sky = noise > 0.0, _WING_POWER, 0.0
    for _ in range(5):
        rings = np.array([_clipped_mean(mean[:, r] - sky / flux, weight[:, r]) for r in range(first + 3)])
        start = max(_at_start(rings, weight, first, power), 0.0)
        spread = (_WING_SPREAD * start * (radius / first) ** -power) ** 2
        true_weight = noise / (1.0 + noise * spread)
        used = np.where(use, true_weight, 0.0)
        found = [_sky_behind(outer, used, by_sky, start * (radius / first) ** -b) for b in _WING_POWERS]
        misfit = [
            one[1] + ((b - _WING_POWER) / _WING_POWER_ERR) ** 2 for one, b in zip(found, _WING_POWERS, strict=True)
        ]
        power, sky = float(_WING_POWERS[int(np.argmin(misfit))]), found[int(np.argmin(misfit))][0]
        use = _agreeing(outer - start * (radius / first) ** -power - sky * by_sky, true_weight)
    return power, sky


def _sky_behind(mean: Real, weight: Real, by_sky: Real, wing: Real) -> tuple[float, float]:
    """Return the sky behind wings of given brightness, and the misfit."""
    precision = float((weight * by_sky**2).sum())
    sky = float((weight * (mean - wing) * by_sky).sum()) / precision if precision > 0.0 else 0.0
    return sky, float((weight * (mean - wing - sky * by_sky) ** 2).sum())


def _clipped_mean(values: Real, weight: Real) -> float:
    """Return the weighted mean without values that are far off; 0 without any."""
    use, mean = weight > 0.0, 0.0
    for _ in range(5):
        if not use.any():
            return mean
        true_weight = weight / (1.0 + weight * (_WING_SPREAD * mean) ** 2)
        mean = float(np.average(values[use], weights=true_weight[use]))
        use = _agreeing(values - mean, true_weight)
    return mean


def _agreeing(misfit: Real, weight: Real) -> NDArray[np.bool_]:
    """Tell which values are within three robust widths."""
    pull = np.abs(misfit) * np.sqrt(weight)
    return (weight > 0.0) & (pull <= 3.0 * 1.4826 * np.median(pull[weight > 0.0]) + 1e-12)


def with_wings(components: Real, wings: Wings, *, step: float, inner: float, outer: float) -> Real:
    """Give a PSF the mean radial profile of its stars' wings, which single pixels are too noisy for.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline coefficients.
    wings : Wings
        Mean profile.
    step : float
        Grid spacing [px].
    inner, outer : float
        Distances up to which the PSF stays as it is, and from which on the profile counts alone [px].

    Returns
    -------
    ndarray, float64, shape (n_terms, m, m)
        The mean component goes over into the profile, the other terms end.
    """
    half, middle = wings.profile.size - 1, 0.5 * (components.shape[1] - 1)
    offset = (np.arange(components.shape[1]) - middle) * step
    radius = np.hypot(offset[:, None], offset)
    beyond = wings.profile[-1] * (np.maximum(radius, half) / half) ** -wings.slope
    wing = np.where(radius > half, beyond, np.interp(radius, np.arange(half + 1.0), wings.profile))
    share = np.clip((radius - inner) / (outer - inner), 0.0, 1.0)
    result = components * (1.0 - share)
    result[0] += share * wing
    return result


def light_beyond(wings: Wings) -> float:
    """Return the light outside the last ring, where the profile goes on as a power of the distance.

    Parameters
    ----------
    wings : Wings
        Mean profile.

    Returns
    -------
    float
        Integral from half a pixel behind the last ring to infinity.
    """
    edge = wings.profile.size - 0.5
    return float(2.0 * np.pi * wings.profile[-1] * edge**2 / (wings.slope - 2.0))
