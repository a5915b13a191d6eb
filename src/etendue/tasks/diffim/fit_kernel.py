"""Fit the spatially varying kernel that matches one image to another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter, maximum_filter

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.kernels.diffim import chebyshev_terms, find_isolated_peaks, gaussian_basis, stamp_equations
from etendue.tasks.diffim.matching_kernel import MatchingKernel, scaled_coordinates
from etendue.tasks.task import Task, TaskConfig

_MAD_TO_SIGMA = 1.4826


class FitKernelConfig(TaskConfig):
    """Basis, stars and rejection."""

    sigmas: tuple[float, ...] = (0.7, 1.4, 2.8)
    """Widths of the Gaussians, in units of the science PSF's sigma."""

    degrees: tuple[int, ...] = (4, 2, 2)
    """Polynomial degree that multiplies each Gaussian."""

    half_widths: float = Field(3.3, gt=0.0)
    """Half-size of the kernel in units of its widest Gaussian."""

    spatial_order: int = Field(2, ge=0, le=4)
    """Chebyshev order of the kernel over the image; lowered where stars are few."""

    background_order: int = Field(2, ge=0, le=4)
    """Chebyshev order of the differential background."""

    min_snr: float = Field(20.0, gt=0.0)
    """Faintest stars used."""

    max_snr: float = Field(1000.0, gt=0.0)
    """Brightest stars used."""

    stamp_half: int = Field(8, ge=3)
    """Half-size of the stamps around stars [px]."""

    cell: int = Field(128, ge=16)
    """Side of the cells in which stars are counted [px]."""

    stars_per_cell: int = Field(8, ge=1)
    """Stars kept in each cell, brightest first."""

    min_stars: int = Field(8, ge=1)
    """Fewer stars are a failure."""

    model_error: float = Field(0.03, ge=0.0)
    """Error of the matched model assumed while fitting, as a fraction of the brightest pixel next to it."""

    iterations: int = Field(4, ge=1)
    """Fits, with outlier rejection in between."""

    reject_sigma: float = Field(4.0, gt=0.0)
    """Stamps with chi-square this many robust sigma above the median are rejected."""


@dataclass(frozen=True, slots=True)
class KernelFit:
    """The kernel and how well it fits.

    Parameters
    ----------
    kernel : MatchingKernel
        The solution.
    x, y : ndarray, float64, shape (n,)
        Stars tried, parent pixels.
    used : ndarray, bool, shape (n,)
        Stars that remained.
    chi2_per_pixel : float
        Median over used stamps.
    """

    kernel: MatchingKernel
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    used: NDArray[np.bool_]
    chi2_per_pixel: float


class FitKernelTask(Task[FitKernelConfig]):
    """Alard-Lupton fit: Gaussians times polynomials, Chebyshev in space, stamps around stars."""

    def run(
        self,
        *,
        source: NDArray[np.float32],
        target: NDArray[np.float32],
        variance: NDArray[np.float32],
        bad: NDArray[np.bool_],
        bbox: Box,
        psf_sigma: float,
    ) -> KernelFit:
        """Fit ``target = K * source + background``.

        Parameters
        ----------
        source, target : ndarray, float32, shape (ny, nx)
            Finite everywhere; same flux unit.
        variance : ndarray, float32, shape (ny, nx)
            Noise of target and source together.
        bad : ndarray, bool, shape (ny, nx)
            Pixels that no stamp may contain.
        bbox : Box
            Parent pixels of the arrays.
        psf_sigma : float
            Width of the target's PSF [px].

        Returns
        -------
        KernelFit

        Raises
        ------
        AlgorithmError
            If fewer than ``min_stars`` stars are usable.
        """
        config = self.config
        sigmas = [s * psf_sigma for s in config.sigmas]
        half = max(3, int(np.ceil(config.half_widths * max(sigmas))))
        basis = gaussian_basis(sigmas, config.degrees, half)
        x, y = self._stars(source, variance, bad, psf_sigma, half)
        if x.size < config.min_stars:
            raise AlgorithmError("Too few stars to match the PSFs", stars=int(x.size), needed=config.min_stars)
        total = variance + (np.float32(config.model_error) * maximum_filter(source, 3)) ** 2
        inverse = np.where(bad, np.float32(0.0), 1.0 / np.maximum(total, 1e-30)).astype(np.float32)
        equations = stamp_equations(source, target, inverse, x, y, basis, config.stamp_half)
        parent_x = np.asarray(x + bbox.x.start, dtype=np.float64)
        parent_y = np.asarray(y + bbox.y.start, dtype=np.float64)
        orders = (self._affordable(config.spatial_order, x.size), self._affordable(config.background_order, x.size))
        terms = [chebyshev_terms(*scaled_coordinates(bbox, x=parent_x, y=parent_y), order) for order in orders]
        coefficients, background, used, chi2 = self._solve(equations, terms[0], terms[1])
        kernel = MatchingKernel(basis, coefficients, background, bbox, *orders)
        return KernelFit(kernel, parent_x, parent_y, used, chi2 / (2 * config.stamp_half + 1) ** 2)

    def _stars(
        self,
        source: NDArray[np.float32],
        variance: NDArray[np.float32],
        bad: NDArray[np.bool_],
        psf_sigma: float,
        half: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return isolated stars, at most ``stars_per_cell`` in each cell."""
        config = self.config
        norm = np.float32(2.0 * np.sqrt(np.pi) * psf_sigma)  # sqrt of the effective area of a Gaussian
        snr = norm * gaussian_filter(source, psf_sigma) / np.sqrt(np.maximum(variance, 1e-30))
        reach = config.stamp_half + half
        if min(source.shape) <= 2 * reach:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        x, y = find_isolated_peaks(snr.astype(np.float32), bad, config.min_snr, config.max_snr, config.stamp_half)
        ny, nx = source.shape
        inside = (x >= reach) & (x < nx - reach) & (y >= reach) & (y < ny - reach)
        x, y = x[inside], y[inside]
        cell = (y // config.cell) * (nx // config.cell + 1) + x // config.cell
        order = np.lexsort((-snr[y, x], cell))
        starts = np.searchsorted(cell[order], cell[order])
        chosen = np.sort(order[np.arange(order.size) - starts < config.stars_per_cell])
        return x[chosen], y[chosen]

    def _affordable(self, order: int, n_stars: int) -> int:
        """Lower a spatial order until there are twenty stars per term."""
        while order > 0 and n_stars < 20 * (order + 1) * (order + 2) // 2:
            order -= 1
        return order

    def _solve(
        self,
        equations: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        spatial: NDArray[np.float64],
        sky: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float]:
        """Solve with rejection of stamps that do not fit."""
        matrix, vector, square = equations
        used = np.ones(square.size, np.bool_)
        for iteration in range(self.config.iterations):
            coefficients, background = _solution(matrix[used], vector[used], spatial[:, used], sky[:, used])
            local = np.concatenate([(coefficients @ spatial).T, (background @ sky)[:, None]], axis=1)
            chi2 = np.einsum("ni,nij,nj->n", local, matrix, local, optimize=True) - 2.0 * (local * vector).sum(axis=1)
            chi2 += square
            median = float(np.median(chi2[used]))
            if iteration + 1 < self.config.iterations:
                scatter = _MAD_TO_SIGMA * float(np.median(np.abs(chi2[used] - median)))
                accepted = chi2 <= median + self.config.reject_sigma * scatter
                used = accepted if accepted.sum() >= self.config.min_stars else used
        return coefficients, background, used, median


def _solution(
    matrix: NDArray[np.float64], vector: NDArray[np.float64], spatial: NDArray[np.float64], sky: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the normal equations of all stamps; the spatial terms multiply each stamp's own equations."""
    b, n_spatial, n_sky = matrix.shape[1] - 1, spatial.shape[0], sky.shape[0]
    kernel_size = b * n_spatial
    normal = np.empty((kernel_size + n_sky, kernel_size + n_sky))
    outer = np.einsum("an,cn->nac", spatial, spatial).reshape(len(matrix), -1)
    blocks = outer.T @ matrix[:, :b, :b].reshape(len(matrix), -1)
    normal[:kernel_size, :kernel_size] = (
        blocks.reshape(n_spatial, n_spatial, b, b).transpose(2, 0, 3, 1).reshape(kernel_size, kernel_size)
    )
    mixed = np.einsum("an,cn->nac", spatial, sky).reshape(len(matrix), -1).T @ matrix[:, :b, b]
    normal[:kernel_size, kernel_size:] = mixed.reshape(n_spatial, n_sky, b).transpose(2, 0, 1).reshape(kernel_size, -1)
    normal[kernel_size:, :kernel_size] = normal[:kernel_size, kernel_size:].T
    normal[kernel_size:, kernel_size:] = (sky * matrix[:, b, b]) @ sky.T
    right = np.concatenate([(spatial @ vector[:, :b]).T.ravel(), sky @ vector[:, b]])
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
    solution = scale * np.linalg.lstsq(normal * scale[:, None] * scale, right * scale, rcond=1e-9)[0]
    return solution[:kernel_size].reshape(b, n_spatial), solution[kernel_size:]
