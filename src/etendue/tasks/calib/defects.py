"""Find defective pixels."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import median_filter

from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.tasks.task import Task, TaskConfig


class BuildDefectsConfig(TaskConfig):
    """Configuration of `BuildDefectsTask`."""

    window: int = Field(15, ge=5)
    """Length of the running medians along rows and along columns [px]."""

    low_response: float = Field(0.7, gt=0.0, lt=1.0)
    """A pixel with less of the response of its neighbours is defective."""

    high_response: float = Field(1.4, gt=1.0)
    """A pixel with more of it too."""

    minimum_response: float = Field(0.1, ge=0.0)
    """Below this response (vignetting) the ratio to the neighbours is not judged."""

    hot_sigma: float = Field(10.0, gt=0.0)
    """A pixel of the bias that exceeds its neighbours by this many single-frame read noises is hot."""

    hot_rate_e_s: float = Field(2.0, gt=0.0)
    """A pixel of the dark that exceeds its neighbours by this is hot [e/s],"""

    hot_rate_sigma: float = Field(10.0, gt=0.0)
    """if it does so by this many errors of the dark."""

    column_fraction: float = Field(0.3, gt=0.0, le=1.0)
    """A column with more than this fraction of defective pixels is defective as a whole."""


class BuildDefectsTask(Task[BuildDefectsConfig]):
    """Compare each pixel of the bias and of the flat with running medians along its row and its column."""

    def run(self, bias: Exposure | None = None, flat: Exposure | None = None, dark: Exposure | None = None) -> Defects:
        """Find hot, dead and low-response pixels and bad columns.

        Parameters
        ----------
        bias : Exposure, optional
            Master bias [ADU] with ``metadata["read_noise_adu"]``.
        flat : Exposure, optional
            Master flat.
        dark : Exposure, optional
            Master dark [e/s].

        Returns
        -------
        Defects
            Trimmed detector coordinates.
        """
        masks = [self._hot(bias)] if bias is not None else []
        masks += [self._odd_response(flat)] if flat is not None else []
        masks += [self._warm(dark)] if dark is not None else []
        if not masks:
            return Defects()
        bad = np.logical_or.reduce(masks)
        bad |= bad.mean(axis=0) > self.config.column_fraction
        box = (bias or flat or dark).bbox  # type: ignore[union-attr]
        return Defects.from_mask(bad, y0=box.y.start, x0=box.x.start)

    def _hot(self, bias: Exposure) -> NDArray[np.bool_]:
        """Return pixels far above their neighbours in the bias."""
        noise = max(bias.metadata.get("read_noise_adu", {"": 1.0}).values())
        array = bias.image.array
        along_row, along_column = self._medians(array)
        return np.asarray(array - np.maximum(along_row, along_column) > self.config.hot_sigma * noise)

    def _warm(self, dark: Exposure) -> NDArray[np.bool_]:
        """Return pixels far above their neighbours in the dark."""
        array = dark.image.array
        excess = array - np.maximum(*self._medians(array))
        error = np.sqrt(dark.variance.array)
        return np.asarray((excess > self.config.hot_rate_e_s) & (excess > self.config.hot_rate_sigma * error))

    def _odd_response(self, flat: Exposure) -> NDArray[np.bool_]:
        """Return pixels that are not finite or far from their neighbours in the flat."""
        array = flat.image.array
        finite = np.isfinite(array)
        filled = np.where(finite, array, 0.0).astype(np.float32)
        along_row, along_column = self._medians(filled)
        low = filled < self.config.low_response * np.maximum(along_row, along_column)
        high = filled > self.config.high_response * np.maximum(along_row, along_column)
        judged = np.maximum(along_row, along_column) > self.config.minimum_response  # dead columns have dead neighbours
        return np.asarray(~finite | ((low | high) & judged))

    def _medians(self, array: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return running medians along rows and along columns."""
        window = self.config.window
        return median_filter(array, size=(1, window)), median_filter(array, size=(window, 1))
