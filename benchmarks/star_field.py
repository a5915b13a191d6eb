"""One simulated star field, rendered once and read by every side of a comparison."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SKY, SIGMA = 900.0, 1.4  # e-/px; px, a FWHM of 3.3 px
STARS_PER_MEGAPIXEL = 1000
EDGE = 20


@dataclass(frozen=True)
class StarField:
    """Pixels [e-], their variance and the sky that is in them; all sides compute on these arrays."""

    image: NDArray[np.float32]
    variance: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        np.save(folder / "image.npy", self.image)
        np.save(folder / "variance.npy", self.variance)

    @classmethod
    def load(cls, folder: Path) -> "StarField":
        return cls(np.load(folder / "image.npy"), np.load(folder / "variance.npy"))


def render(size: int, seed: int = 1) -> StarField:
    """Return round Gaussian stars, counts rising as 1/flux, on a sloping sky with Poisson noise."""
    from etendue.kernels.render import add_gaussians

    rng = np.random.default_rng(seed)
    n = max(1, round(STARS_PER_MEGAPIXEL * size**2 / 1e6))
    x, y = rng.uniform(-EDGE, size + EDGE, (2, n))
    flux = np.minimum(500.0 / rng.random(n), 3e5)
    moment = np.full(n, SIGMA**2)
    scene = np.zeros((size, size))
    add_gaussians(scene, x, y, flux, moment, moment, np.zeros(n), 1e-3)
    scene += SKY * (1.0 + 0.05 * np.linspace(-0.5, 0.5, size))
    image = rng.poisson(scene).astype(np.float32)
    return StarField(image, np.maximum(image, 1.0).astype(np.float32))


def gaussian_stamp(half: int = 5) -> NDArray[np.float64]:
    """Return the PSF of the field on a stamp, unit sum: the filter of the peer."""
    offset = np.arange(-half, half + 1)
    profile = np.exp(-0.5 * (offset / SIGMA) ** 2)
    stamp = np.outer(profile, profile)
    return stamp / stamp.sum()
