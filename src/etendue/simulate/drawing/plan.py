"""Which stamps draw which sources: trails cut into segments, sizes by brightness, large light split by level."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.drawing import sersic
from etendue.simulate.drawing.psf_tables import PsfTables
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.drawing.stamp_class import FACTOR, SIZES, StampClass, coarse_class

Vector = NDArray[np.float64]

_SEGMENT = 32.0


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is drawn at once: sources at rest, or segments of trails; columns of shape (n,).

    Parameters
    ----------
    source : ndarray, int64
        Row of the sources.
    x, y : ndarray, float64
        Middles [px].
    trail_dx, trail_dy : ndarray, float64
        From the beginning to the end [px].
    electrons : ndarray, float64
        Electrons of the piece.
    wavelength_nm : ndarray, float64
        Effective wavelengths [nm].
    """

    source: NDArray[np.int64]
    x: Vector
    y: Vector
    trail_dx: Vector
    trail_dy: Vector
    electrons: Vector
    wavelength_nm: Vector

    def take(self, rows: NDArray) -> "Pieces":
        """Return some pieces.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Pieces
        """
        return Pieces(*(getattr(self, name)[rows] for name in self.__slots__))


def cut_trails(sources: Sources) -> Pieces:
    """Cut trails into segments of at most 32 px; other sources are one piece each.

    Parameters
    ----------
    sources : Sources
        Sources.

    Returns
    -------
    Pieces
        Without pieces of no light.
    """
    length = np.maximum(np.abs(sources.trail_dx), np.abs(sources.trail_dy))
    count = np.where(sources.electrons > 0.0, np.maximum(np.ceil(length / _SEGMENT), 1.0), 0.0).astype(np.int64)
    owner = np.repeat(np.arange(len(sources)), count)
    place = np.arange(owner.size) - (np.cumsum(count) - count)[owner]
    along = (place + 0.5) / count[owner] - 0.5
    return Pieces(
        source=owner,
        x=sources.x[owner] + along * sources.trail_dx[owner],
        y=sources.y[owner] + along * sources.trail_dy[owner],
        trail_dx=sources.trail_dx[owner] / count[owner],
        trail_dy=sources.trail_dy[owner] / count[owner],
        electrons=sources.electrons[owner] / count[owner],
        wavelength_nm=sources.wavelength_nm[owner],
    )


def shape_radii(sources: Sources, floor: float) -> tuple[Vector, Vector]:
    """Return how far sources reach from their positions before the PSF.

    Parameters
    ----------
    sources : Sources
        Sources.
    floor : float
        Surface brightness [electrons / px**2].

    Returns
    -------
    bright, half_light : ndarray, float64, shape (n,)
        Radii along the major axes, offsets of parts included, of the light brighter than the floor and of half of the
        light; 0 for points [px].
    """
    flux, x, y, sxx, syy, sxy = sources.parts.T
    owner = np.repeat(np.arange(len(sources)), np.diff(sources.first))
    area_radius = np.maximum(sxx * syy - sxy * sxy, 0.0) ** 0.25
    longest = np.sqrt(0.5 * (sxx + syy) + np.hypot(0.5 * (sxx - syy), sxy))
    bright = sersic.bright_radius(flux * sources.electrons[owner], area_radius, sources.sersic, floor)
    reach = bright * longest / np.maximum(area_radius, 1e-9) + np.hypot(x, y)
    largest, half_light = np.zeros((2, len(sources)))
    np.maximum.at(largest, owner, reach)
    np.maximum.at(half_light, owner, np.minimum(longest + np.hypot(x, y), reach))
    return largest, half_light


def classify(
    pieces: Pieces, radius: Vector, half_light: Vector, tables: PsfTables, floor: float
) -> list[tuple[StampClass, NDArray[np.int64]]]:
    """Choose the stamps of each piece.

    Parameters
    ----------
    pieces : Pieces
        Pieces.
    radius : ndarray, float64, shape (n,)
        Where the shapes of the pieces end; 0 for points [px].
    half_light : ndarray, float64, shape (n,)
        Half-light radii, by which shapes spread the PSF's wings; 0 for points [px].
    tables : PsfTables
        PSF.
    floor : float
        Error allowed per pixel [electrons].

    Returns
    -------
    list of (StampClass, ndarray of int64)
        Classes and the rows of the pieces that they draw; a piece that is split has several.
    """
    trail = 0.5 * np.maximum(np.abs(pieces.trail_dx), np.abs(pieces.trail_dy))
    shape = np.where(radius > 0.0, radius + tables.fwhm + 2.0, 0.0)
    errors = np.array([tables.unit_error(size) for size in SIZES])
    bright = np.sum(pieces.electrons[:, None] * errors[None, :] > floor, axis=1)
    sizes = np.array([*SIZES, np.ceil(2.0 * tables.half_px + 4.0)])
    needed = np.maximum(sizes[bright] + 2.0 * half_light, 2.0 * shape) + 2.0 * trail
    choice = np.searchsorted(SIZES, needed)
    plan = []
    for i, size in enumerate(SIZES):
        rows = np.flatnonzero(choice == i)
        if rows.size:
            plan.append((StampClass(size, tapered=not tables.holds(size)), rows))
    return plan + _split(np.flatnonzero(choice == len(SIZES)), 0.5 * needed + shape)  # coarse stamps are cheap


def _split(rows: NDArray[np.int64], radius: Vector) -> list[tuple[StampClass, NDArray[np.int64]]]:
    """Return classes for pieces that no single stamp holds: a sharp one and coarser ones."""
    plan: list[tuple[StampClass, NDArray[np.int64]]] = []
    kinds: dict[StampClass, list[int]] = {}
    if rows.size:
        plan.append((StampClass(SIZES[-1], split=True), rows))
    for row in rows:
        cell, open_ = FACTOR, True
        while open_:
            kind = coarse_class(float(radius[row]), cell)
            kinds.setdefault(kind, []).append(int(row))
            cell, open_ = cell * FACTOR, kind.split
    return plan + [(kind, np.array(members)) for kind, members in kinds.items()]
