"""Build a master bias."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.odd_frames import odd_frames
from etendue.tasks.calib.selection import (
    OnOdd,
    Refusal,
    check_enough,
    check_same_detector,
    settle,
    split_by_conditions,
    split_by_type,
)
from etendue.tasks.calib.stack import combine_frames, pair_noise
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig


class BuildBiasConfig(TaskConfig):
    """Configuration of `BuildBiasTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels; must be that of the frames to be calibrated."""

    minimum_frames: int = Field(3, ge=2)
    """Frames needed."""

    temperature_tolerance_c: float = Field(5.0, gt=0.0)
    """Accepted distance from the usual temperature [deg C]."""

    odd_beyond_adu: float = Field(5.0, gt=0.0)
    """A frame whose shape departs by more from the others, and five times as much as they, is odd [ADU]."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius of the combination [sigma]."""

    on_odd: OnOdd = "refuse"
    """Whether frames that do not fit stop the task or are dropped and reported."""


class BuildBiasResult(NamedTuple):
    """A master bias and the frames left out."""

    exposure: Exposure
    """Bias [ADU] with the variance of the mean."""

    refused: tuple[Refusal, ...]
    """Frames left out."""


class BuildBiasTask(Task[BuildBiasConfig]):
    """Average overscan-subtracted bias frames without outliers (cosmic rays)."""

    def run(self, raws: Sequence[RawFrame], camera: Camera) -> BuildBiasResult:
        """Build the bias of one detector.

        Parameters
        ----------
        raws : sequence of RawFrame
            Bias frames.
        camera : Camera
            Their camera.

        Returns
        -------
        BuildBiasResult
            ``exposure.metadata`` holds ``n_frames``, ``read_noise_adu`` by amplifier, ``files`` and ``refused``
            ones with the reason.

        Raises
        ------
        InputError
            If frames are of another type or too few, naming them.
        """
        kept, refused = split_by_type(raws, "bias")
        kept, unlike = split_by_conditions(kept, self.config.temperature_tolerance_c)
        settle([*refused, *unlike], self.config.on_odd)
        refused += unlike
        check_enough(kept, self.config.minimum_frames, "bias", refused)
        detector = camera.detector(check_same_detector(kept))
        readout = ReadoutTask(self.config.readout)
        frames = [readout.run(raw.array, detector).pixels for raw in kept]
        odd = odd_frames(frames, kept, tolerance=self.config.odd_beyond_adu, unit=" ADU")
        settle(odd.refused, self.config.on_odd)
        refused += odd.refused
        kept, frames = odd.others(kept), odd.others(frames)
        check_enough(kept, self.config.minimum_frames, "bias", refused)
        noise = read_noise_adu(frames, detector)
        floor = float(np.median(list(noise.values())))
        mean, variance, _ = combine_frames(frames, clip=self.config.clip, sigma_floor=floor)
        exposure = Exposure(
            image=Image(mean, detector.bbox),
            mask=Mask.empty(detector.bbox),
            variance=Image(variance, detector.bbox),
            detector=detector.id,
            unit="adu",
            metadata={
                "n_frames": len(kept),
                "read_noise_adu": noise,
                "files": [raw.info.file_name for raw in kept],
                "refused": dict(refused),
            },
        )
        return BuildBiasResult(exposure, tuple(refused))


def read_noise_adu(frames: Sequence[NDArray[np.float32]], detector: Detector) -> dict[str, float]:
    """Return the read noise of each amplifier from successive bias frames.

    Parameters
    ----------
    frames : sequence of ndarray, float32, shape of ``detector.bbox``
        At least two overscan-subtracted bias frames [ADU].
    detector : Detector
        Their detector.

    Returns
    -------
    dict of str to float
        Read noise by amplifier [ADU]: median over successive pairs, quantisation noise included.

    Raises
    ------
    InputError
        If there are fewer than two frames.
    """
    if len(frames) < 2:
        raise InputError("read noise needs two bias frames", value=len(frames), remedy="give more bias frames")
    noise = {}
    for amplifier in detector.amplifiers:
        where = amplifier.bbox.slices_in(detector.bbox)
        pairs = pairwise(frames)
        noise[amplifier.name] = float(np.median([pair_noise(a[where], b[where]) for a, b in pairs]))
    return noise
