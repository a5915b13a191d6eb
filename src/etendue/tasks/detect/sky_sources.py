"""Choose empty places of an exposure, where only sky is measured: a monitor of background and noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.image.exposure import Exposure
from etendue.kernels.detect import is_empty
from etendue.tasks.task import Task, TaskConfig

_TRIES = 50  # candidates per place wanted, at most


class SkySourcesConfig(TaskConfig):
    """Choices of empty places."""

    count: int = Field(100, ge=1)
    """Places wanted."""

    margin: int = Field(8, ge=0)
    """Half side of the square around a place that must be empty [px]."""

    avoid_planes: tuple[str, ...] = (
        "BAD", "SAT", "INTRP", "CR", "EDGE", "DETECTED", "DETECTED_NEGATIVE", "NO_DATA", "STREAK", "VIGNETTED",
    )  # fmt: skip
    """Mask planes that make a pixel not empty."""

    fewest: int = Field(10, ge=1)
    """Fewer places than this are a failure."""


@dataclass(frozen=True, slots=True)
class SkySources:
    """Empty places in parent pixels."""

    x: NDArray[np.float64]  # (n,) [px]
    y: NDArray[np.float64]  # (n,) [px]


class SkySourcesTask(Task[SkySourcesConfig]):
    """Random pixels without anything detected around them, as LSST's sky sources."""

    def run(self, *, exposure: Exposure, seed: int = 0) -> SkySources:
        """Choose places.

        Parameters
        ----------
        exposure : Exposure
            With its detection planes set.
        seed : int
            Of the random places; for example the identifier of visit and detector.

        Returns
        -------
        SkySources
            ``count`` places, or as many as were found.

        Raises
        ------
        AlgorithmError
            If there are fewer than ``fewest``: the field is full.
        """
        config, mask, box = self.config, exposure.mask, exposure.bbox
        rng = np.random.default_rng(seed)
        n = _TRIES * config.count
        x, y = rng.integers(0, box.x.size, n), rng.integers(0, box.y.size, n)
        bits = np.int32(mask.bits(config.avoid_planes))
        empty = np.flatnonzero(is_empty(np.ascontiguousarray(mask.array), bits, x, y, config.margin))[: config.count]
        if empty.size < config.fewest:
            raise AlgorithmError(
                "too few empty places for sky sources: lower their margin", found=int(empty.size), tried=n
            )
        return SkySources((x[empty] + box.x.start).astype(np.float64), (y[empty] + box.y.start).astype(np.float64))
