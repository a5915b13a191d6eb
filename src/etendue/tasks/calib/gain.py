"""Measure gain and read noise from pairs of flats."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.amplifier import Amplifier
from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box, Interval
from etendue.image.exposure import Exposure
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.tasks.calib.bias import read_noise_adu
from etendue.tasks.calib.exposed import ExposedFlat, LevelConfig, expose_flats
from etendue.tasks.calib.selection import check_enough, check_same_detector, split_by_type
from etendue.tasks.calib.smooth_ratio import smooth_ratio
from etendue.tasks.calib.stack import clipped_deviation
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig


class MeasureGainConfig(TaskConfig):
    """Configuration of `MeasureGainTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels."""

    level: LevelConfig = LevelConfig()
    """Exposure levels accepted."""

    box_size: int = Field(500, ge=50)
    """Side of the square in the middle of each amplifier (of the detector, if it has one amplifier) [px]."""

    cell_size: int = Field(50, ge=10)
    """Cells in which the ratio of a pair is measured to remove gradients [px]."""

    clip: float = Field(4.0, gt=0.0)
    """Clipping radius of the differences [sigma]."""

    consistent_within: float = Field(0.05, gt=0.0)
    """The header's gain is consistent if it differs by less than this fraction or three errors."""


class PairGain(NamedTuple):
    """Gain from one pair of flats."""

    gain: float
    """[e-/ADU]."""

    gain_err: float
    """Statistical error [e-/ADU]."""


class MeasureGainTask(Task[MeasureGainConfig]):
    """Photon transfer on successive flats of one filter.

    The second flat of a pair is scaled to the first by a smooth surface (twilight flats differ in level
    and gradient). The variance of the difference, less the read noise, against the mean signal is the gain.
    """

    def run(self, raws: Sequence[RawFrame], camera: Camera, bias: Exposure | None = None) -> Ptc:
        """Measure every amplifier of a detector.

        Parameters
        ----------
        raws : sequence of RawFrame
            Flats, and bias frames for the read noise; other types, saturated and underexposed flats are
            left out.
        camera : Camera
            Their camera.
        bias : Exposure, optional
            Master bias [ADU]; its ``metadata["read_noise_adu"]`` serves where no bias frames are given.

        Returns
        -------
        Ptc

        Raises
        ------
        InputError
            If there are not two usable flats of one filter, or nothing tells the read noise.
        AlgorithmError
            If the differences have less variance than the read noise.
        """
        flats, _ = split_by_type(raws, "flat")
        check_enough(flats, 2, "flat", ())
        detector = camera.detector(check_same_detector(flats))
        known = Calibrations(bias=bias)
        exposed, refused = expose_flats(flats, detector, known, self.config.readout, self.config.level)
        pairs = successive_pairs(exposed)
        if not pairs:
            check_enough([], 2, "flat (of one filter)", refused)
        noise = self._read_noise(raws, detector, bias)
        header = float(np.median([flat.info.header_gain for flat in flats]))
        return Ptc(tuple(self._amplifier(a, detector, pairs, noise[a.name], header) for a in detector.amplifiers))

    def _read_noise(self, raws: Sequence[RawFrame], detector: Detector, bias: Exposure | None) -> dict[str, float]:
        """Return the read noise by amplifier [ADU]."""
        frames, _ = split_by_type(raws, "bias")
        if len(frames) >= 2:
            task = ReadoutTask(self.config.readout)
            return read_noise_adu([task.run(raw.array, detector).pixels for raw in frames], detector)
        noise = {} if bias is None else bias.metadata.get("read_noise_adu", {})
        if not noise:
            raise InputError("nothing tells the read noise", remedy="give two bias frames or a bias built from them")
        return dict(noise)

    def _amplifier(
        self,
        amplifier: Amplifier,
        detector: Detector,
        pairs: Sequence[tuple[ExposedFlat, ExposedFlat]],
        noise_adu: float,
        header_gain: float,
    ) -> AmplifierGain:
        """Combine the pairs of one amplifier."""
        where = _middle(amplifier.bbox, self.config.box_size).slices_in(detector.bbox)
        gains = [self.measure_pair(a.pixels[where], b.pixels[where], noise_adu) for a, b in pairs]
        gain = float(np.median([pair.gain for pair in gains]))
        formal = float(np.median([pair.gain_err for pair in gains])) / sqrt(max(len(gains) / 2.0, 1.0))
        scatter = float(np.std([pair.gain for pair in gains])) / sqrt(len(gains))
        error = max(formal, scatter)
        allowed = max(self.config.consistent_within * gain, 3.0 * error)
        consistent = not isfinite(header_gain) or abs(header_gain - gain) <= allowed
        n_pixels = amplifier.bbox.area
        noise_err = gain * noise_adu * sqrt((error / gain) ** 2 + 1.0 / (2.0 * n_pixels))
        return AmplifierGain(
            amplifier.name,
            gain,
            error,
            gain * noise_adu,
            noise_err,
            header_gain if isfinite(header_gain) else nan,
            consistent,
        )

    def measure_pair(self, first: NDArray[np.float32], second: NDArray[np.float32], read_noise: float) -> PairGain:
        """Measure the gain from one pair.

        Parameters
        ----------
        first, second : ndarray, float32, shape (ny, nx)
            Two flats above bias [ADU]; NaN pixels are left out.
        read_noise : float
            Read noise [ADU].

        Returns
        -------
        PairGain
            With ``d = first - k second`` and ``k`` the smooth ratio,
            ``gain = mean(first + k**2 second) / (var(d) - mean(1 + k**2) read_noise**2)``.

        Raises
        ------
        AlgorithmError
            If the variance does not exceed the read noise.
        """
        ratio = smooth_ratio(first, second, self.config.cell_size)
        difference = first - ratio * second
        usable = np.isfinite(difference)
        deviation = clipped_deviation(difference[usable], clip=self.config.clip)
        photon_variance = deviation**2 - float(np.mean(1.0 + ratio**2)) * read_noise**2
        if not photon_variance > 0.0:
            raise AlgorithmError("flats are no noisier than bias frames", variance=deviation**2, read_noise=read_noise)
        signal = float(np.mean((first + ratio**2 * second)[usable], dtype=np.float64))
        gain = signal / photon_variance
        return PairGain(gain, gain * sqrt(2.0 / usable.sum()))


def successive_pairs(exposed: Sequence[ExposedFlat]) -> list[tuple[ExposedFlat, ExposedFlat]]:
    """Pair each flat with the next one of its filter.

    Parameters
    ----------
    exposed : sequence of ExposedFlat
        Flats of any filters.

    Returns
    -------
    list of tuple of ExposedFlat
        Pairs in order of filter and exposure.
    """
    ordered = sorted(exposed, key=lambda flat: (flat.raw.info.physical_filter, flat.raw.info.exposure_id))
    pairs: list[tuple[ExposedFlat, ExposedFlat]] = []
    for _, group in groupby(ordered, key=lambda flat: flat.raw.info.physical_filter):
        flats = list(group)
        pairs.extend(pairwise(flats))
    return pairs


def _middle(box: Box, size: int) -> Box:
    """Return the square of side ``size`` in the middle of a box, cut by the box."""
    y0, x0 = (interval.start + max(0, (interval.size - size) // 2) for interval in (box.y, box.x))
    return Box(
        y=Interval(y0, min(y0 + size, box.y.stop)),
        x=Interval(x0, min(x0 + size, box.x.stop)),
    )
