"""How the amplifiers did in one night: bias level, noise and gain, from the night's own frames."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.tasks.calib.gain_trend import GainCheck, MonitorGainConfig, MonitorGainTask
from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairConfig, MeasurePairTask, PairStatistics
from etendue.tasks.calib.photon_transfer import equal_pairs, mean_deferral
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import Readout, ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig


class MeasureNightConfig(TaskConfig):
    """Configuration of `MeasureNightTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels."""

    pair: MeasurePairConfig = MeasurePairConfig(lag=1)
    """Statistics of pairs; only variances count."""

    gain: MonitorGainConfig = MonitorGainConfig()
    """What counts as a change of a gain."""


@dataclass(frozen=True, slots=True)
class AmplifierNight:
    """One amplifier in one night; numbers that the frames do not tell are NaN.

    Parameters
    ----------
    amplifier : str
        Name.
    bias_level_adu, bias_drift_adu : float
        Median over all frames of the overscan's level, and its standard deviation [ADU].
    overscan_noise_adu : float
        Median noise of the overscan [ADU].
    read_noise_adu : float
        Noise of a pixel from pairs of biases [ADU].
    gain, gain_err : float
        From pairs of flats, and its error [e/ADU].
    gain_change : float
        Relative to the photon-transfer curve.
    gain_changed : bool
        Whether that exceeds tolerance and error.
    frames : int
        Biases and flats of the night.
    """

    amplifier: str
    bias_level_adu: float = nan
    bias_drift_adu: float = nan
    overscan_noise_adu: float = nan
    read_noise_adu: float = nan
    gain: float = nan
    gain_err: float = nan
    gain_change: float = nan
    gain_changed: bool = False
    frames: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in asdict(self).items()}


class MeasureNightTask(Task[MeasureNightConfig]):
    """Read the night's biases and flats once, and compare its gains with the photon-transfer curve."""

    def run(
        self, raws: Iterable[RawFrame], camera: Camera, calibrations: Calibrations | None = None
    ) -> tuple[AmplifierNight, ...]:
        """Measure all amplifiers of a detector.

        Parameters
        ----------
        raws : iterable of RawFrame
            Of one detector and night, in order of exposure, read once; only biases and flats count.
        camera : Camera
            Their camera.
        calibrations : Calibrations, optional
            Bias, crosstalk, linearizer, charge_transfer, and the ptc with which gains are compared.

        Returns
        -------
        tuple of AmplifierNight
            In the order of the detector's amplifiers; empty without frames.
        """
        known = calibrations or Calibrations()
        levels: dict[str, list[tuple[float, float]]] = {}
        biases: list[PairStatistics] = []
        flats: list[PairStatistics] = []
        detector: Detector | None = None
        count, measure = 0, MeasurePairTask(self.config.pair)
        for pair in equal_pairs(raws, left_over=True):
            detector = camera.detector(pair[0].detector_id)
            readouts = [self._read(raw, detector, known) for raw in pair]
            count += len(pair)
            for level in (level for readout in readouts for level in readout.levels):
                levels.setdefault(level.name, []).append((level.level, level.noise))
            if len(pair) == 2:
                where = biases if pair[0].info.observation_type == "bias" else flats
                where.append(measure.run(_pair(pair, readouts), detector))
        if detector is None:
            return ()
        checks = self._gains(flats, known, detector)
        return tuple(
            _entry(amplifier.name, k, levels.get(amplifier.name, []), biases, checks.get(amplifier.name), count)
            for k, amplifier in enumerate(detector.amplifiers)
        )

    def _read(self, raw: RawFrame, detector: Detector, known: Calibrations) -> Readout:
        undone = Calibrations(bias=known.bias, crosstalk=known.crosstalk, ptc=known.ptc)
        readout = ReadoutTask(self.config.readout).run(raw.array, detector, calibrations=undone)
        readout.pixels[readout.beyond] = np.nan
        return readout

    def _gains(self, flats: list[PairStatistics], known: Calibrations, detector: Detector) -> dict[str, GainCheck]:
        """Return the gains by amplifier; none without pairs, or without a curve."""
        if not flats or known.ptc is None:
            return {}
        checks = MonitorGainTask(self.config.gain).run(
            flats, known.ptc, detector, linearizer=known.linearizer,
            deferred=mean_deferral(known.charge_transfer, detector),
        )  # fmt: skip
        return {check.amplifier: check for check in checks}


def _pair(raws: tuple[RawFrame, ...], readouts: list[Readout]) -> FlatPair:
    seconds = raws[0].info.exposure_time_s, raws[1].info.exposure_time_s
    return FlatPair(readouts[0].pixels, readouts[1].pixels, seconds, name=raws[0].info.file_name)


def _entry(
    name: str, k: int, levels: list[tuple[float, float]], biases: list[PairStatistics], check: GainCheck | None,
    frames: int,
) -> AmplifierNight:  # fmt: skip
    facts: dict[str, Any] = {}
    if levels:
        level, noise = np.array(levels).T
        facts |= {"bias_level_adu": float(np.median(level)), "bias_drift_adu": float(level.std()),
                  "overscan_noise_adu": float(np.median(noise))}  # fmt: skip
    if biases:
        variance = [float(pair.covariance[k, 0, 0]) for pair in biases]
        facts["read_noise_adu"] = float(np.sqrt(np.nanmedian(variance)))
    if check is not None:
        facts |= {"gain": check.gain, "gain_err": check.gain_err, "gain_change": check.change,
                  "gain_changed": check.changed}  # fmt: skip
    return AmplifierNight(name, frames=frames, **facts)
