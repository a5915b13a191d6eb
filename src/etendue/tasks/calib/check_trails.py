"""Ghosts and trails that are left where crosstalk and deferred charge have been corrected."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import binary_dilation, binary_erosion

from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.camera.read_order import ReadOrder
from etendue.camera.segments import Segments
from etendue.tasks.calib.frame_check import FrameCheck
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.charge_transfer import CorrectChargeTransferTask
from etendue.tasks.readout.crosstalk import CorrectCrosstalkTask
from etendue.tasks.readout.electronics import electronics_of
from etendue.tasks.readout.linearize import LinearizeTask
from etendue.tasks.readout.overscan import SubtractOverscanTask
from etendue.tasks.readout.readout import ReadoutConfig
from etendue.tasks.task import TaskConfig

Plane = NDArray[np.float32]
_CLIP = 4.0
_LEAST_OVERSCAN = 6


class GhostConfig(TaskConfig):
    """Where ghosts are looked for."""

    minimum_signal: float = Field(5000.0, gt=0.0)
    """Pixels of an amplifier this much above its level cast ghosts [ADU]."""

    minimum_pixels: int = Field(200, ge=10)
    """Fewer bright pixels tell nothing."""

    gap: int = Field(3, ge=0)
    """Pixels along the rim of bright light that count neither as ghost nor as surroundings."""

    ring: int = Field(12, ge=1)
    """Width of the surroundings [px]."""


def check_crosstalk(
    raw: RawFrame, detector: Detector, products: Calibrations, readout: ReadoutConfig, config: GhostConfig
) -> Iterator[FrameCheck]:
    """Compare the pixels of other amplifiers where one is bright with those around, with and without correction.

    Parameters
    ----------
    raw : RawFrame
        A frame with bright spots.
    detector : Detector
        Its detector.
    products : Calibrations
        With crosstalk, perhaps bias.
    readout : ReadoutConfig
        Overscan and crosstalk.
    config : GhostConfig
        Where ghosts are looked for.

    Yields
    ------
    FrameCheck
        By victim and source, the ghost left in parts of the light above its surroundings, and that without correction.
    """
    assert products.crosstalk is not None
    segments = _above_bias(raw, detector, products, readout)
    before = [segments.data(k).copy() for k in range(len(detector.amplifiers))]
    CorrectCrosstalkTask(readout.crosstalk).run(segments, products.crosstalk, {})
    after = [segments.data(k) for k in range(len(detector.amplifiers))]
    bright = [_bright(plane, config) for plane in before]
    for source, spot in enumerate(bright):
        others = np.logical_or.reduce([b for k, b in enumerate(bright) if k != source and b.shape == spot.shape])
        inside = binary_erosion(spot, iterations=config.gap) if config.gap else spot
        inside &= ~binary_dilation(others, iterations=config.gap + 1)
        if inside.sum() < config.minimum_pixels:
            continue
        rim = binary_dilation(spot, iterations=config.gap + 1)
        ring = binary_dilation(rim, iterations=config.ring) & ~rim & ~others
        light = _middle(before[source], inside) - _middle(before[source], ring)
        for victim, order in enumerate(segments.orders):
            if victim == source or after[victim].shape != spot.shape:
                continue
            for what, plane in (("ghost left", after[victim]), ("ghost without correction", before[victim])):
                yield FrameCheck("crosstalk", what, raw.info.file_name,
                                 (_middle(plane, inside) - _middle(plane, ring)) / light, order.amplifier.name,
                                 source=segments.orders[source].amplifier.name, level=light)  # fmt: skip


class TransferChecks:
    """Gives flats their deferred charge back, and sees what is left in the first pixels behind the light.

    What biases hold there is a pattern of the electronics and subtracted.

    Parameters
    ----------
    detector : Detector
        The detector.
    products : Calibrations
        With charge_transfer; ptc and linearizer if there are.
    readout : ReadoutConfig
        Overscan and charge transfer.
    """

    def __init__(self, detector: Detector, products: Calibrations, readout: ReadoutConfig):
        self._detector, self._products, self._readout = detector, products, readout
        self._zero: list[dict[_Key, tuple[float, float]]] = []
        self._lit: list[tuple[str, dict[_Key, tuple[float, float]]]] = []

    def add(self, raw: RawFrame) -> None:
        """Take a bias or a flat.

        Parameters
        ----------
        raw : RawFrame
            The frame.
        """
        trails = self._trails(raw)
        if raw.info.observation_type == "bias":
            self._zero.append(trails)
        else:
            self._lit.append((raw.info.file_name, trails))

    def checks(self) -> Iterator[FrameCheck]:
        """Return what all frames tell.

        Yields
        ------
        FrameCheck
            By amplifier and direction, charge behind the light per transfer in parts of the last light, left and
            without correction.
        """
        for name, trails in self._lit:
            for key, (trail, light) in trails.items():
                if not light > 0.0:  # dead
                    continue
                zero = float(np.median([one[key][0] for one in self._zero])) if self._zero else 0.0
                what = f"{key.way} charge behind the light {key.what} [per transfer]"
                yield FrameCheck("charge_transfer", what, name,
                                 (trail - zero) / (light * key.transfers), key.amplifier, level=light)  # fmt: skip

    def _trails(self, raw: RawFrame) -> dict["_Key", tuple[float, float]]:
        """Return charge behind the light, and the light [e]."""
        products, segments = self._products, _above_bias(raw, self._detector, self._products, self._readout)
        if products.linearizer is not None:
            LinearizeTask().run(segments, products.linearizer)
        gains = [values.gain for values in electronics_of(self._detector, products.ptc, raw.info)]
        segments.array[...] *= np.array(gains, np.float32)[:, None, None]
        found: dict[_Key, tuple[float, float]] = {}
        assert products.charge_transfer is not None
        for what in ("without correction", "left"):
            if what == "left":
                CorrectChargeTransferTask(self._readout.charge_transfer).run(segments, products.charge_transfer)
            for order, plane in zip(segments.orders, segments.array, strict=True):
                found |= {_Key(order.amplifier.name, way, what, stop): value
                          for way, stop, value in _deferred(order, plane)}  # fmt: skip
        return found


class _Key(NamedTuple):
    """Where a trail is."""

    amplifier: str
    way: str
    what: str
    transfers: int


def _above_bias(raw: RawFrame, detector: Detector, products: Calibrations, readout: ReadoutConfig) -> Segments:
    segments = Segments.of(raw.array, detector)
    SubtractOverscanTask(readout.overscan).run(segments)
    if products.bias is not None:
        for number, order in enumerate(segments.orders):
            segments.data(number)[...] -= order.view(products.bias.image.array, detector)
    return segments


def _bright(plane: Plane, config: GhostConfig) -> NDArray[np.bool_]:
    """Return bright pixels; none if most are: a flat casts no ghost that can be told from its own light."""
    with np.errstate(invalid="ignore"):
        bright: NDArray[np.bool_] = plane - np.nanmedian(plane) > config.minimum_signal
    return bright if bright.mean() < 0.5 else np.zeros_like(bright)


def _middle(plane: Plane, where: NDArray[np.bool_]) -> float:
    """Return the mean without outliers."""
    return _mean(plane[where])


def _mean(values: Plane) -> float:
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return float("nan")
    low, middle, high = np.percentile(values, [16.0, 50.0, 84.0])
    return float(values[np.abs(values - middle) <= _CLIP * 0.5 * max(high - low, 1e-6)].mean())


def _deferred(order: ReadOrder, plane: Plane) -> Iterator[tuple[str, int, tuple[float, float]]]:
    """Give the charge in the first two columns, and rows, behind the light above the farther half of the overscan."""
    rows, columns = order.data
    ny, nx = order.shape
    for way, lines, stop, end in (
        ("serial", plane[rows], columns.stop, nx), ("parallel", plane[:, columns].T, rows.stop, ny),
    ):  # fmt: skip
        if end - stop >= _LEAST_OVERSCAN:
            light, trail, far = (
                _mean(lines[:, first:last])
                for first, last in ((stop - 2, stop), (stop, stop + 2), ((stop + end) // 2, end))
            )
            yield way, stop, (2.0 * (trail - far), light)
