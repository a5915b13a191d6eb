"""Undo what the electronics did between pixels and file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.segments import Segments
from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
from etendue.tasks.task import Task, TaskConfig


class ReadoutConfig(TaskConfig):
    """Configuration of `ReadoutTask`."""

    overscan: SubtractOverscanConfig = SubtractOverscanConfig()
    """Overscan subtraction."""


class ReadoutTask(Task[ReadoutConfig]):
    """From a raw frame to the light-sensitive pixels."""

    def run(self, raw: NDArray[Any], detector: Detector) -> NDArray[np.float32]:
        """Subtract the overscan and trim.

        Parameters
        ----------
        raw : ndarray, shape (ny, nx)
            Raw frame of the detector [ADU].
        detector : Detector
            Geometry of the frame.

        Returns
        -------
        ndarray, float32, shape of ``detector.bbox``
            Trimmed frame [ADU], NaN where a pixel is not finite.

        Raises
        ------
        InputError
            If the frame has another shape than the detector.
        AlgorithmError
            If no pixel of an overscan region has a value.
        """
        segments = Segments.of(raw, detector)
        SubtractOverscanTask(self.config.overscan).run(segments)
        return segments.assemble()
