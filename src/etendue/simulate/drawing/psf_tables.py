"""The Fourier transforms of a detector's PSF, and what its images say about the stamps that are needed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from etendue.kernels.psf_shape import psf_moments
from etendue.simulate.drawing.stamp_class import SIZES, StampClass
from etendue.simulate.telescope.chip_psf import ChipPsf

Vector = NDArray[np.float64]

_STRETCH_STEP = 0.02  # linear interpolation over 2% of the width errs by 1e-4 of the peak at most
_WING_ERROR = 0.1  # of a wing's brightness, where the coarse grid draws it
_MOMENT_OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Mix:
    """Tables that are mixed at each of n places.

    Parameters
    ----------
    key : ndarray, int64, shape (n, 8)
        Stretch times nodes, plus node.
    weight : ndarray, float32, shape (n, 8)
        Weights, sum 1.
    """

    key: NDArray[np.int64]
    weight: NDArray[np.float32]

    def of(self, values: Vector) -> Vector:
        """Mix one value per table.

        Parameters
        ----------
        values : ndarray, float64, shape (tables,)
            Values by key.

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        return np.einsum("nk,nk->n", values[self.key], self.weight)


class PsfTables:
    """Transforms of the PSF's images at some stretches, made as they are needed.

    Parameters
    ----------
    psf : ChipPsf
        PSF of the detector.
    wavelength_nm : ndarray, float64, shape (n,)
        Effective wavelengths of all sources [nm].
    peak_lost : float
        Share of a star's peak at wavenumbers that are left out, and share of its light that samples may alias.
    """

    def __init__(self, psf: ChipPsf, wavelength_nm: Vector, peak_lost: float = 1e-4):
        self.psf = psf
        self._peak_lost = peak_lost
        stretch = self.stretch(wavelength_nm) if wavelength_nm.size else np.ones(1)
        low, high = float(stretch.min()), float(stretch.max())
        intervals = int(np.ceil((high / low - 1.0) / _STRETCH_STEP)) if high > low * (1.0 + 1e-9) else 0
        self.stretches = np.linspace(low, high, intervals + 1)
        size = psf.images.shape[-1]
        self.nodes = psf.images.shape[0] * psf.images.shape[1]
        self._images = psf.images.reshape(self.nodes, size, size)
        self.half_px = 0.5 * size / psf.oversampling * high
        self._cores: dict[StampClass, Vector] = {}

    def stretch(self, wavelength_nm: Vector) -> Vector:
        """Return the PSF's width relative to its images'.

        Parameters
        ----------
        wavelength_nm : ndarray, float64, shape (n,)
            Wavelengths [nm].

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        return (wavelength_nm / self.psf.reference_nm) ** self.psf.chromatic_index

    def mix(self, x: Vector, y: Vector, wavelength_nm: Vector) -> Mix:
        """Return which tables make up the PSF at some places: bilinear in x and y, linear in the stretch.

        Parameters
        ----------
        x, y, wavelength_nm : ndarray, float64, shape (n,)
            Trimmed pixels and wavelengths [px, nm].

        Returns
        -------
        Mix
        """
        nx = self.psf.nodes_x.size
        (x0, x1, wx), (y0, y1, wy) = _between(self.psf.nodes_x, x), _between(self.psf.nodes_y, y)
        s0, s1, ws = _between(self.stretches, self.stretch(wavelength_nm))
        keys, weights = [], []
        for table, w_s in ((s0, 1.0 - ws), (s1, ws)):
            for row, w_y in ((y0, 1.0 - wy), (y1, wy)):
                for column, w_x in ((x0, 1.0 - wx), (x1, wx)):
                    keys.append((table * self.psf.nodes_y.size + row) * nx + column)
                    weights.append(w_s * w_y * w_x)
        return Mix(np.stack(keys, 1), np.stack(weights, 1).astype(np.float32))

    @cached_property
    def _offsets(self) -> Vector:
        """Distances of the samples from the middle one along an axis [px]."""
        size = self._images.shape[-1]
        return (np.arange(size) - (size - 1) / 2) / self.psf.oversampling

    @cached_property
    def _amplitude(self) -> tuple[Vector, Vector, Vector]:
        """Wavenumbers of an axis [rad/px], the amplitude summed over the square of each, the largest outside it."""
        chosen = np.unique(np.linspace(0, self.nodes - 1, min(self.nodes, 5)).astype(int))
        size = fft.next_fast_len(self._images.shape[-1], real=True)
        amplitude = np.abs(fft.rfft2(self._images[chosen], s=(size, size))).max(axis=0)
        wave = 2.0 * np.pi * self.psf.oversampling * np.arange(size // 2 + 1) / size
        ky = np.abs(2.0 * np.pi * self.psf.oversampling * fft.fftfreq(size))
        box = np.maximum(ky[:, None], wave[None, :])
        pixel = np.abs(np.sinc(ky[:, None] / (2 * np.pi)) * np.sinc(wave[None, :] / (2 * np.pi)))
        ring = np.rint(box / wave[1]).astype(int).ravel()
        power = np.bincount(ring, (amplitude * pixel).ravel(), wave.size).astype(np.float64)
        return wave, power, _largest_beyond(ring, amplitude.ravel(), wave.size)

    @cached_property
    def highest(self) -> float:
        """Wavenumber per axis beyond which ``peak_lost`` of a star's peak is [rad/px]."""
        wave, power, _ = self._amplitude
        beyond = 1.0 - np.cumsum(power) / power.sum()
        return float(wave[min(int(np.argmax(beyond < self._peak_lost)) + 1, wave.size - 1)] / self.stretches[0])

    @cached_property
    def _folded(self) -> tuple[Vector, NDArray[np.float32]]:
        """Samples that are enough, a stride apart: distances [px], (q,); sums of the four quadrants, (4, nodes, q, q).

        All classes share them: the levels of split light must see the same PSF. The quadrants are even in both
        directions, odd along x, odd along y, odd along both; the middle row and column count half.
        """
        wave, _, envelope = self._amplitude
        negligible = (
            wave[int(np.argmax(envelope < self._peak_lost))] if np.any(envelope < self._peak_lost) else wave[-1]
        )
        per_px = 2.0 * np.pi * self.psf.oversampling
        stride = max(1, int(per_px / (negligible + self.highest * self.stretches[-1])))
        middle = (self._images.shape[-1] - 1) // 2
        samples = self._images[:, middle % stride :: stride, middle % stride :: stride]
        right, left = samples[:, :, middle // stride :], samples[:, :, middle // stride :: -1]
        quadrants = []
        for along_x in (right + left, right - left):
            lower, upper = along_x[:, middle // stride :], along_x[:, middle // stride :: -1]
            quadrants += [lower + upper, lower - upper]
        folded = np.stack([quadrants[0], quadrants[2], quadrants[1], quadrants[3]])
        folded[..., 0] *= 0.5
        folded[..., 0, :] *= 0.5
        return self._offsets[middle::stride][: folded.shape[-1]], folded

    def half_rows(self, kind: StampClass) -> int:
        """Return the highest wavenumber drawn in stamps of a class, in steps of ``2 pi / (size cell)``.

        Parameters
        ----------
        kind : StampClass
            Class.

        Returns
        -------
        int
        """
        steps = int(np.ceil(self.highest * kind.size * kind.cell / (2.0 * np.pi)))
        return steps if kind.cell == 1 else min(steps, kind.size // 2)

    def spectra(self, kind: StampClass, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the transforms that stamps of a class are made of.

        Parameters
        ----------
        kind : StampClass
            Class.
        keys : ndarray, int64, shape (m,)
            Ascending keys, as in `Mix`.

        Returns
        -------
        ndarray, float32, shape (m, 2, 2 h + 1, h + 1)
            Real and imaginary parts at wavenumbers from ``-h`` (rows) and 0 (columns) to ``h``, pixel response
            included.
        """
        half = self.half_rows(kind)
        k = 2.0 * np.pi / (kind.size * kind.cell) * np.arange(half + 1, dtype=np.float64)
        r, folded = self._folded
        if kind.tapered:
            r = r[r <= kind.reach]
            folded = folded[..., : r.size, : r.size] * kind.taper(np.hypot(r[:, None], r[None, :])).astype(np.float32)
        window = kind.window(k[None, :], k[:, None]).astype(np.float32)
        core = self.core(kind).astype(np.float32)
        result = np.empty((keys.size, 2, 2 * half + 1, half + 1), np.float32)
        for table in np.unique(keys // self.nodes):
            mine = slice(*np.searchsorted(keys, [table * self.nodes, (table + 1) * self.nodes]))
            node = keys[mine] % self.nodes
            phase = np.outer(self.stretches[table] * r, k)
            _transform(folded[:, node], phase, core[node], window, result[mine])
        return result

    def core(self, kind: StampClass) -> Vector:
        """Return the share of the PSF's light that stamps of a class hold.

        Parameters
        ----------
        kind : StampClass
            Class.

        Returns
        -------
        ndarray, float64, shape (nodes,)
            At each node.
        """
        if kind not in self._cores:
            self._cores[kind] = self._core(kind) if kind.tapered else np.ones(self.nodes)
        return self._cores[kind]

    def _core(self, kind: StampClass) -> Vector:
        inside = np.flatnonzero(np.abs(self._offsets) <= kind.reach)
        r = self._offsets[inside]
        taper = kind.taper(np.hypot(r[:, None], r[None, :])).astype(np.float32)
        cut = self._images[:, inside[0] : inside[-1] + 1, inside[0] : inside[-1] + 1]
        return np.minimum([(image * taper).sum(dtype=np.float64) for image in cut], 1.0)

    @cached_property
    def mean_image(self) -> Vector:
        """Mean over the nodes, a sample per pixel, of unit sum; ndarray, float64, shape (size, size)."""
        every = self.psf.oversampling
        middle = (self._images.shape[-1] - 1) // 2
        coarse = self._images[:, middle % every :: every, middle % every :: every]
        mean = coarse.mean(axis=0, dtype=np.float64)
        return mean / mean.sum()

    @cached_property
    def _wing_error(self) -> Vector:
        """Largest error of a wing drawn from the mean PSF, beyond a radius in whole pixels [1 / px**2]."""
        every = self.psf.oversampling
        middle = (self._images.shape[-1] - 1) // 2
        coarse = self._images[:, middle % every :: every, middle % every :: every] * np.float32(every**2)
        mean = coarse.mean(axis=0)
        spread = np.abs(coarse - mean).max(axis=0)
        share = _WING_ERROR + 2.0 * (self.stretches[-1] / self.stretches[0] - 1.0)
        r = np.arange(mean.shape[0]) - middle // every
        ring = np.hypot(r[:, None], r[None, :]).astype(int).ravel()
        return _largest_beyond(ring, (spread + share * np.abs(mean)).ravel(), int(ring.max()) + 1)

    def unit_error(self, size: int) -> float:
        """Return the largest error per pixel of a star of one electron in stamps of a size.

        Parameters
        ----------
        size : int
            Cells per side.

        Returns
        -------
        float
            0 where the stamp holds the whole PSF [1 / px**2].
        """
        if self.holds(size):
            return 0.0
        error = self._wing_error
        radius = int(StampClass(size, tapered=True).trusted)
        return float(error[radius]) if radius < error.size else 0.0

    def holds(self, size: int) -> bool:
        """Return whether stamps of a size hold the whole PSF.

        Parameters
        ----------
        size : int
            Cells per side.

        Returns
        -------
        bool
        """
        return self.half_px + 1.5 <= 0.5 * size

    @cached_property
    def fwhm(self) -> float:
        """Width of the circle that has the area above half of the peak, of the mean PSF without pixels [px]."""
        image = self._images.mean(axis=0)
        return float(2.0 * np.sqrt(np.sum(image > 0.5 * image.max()) / np.pi) / self.psf.oversampling)

    def moments(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return adaptive moments and effective areas of the PSF with pixels.

        Parameters
        ----------
        keys : ndarray, int64, shape (m,)
            Ascending keys, as in `Mix`.

        Returns
        -------
        ndarray, float64, shape (4, m)
            Ixx, Iyy, Ixy [px**2] and ``1 / integral(psf**2)`` [px**2].
        """
        fitting = [size for size in SIZES if size >= 8.0 * self.fwhm]
        kind = StampClass(fitting[0] if fitting else SIZES[-1], tapered=True)
        half, fine = self.half_rows(kind), _MOMENT_OVERSAMPLING * kind.size
        while fine < 2 * half + 2:
            fine *= 2
        ratio = fine // kind.size
        spectra = self.spectra(kind, keys)
        padded = np.zeros((keys.size, fine, fine // 2 + 1), np.complex64)
        sign = (-1.0) ** np.add.outer(np.arange(-half, half + 1), np.arange(half + 1))
        padded[:, np.arange(-half, half + 1) % fine, : half + 1] = (spectra[:, 0] + 1j * spectra[:, 1]) * sign
        images = np.ascontiguousarray(fft.irfft2(padded, s=(fine, fine), axes=(1, 2)), np.float32) * np.float32(
            ratio**2
        )
        moments = np.stack(psf_moments(images, 0.5 * self.fwhm * ratio)) / ratio**2
        area = ratio**2 / np.einsum("nij,nij->n", images, images, dtype=np.float64)  # of all its light
        return np.concatenate([moments, area[None]])


def _between(nodes: Vector, values: Vector) -> tuple[NDArray[np.int64], NDArray[np.int64], Vector]:
    """Return the nodes before and after, and the way from one to the other; the outermost nodes hold outside."""
    low = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, max(nodes.size - 2, 0))
    high = np.minimum(low + 1, nodes.size - 1)
    width = np.where(high > low, nodes[high] - nodes[low], 1.0)
    return low, high, np.clip((values - nodes[low]) / width, 0.0, 1.0) * (high > low)


def _largest_beyond(ring: NDArray[np.int64], values: Vector, rings: int) -> Vector:
    """Return the largest of the values in each ring and all rings outside it."""
    largest = np.zeros(max(rings, int(ring.max()) + 1))
    np.maximum.at(largest, ring, values)
    return np.maximum.accumulate(largest[::-1])[::-1][:rings]


def _transform(
    folded: NDArray[np.float32],
    phase: Vector,
    total: NDArray[np.float32],
    window: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill the transforms ``sum f exp(-i (kx x + ky y))`` of folded images, scaled to a sum, times a window.

    Parameters
    ----------
    folded : ndarray, float32, shape (4, n, q, q)
        Even, odd along x, odd along y, odd along both.
    phase : ndarray, float64, shape (q, h + 1)
        Distances times wavenumbers.
    total : ndarray, float32, shape (n,)
        Sums.
    window : ndarray, float32, shape (h + 1, h + 1)
        Over wavenumbers of both axes.
    out : ndarray, float32, shape (n, 2, 2 h + 1, h + 1)
        Real and imaginary parts.
    """
    cos, sin = np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)
    even, odd_x, odd_y, odd = (
        np.matmul(by_y.T, (images.reshape(-1, images.shape[-1]) @ by_x).reshape(*images.shape[:2], -1))
        for images, by_y, by_x in zip(folded, (cos, cos, sin, sin), (cos, sin, cos, sin), strict=True)
    )
    scaled = (total / even[:, 0, 0])[:, None, None] * window
    for part in (even, odd_x, odd_y, odd):
        part *= scaled
    middle = out.shape[-1] - 1
    np.subtract(even, odd, out=out[:, 0, middle:])
    np.add(even, odd, out=out[:, 0, middle::-1])
    np.add(odd_x, odd_y, out=out[:, 1, middle:])
    np.negative(out[:, 1, middle:], out=out[:, 1, middle:])
    np.subtract(odd_y, odd_x, out=out[:, 1, middle::-1])
