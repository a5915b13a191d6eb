"""From raw biases and flats of one lamp to photon-transfer curves and linearity, read frame by frame."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.camera.read_order import read_orders
from etendue.errors import AlgorithmError, InputError
from etendue.image.charge_transfer import ChargeTransfer
from etendue.image.linearizer import Linearizer
from etendue.image.ptc import Ptc
from etendue.tasks.calib.linearizer import MeasureLinearizerConfig, MeasureLinearizerTask
from etendue.tasks.calib.pair_statistics import FlatPair, MeasurePairConfig, MeasurePairTask, PairStatistics
from etendue.tasks.calib.ptc import MeasurePtcConfig, MeasurePtcTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask
from etendue.tasks.task import Task, TaskConfig

Statistics = list[PairStatistics]


class MeasurePhotonTransferConfig(TaskConfig):
    """Configuration of `MeasurePhotonTransferTask`."""

    readout: ReadoutConfig = ReadoutConfig()
    """From raw to trimmed pixels, which stay in ADU."""

    pair: MeasurePairConfig = MeasurePairConfig()
    """Statistics of pairs."""

    linearizer: MeasureLinearizerConfig = MeasureLinearizerConfig()
    """Linearity."""

    ptc: MeasurePtcConfig = MeasurePtcConfig()
    """Photon-transfer curves."""


class PhotonTransferProducts(NamedTuple):
    """What biases and flats tell about the amplifiers."""

    ptc: Ptc
    """Gains, read noises, turn-offs, covariances."""

    linearizer: Linearizer | None
    """None where the flats have too few levels."""

    notes: tuple[str, ...]
    """What could not be measured, and why; which filter was used."""


class MeasurePhotonTransferTask(Task[MeasurePhotonTransferConfig]):
    """Pair flats of equal time and filter, linearise, and fit photon-transfer curves.

    Of several filters the one with most pairs counts: levels of one lamp belong together.
    """

    def run(
        self, raws: Iterable[RawFrame], camera: Camera, calibrations: Calibrations | None = None
    ) -> PhotonTransferProducts:
        """Measure all amplifiers of a detector.

        Parameters
        ----------
        raws : iterable of RawFrame
            Biases and flats in order of exposure, read once; other types are left out.
        camera : Camera
            Their camera.
        calibrations : Calibrations, optional
            Bias, crosstalk and charge_transfer.

        Returns
        -------
        PhotonTransferProducts

        Raises
        ------
        InputError
            If there is no pair of flats, or nothing tells the read noise.
        AlgorithmError
            If the flats have no more variance than the read noise.
        """
        known = calibrations or Calibrations()
        biases, flats, detector, header = self._measured(raws, camera, known)
        if detector is None or not flats:
            raise InputError("there is no pair of flats of one filter and exposure time",
                             remedy="take two flats at each of several exposure times")  # fmt: skip
        name = max(flats, key=lambda one: len(flats[one]))
        notes = [f"{len(flats[name])} pairs in {name or 'no filter'}"]
        try:
            linearizer = MeasureLinearizerTask(self.config.linearizer).run(flats[name], detector)
        except (InputError, AlgorithmError) as error:
            linearizer = None
            notes.append(f"no linearizer: {error}")
        ptc = MeasurePtcTask(self.config.ptc).run(
            [*biases, *flats[name]], detector, linearizer=linearizer, header_gain=header,
            read_noise_adu=known.bias.metadata.get("read_noise_adu") if known.bias is not None else None,
            deferred=mean_deferral(known.charge_transfer, detector),
        )  # fmt: skip
        return PhotonTransferProducts(ptc, linearizer, tuple(notes))

    def _measured(
        self, raws: Iterable[RawFrame], camera: Camera, known: Calibrations
    ) -> tuple[Statistics, dict[str, Statistics], Detector | None, float]:
        """Return statistics of bias pairs, those of flat pairs by filter, detector and the header's gain."""
        biases: Statistics = []
        flats: dict[str, Statistics] = {}
        detector, gains = None, []
        readout, measure = ReadoutTask(self.config.readout), MeasurePairTask(self.config.pair)
        without_gain = Calibrations(bias=known.bias, crosstalk=known.crosstalk)
        for first, second in equal_pairs(raws):
            detector = camera.detector(first.detector_id)
            planes = [readout.run(raw.array, detector, calibrations=without_gain) for raw in (first, second)]
            for plane in planes:
                plane.pixels[plane.beyond] = np.nan
            seconds = first.info.exposure_time_s, second.info.exposure_time_s
            diode = first.info.lamp_monitor, second.info.lamp_monitor
            pair = FlatPair(planes[0].pixels, planes[1].pixels, seconds, diode, first.info.file_name)
            where = (
                biases if first.info.observation_type == "bias" else flats.setdefault(first.info.physical_filter, [])
            )
            where.append(measure.run(pair, detector))
            gains.append(first.info.header_gain)
        return biases, flats, detector, float(np.median(gains)) if gains else float("nan")


def equal_pairs(raws: Iterable[RawFrame], *, left_over: bool = False) -> Iterator[tuple[RawFrame, ...]]:
    """Pair biases, and flats of one filter and exposure time, as they come.

    Parameters
    ----------
    raws : iterable of RawFrame
        In order of exposure; other types are left out.
    left_over : bool
        Whether frames that find no partner are given at the end, alone.

    Yields
    ------
    tuple of RawFrame
        A frame and the next one like it; a frame is in one pair.
    """
    waiting: dict[tuple[str, str, float], RawFrame] = {}
    for raw in raws:
        if raw.info.observation_type not in ("bias", "flat"):
            continue
        key = raw.info.observation_type, raw.info.physical_filter, round(raw.info.exposure_time_s, 3)
        if key in waiting:
            yield waiting.pop(key), raw
        else:
            waiting[key] = raw
    if left_over:
        yield from ((raw,) for raw in waiting.values())


def mean_deferral(losses: ChargeTransfer | None, detector: Detector) -> dict[str, tuple[float, float]] | None:
    """Return the fractions of a pixel's charge that transfer leaves behind, averaged over the amplifiers.

    Parameters
    ----------
    losses : ChargeTransfer or None
        Measured losses.
    detector : Detector
        Their detector.

    Returns
    -------
    dict of str to tuple of float, or None
        For later rows and for later columns, by amplifier; None without losses.
    """
    if losses is None:
        return None
    shares = {}
    for order in read_orders(detector):
        ny, nx = order.amplifier.bbox.shape
        entry = losses[order.amplifier.name]
        along_columns = entry.parallel.inefficiency * 0.5 * ny if entry.parallel is not None else 0.0
        along_rows = entry.serial.inefficiency * (order.prescan + 0.5 * nx) if entry.serial is not None else 0.0
        shares[order.amplifier.name] = (along_columns, along_rows)
    return shares
