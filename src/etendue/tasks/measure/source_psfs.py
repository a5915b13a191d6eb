"""The PSF at the sources of a scene, as fits of galaxies need it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.psf_mixture import first_mixture, psf_mixture
from etendue.tasks.measure.scene import Scene

Real = NDArray[np.float64]
Index = NDArray[np.int64]
_MARGIN = 12  # px by which stamps reach beyond the largest window


def psf_mixtures(scene: Scene, cells: int) -> tuple[Real, Index]:
    """Write the PSF in cells of an image as sums of Gaussians.

    Parameters
    ----------
    scene : Scene
        Its PSF is written.
    cells : int
        Along each axis; one will do where the PSF does not vary.

    Returns
    -------
    mixtures : ndarray, float64, shape (cells**2, k, 4)
        Amplitudes and covariances xx, xy, yy [px**2].
    cell : ndarray, int64, shape (n,)
        Cell of every source.
    """
    count, (ny, nx) = (cells if scene.psf.order else 1), scene.residual.shape
    found, last = [], first_mixture(scene.sigma)
    for row in range(count):
        for col in range(count):
            x, y = scene.x0 + (col + 0.5) / count * nx, scene.y0 + (row + 0.5) / count * ny
            last = psf_mixture(scene.psf.draw(x=np.rint(x), y=np.rint(y)).value[0], last)
            found.append(last)
    col, row = (
        np.clip(np.nan_to_num(v) / n * count, 0, count - 1).astype(np.int64) for v, n in ((scene.x, nx), (scene.y, ny))
    )
    return np.stack(found), row * count + col


def psf_blocks(scene: Scene, x: Real, y: Real, half: Index, block: int) -> Iterator[tuple[int, Real, Index, Index]]:
    """Draw the PSF at the phases of sources, some at a time.

    Parameters
    ----------
    scene : Scene
        Its PSF is drawn.
    x, y : ndarray, float64, shape (n,)
        Centres [array px]; any place will do where they are not finite.
    half : ndarray, int64, shape (n,)
        Half sides of the sources' windows [px].
    block : int
        Sources whose PSFs are held in memory at once.

    Yields
    ------
    first : int
        First source of the block.
    stamps : ndarray, float64, shape (m, k, k)
        PSFs.
    x0, y0 : ndarray, int64, shape (m,)
        Array pixel of each stamp's first sample.
    """
    size = min(scene.psf.size, 2 * (int(half.max(initial=0)) + _MARGIN) + 1)
    for first in range(0, max(len(scene), 1), block):
        some = slice(first, first + block)
        column, row = (np.where(np.isfinite(v[some]), v[some], 0.0) for v in (x, y))
        stamps = scene.psf.draw(x=column + scene.x0, y=row + scene.y0, size=size)
        yield first, stamps.value, stamps.x0 - scene.x0, stamps.y0 - scene.y0
