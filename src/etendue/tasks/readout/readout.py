"""Undo what the electronics did between pixels and file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.detector import Detector
from etendue.camera.segments import Segments
from etendue.image.exposure import Exposure
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import Electronics
from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
from etendue.tasks.task import Task, TaskConfig


class ReadoutConfig(TaskConfig):
    """Configuration of `ReadoutTask`."""

    dither: bool = False
    """Add a uniform number of half a count to both sides to integer counts, so that medians are not quantised."""

    dither_seed: int = Field(0, ge=0)
    """Equal seeds and counts give equal numbers."""

    overscan: SubtractOverscanConfig = SubtractOverscanConfig()
    """Overscan subtraction."""


class ReadoutTask(Task[ReadoutConfig]):
    """From a raw frame to the charge in its light-sensitive pixels.

    The electronics are undone in the reverse of the order in which they act: overscan, bias, gain.
    """

    def run(
        self,
        raw: NDArray[Any],
        detector: Detector,
        *,
        calibrations: Calibrations | None = None,
        electronics: Sequence[Electronics] | None = None,
    ) -> NDArray[np.float32]:
        """Undo the readout and trim.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame of the detector [ADU].
        detector : Detector
            Geometry of the frame.
        calibrations : Calibrations, optional
            Of these the bias.
        electronics : sequence of Electronics, optional
            Gain of each amplifier; without them the pixels stay in ADU.

        Returns
        -------
        ndarray, float32, shape of ``detector.bbox``
            Trimmed frame [e or ADU], NaN where a pixel is not finite.

        Raises
        ------
        InputError
            If the frame has another shape than the detector.
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        segments = Segments.of(raw, detector)
        if self.config.dither and np.issubdtype(raw.dtype, np.integer):
            rng = np.random.default_rng(self.config.dither_seed)
            segments.array[...] += rng.random(segments.array.shape, np.float32) - np.float32(0.5)
        SubtractOverscanTask(self.config.overscan).run(segments)
        if calibrations is not None and calibrations.bias is not None:
            _subtract(segments, calibrations.bias)
        if electronics is not None:
            segments.array[...] *= np.array([values.gain for values in electronics], np.float32)[:, None, None]
        return segments.assemble()


def _subtract(segments: Segments, bias: Exposure) -> None:
    for number, order in enumerate(segments.orders):
        segments.data(number)[...] -= order.view(bias.image.array, segments.detector)
