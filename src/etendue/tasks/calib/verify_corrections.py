"""Judge what stars and the night sky say about flats: numbers with limits."""

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field

from etendue.image.exposure import Exposure
from etendue.tasks.calib.verdict import Verdict
from etendue.tasks.task import Task, TaskConfig

Maps = Mapping[str, Exposure]


class VerifyCorrectionsConfig(TaskConfig):
    """Configuration of `VerifyCorrectionsTask`: limits beyond which a product is not certified."""

    finite: float = Field(0.98, ge=0.0, le=1.0)
    """Least part of a map's pixels with a value."""

    illumination_range: float = Field(0.3, gt=0.0)
    """Largest difference of two places in an illumination correction."""

    residual_mag: float = Field(0.05, gt=0.0)
    """Largest scatter of the stars, or spots, about it [mag]."""

    fringe_rms: float = Field(0.2, gt=0.0)
    """Largest standard deviation of a fringe frame [parts of the sky's level]."""

    sky_range: float = Field(0.3, gt=0.0)
    """Largest difference between the 1st and the 99th percentile of a sky frame [parts of the sky's level]."""


class VerifyCorrectionsTask(Task[VerifyCorrectionsConfig]):
    """Compare illumination corrections, fringe frames and sky frames with limits."""

    def run(self, illuminations: Maps, fringes: Maps, skies: Maps) -> tuple[Verdict, ...]:
        """Judge the products of one detector.

        Parameters
        ----------
        illuminations, fringes, skies : mapping of str to Exposure
            By physical filter.

        Returns
        -------
        tuple of Verdict
            Empty without products.
        """
        return tuple(
            verdict
            for kind, maps, judge in (
                ("illumination", illuminations, self._illumination), ("fringe", fringes, self._fringe),
                ("sky", skies, self._sky),
            )
            for name, product in sorted(maps.items())
            for verdict in (self._finite(kind, name, product), *judge(product, name))
        )  # fmt: skip

    def _finite(self, kind: str, name: str, product: Exposure) -> Verdict:
        part = float(np.isfinite(product.image.array).mean())
        return Verdict(kind, "pixels with a value", name, part, self.config.finite, 1.0)

    def _illumination(self, product: Exposure, name: str) -> Iterator[Verdict]:
        span = float(np.ptp(product.image.array))
        yield Verdict("illumination", "largest difference", name, span, 0.0, self.config.illumination_range)
        scatter = float(product.metadata.get("rms_mag", float("nan")))
        yield Verdict("illumination", "scatter about it [mag]", name, scatter, 0.0, self.config.residual_mag)

    def _fringe(self, product: Exposure, name: str) -> Iterator[Verdict]:
        yield Verdict("fringe", "standard deviation", name, float(np.nanstd(product.image.array)), 0.0,
                      self.config.fringe_rms)  # fmt: skip

    def _sky(self, product: Exposure, name: str) -> Iterator[Verdict]:
        known = product.image.array[np.isfinite(product.image.array)]
        low, high = np.percentile(known, (1.0, 99.0)) if known.size else (np.nan, np.nan)
        yield Verdict("sky", "99th less 1st percentile", name, float(high - low), 0.0, self.config.sky_range)
