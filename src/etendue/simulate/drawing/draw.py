"""Draw lights through a detector's PSF: expected electrons, and the PSF at every source."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import fft
from threadpoolctl import ThreadpoolController

from etendue.errors import InputError
from etendue.kernels.light_spectra import add_stamps, light_spectra
from etendue.simulate.drawing import sersic
from etendue.simulate.drawing.canvas import MARGIN, Canvases, Wings
from etendue.simulate.drawing.plan import Pieces, classify, cut_trails, shape_radii
from etendue.simulate.drawing.psf_tables import PsfTables
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.drawing.stamp_class import StampClass
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.telescope.chip_psf import ChipPsf

Vector = NDArray[np.float64]

_BATCH_CELLS = 262_144
_TILE = 128
_SHARP = 5e-6  # of the peak, for single stamps


class DrawSpec(BaseModel):
    """How exactly sources are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    floor: float = Field(0.1, gt=0.0)
    """Error allowed per pixel and source from light that is cut, folded back or drawn from a mean PSF [electrons]."""

    peak_lost: float = Field(1e-4, gt=0.0, le=0.1)
    """Share of a star's peak at wavenumbers that are left out; adaptive moments of cusps err by ten times that."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnTruth:
    """The PSF, pixels included, at every source; columns of shape (n,).

    Parameters
    ----------
    ixx, iyy, ixy : ndarray, float64
        Adaptive second moments [px**2]; mixed from those of the PSF's nodes. NaN where the iteration fails, as for
        wide donuts.
    effective_area : ndarray, float64
        ``1 / integral(psf**2)`` [px**2].
    """

    ixx: Vector
    iyy: Vector
    ixy: Vector
    effective_area: Vector


def draw(
    image: NDArray[np.float32],
    sources: Sources,
    psf: ChipPsf,
    spec: DrawSpec | None = None,
    *,
    origin_x: int = 0,
    origin_y: int = 0,
) -> DrawnTruth:
    """Add the expected electrons of sources to an image; no noise.

    Every source is drawn in Fourier space: the transform of the PSF at its place and wavelength, of the pixel, of its
    profiles, of its trail. Small stamps hold the bright part; what is left over of a star, and the smooth part of large
    galaxies and bright stars, are drawn on grids of 4, 16 and 64 px cells and spread by quintic splines. The
    sum of a source over an infinite image is its electrons. Sharp PSFs ring below zero, by 1e-4 of a star's peak.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place [electrons].
    sources : Sources
        What shines, on the detector and around it.
    psf : ChipPsf
        PSF of the detector.
    spec : DrawSpec, optional
        How exactly.
    origin_x, origin_y : int
        Trimmed pixel of the image's first one, for cut-outs [px].

    Returns
    -------
    DrawnTruth

    Raises
    ------
    InputError
        The image is not a C-contiguous plane of float32.
    """
    if image.dtype != np.float32 or image.ndim != 2 or not image.flags.c_contiguous:
        raise InputError(
            "image must be a C-contiguous plane of float32", source="draw", value=f"{image.dtype} {image.shape}"
        )
    with _one_thread().limit(limits=1):
        return _draw(image, sources, psf, spec or DrawSpec(), (origin_x, origin_y))


@cache
def _one_thread() -> ThreadpoolController:
    """Control of BLAS: its threads gain nothing on small products and cost much on a busy machine."""
    return ThreadpoolController()


def _draw(
    image: NDArray[np.float32], sources: Sources, psf: ChipPsf, spec: DrawSpec, origin: tuple[int, int]
) -> DrawnTruth:
    tables = PsfTables(psf, sources.wavelength_nm, spec.peak_lost)
    pieces = cut_trails(sources)
    radius, half_light = (values[pieces.source] for values in shape_radii(sources, 0.5 * spec.floor))
    brush = _Brush(image, sources, tables, origin)
    for kind, rows in classify(pieces, radius, half_light, tables, 0.5 * spec.floor):
        brush.draw(kind, pieces.take(rows))
    brush.finish()
    return _truth(sources, tables)


class _Brush:
    """Draws pieces of one class after the other."""

    def __init__(self, image: NDArray[np.float32], sources: Sources, tables: PsfTables, origin: tuple[int, int]):
        self._image = image
        self._sources = sources
        self._tables = tables
        self._origin = origin
        self._canvases = Canvases((image.shape[0], image.shape[1]))
        self._wings = Wings((image.shape[0], image.shape[1]), tables)
        self._rows, self._weights = sersic.rows(sources.sersic)

    def draw(self, kind: StampClass, pieces: Pieces) -> None:
        """Draw the stamps of one class; remember its wings."""
        if kind.tapered:
            self._remember_wings(kind, pieces)
        target = self._image if kind.cell == 1 else self._canvases.at(kind.cell)
        margin = 0 if kind.cell == 1 else MARGIN
        x = (pieces.x - self._origin[0]) / kind.cell + margin
        y = (pieces.y - self._origin[1]) / kind.cell + margin
        visible = _visible(x, target.shape[1], kind.size) & _visible(y, target.shape[0], kind.size)
        rows = np.flatnonzero(visible)
        rows = rows[np.lexsort((x[rows] // _TILE, y[rows] // _TILE))]
        if rows.size:
            self._stamp(kind, pieces.take(rows), x[rows], y[rows], target)

    def _remember_wings(self, kind: StampClass, pieces: Pieces) -> None:
        mix = self._tables.mix(pieces.x, pieces.y, pieces.wavelength_nm)
        left = 1.0 - np.tile(self._tables.core(kind), self._tables.stretches.size)
        x, y = pieces.x - self._origin[0], pieces.y - self._origin[1]
        self._wings.add(kind, x, y, pieces.electrons * mix.of(left))

    def _stamp(self, kind: StampClass, pieces: Pieces, x: Vector, y: Vector, target: NDArray[np.float32]) -> None:
        mix = self._tables.mix(pieces.x, pieces.y, pieces.wavelength_nm)
        keys, key = np.unique(mix.key, return_inverse=True)
        spectra, key = self._tables.spectra(kind, keys), key.reshape(mix.key.shape)
        corner_x = np.rint(x).astype(np.int64) - kind.size // 2
        corner_y = np.rint(y).astype(np.int64) - kind.size // 2
        sources, cell = self._sources, float(kind.cell)
        batch = max(1, _BATCH_CELLS // kind.size**2)
        waves = np.empty((batch, kind.size, kind.size // 2 + 1), np.complex64)
        for start in range(0, x.size, batch):
            now = slice(start, start + batch)
            part = waves[: x[now].size]
            light_spectra(
                part, spectra, key[now], mix.weight[now], pieces.electrons[now], x[now] - corner_x[now],
                y[now] - corner_y[now], pieces.trail_dx[now] / cell, pieces.trail_dy[now] / cell,
                sources.first[pieces.source[now]], sources.first[pieces.source[now] + 1], sources.parts, self._rows,
                self._weights, sersic.table(), sersic.STEEPNESS,
                cell,
            )  # fmt: skip
            stamps = fft.irfft2(part, s=(kind.size, kind.size), axes=(1, 2))
            add_stamps(target, stamps, corner_x[now], corner_y[now])

    def finish(self) -> None:
        """Add what is on the coarse grids."""
        self._wings.finish(self._canvases)
        self._canvases.spread(self._image)


def _visible(centre: Vector, length: int, size: int) -> NDArray[np.bool_]:
    """Return which stamps overlap the image along one axis."""
    return (centre > -0.5 * size - 1.0) & (centre < length + 0.5 * size + 1.0)


def _truth(sources: Sources, tables: PsfTables) -> DrawnTruth:
    mix = tables.mix(sources.x, sources.y, sources.wavelength_nm)
    keys, place = np.unique(mix.key, return_inverse=True)
    values = tables.moments(keys)[:, place.reshape(mix.key.shape)] if keys.size else np.zeros((4, 0, 8))
    return DrawnTruth(*np.einsum("vnk,nk->vn", values, mix.weight))


def draw_stamp(
    psf: ChipPsf,
    *,
    size: int,
    x: float,
    y: float,
    electrons: float = 1.0,
    wavelength_nm: float | None = None,
    shapes: Shapes | None = None,
    jacobian: NDArray[np.float64] | None = None,
    trail_dx: float = 0.0,
    trail_dy: float = 0.0,
    accuracy: float = 1e-8,
) -> NDArray[np.float32]:
    """Draw one source.

    Parameters
    ----------
    psf : ChipPsf
        PSF of the detector.
    size : int
        Pixels per side; the source is within half a pixel of pixel ``size // 2``.
    x, y : float
        Position on the detector [px]; the stamp keeps its place between pixels and the PSF there.
    electrons : float
        Electrons.
    wavelength_nm : float, optional
        Effective wavelength; by default that of the PSF's images [nm].
    shapes : Shapes, optional
        The first of these shapes is drawn; by default a point.
    jacobian : ndarray, float64, shape (2, 2), optional
        d(east, north)/d(x, y) [arcsec/px]; by default x is east, y is north and a pixel is an arcsecond.
    trail_dx, trail_dy : float
        Trail [px].
    accuracy : float
        Error allowed per pixel, as a fraction of the electrons.

    Returns
    -------
    ndarray, float32, shape (size, size)
        Expected electrons.
    """
    stamp = np.zeros((size, size), np.float32)
    source = Sources.of_shapes(
        x=x,
        y=y,
        electrons=electrons,
        wavelength_nm=psf.reference_nm if wavelength_nm is None else wavelength_nm,
        shape=-1 if shapes is None else 0,
        shapes=Shapes.none() if shapes is None else shapes,
        jacobian=np.eye(2) if jacobian is None else jacobian,
        trail_dx=trail_dx,
        trail_dy=trail_dy,
    )
    origin_x, origin_y = int(np.rint(x)) - size // 2, int(np.rint(y)) - size // 2
    spec = DrawSpec(floor=accuracy * max(electrons, 1e-30), peak_lost=_SHARP)
    draw(stamp, source, psf, spec, origin_x=origin_x, origin_y=origin_y)
    return stamp
