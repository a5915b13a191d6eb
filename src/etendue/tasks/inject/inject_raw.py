"""Add synthetic sources to a raw frame, so that everything after the shutter happens to them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.raw import RawFrame
from etendue.camera.read_order import read_orders
from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.placed import PlacedCatalog
from etendue.tasks.task import Task, TaskConfig

Real = NDArray[np.float64]


class InjectRawConfig(TaskConfig):
    """Configuration of `InjectRawTask`."""

    floor_electrons: float = Field(0.2, gt=0.0)
    """Galaxies are drawn out to where a pixel gets this much of their light [e]."""

    largest_side: int = Field(1025, ge=31)
    """But not on more than this [px]."""


@dataclass(frozen=True, slots=True, eq=False)
class InjectRawResult:
    """A raw frame with more sources, and these, with ``flux`` in electrons."""

    raw: RawFrame
    columns: dict[str, NDArray[Any]]


class InjectRawTask(Task[InjectRawConfig]):
    """Add photons, take the response of the optics off them, divide by gains, and clip at full wells.

    What happens before the amplifier is not repeated: no bleeding, no brighter-fatter effect, no charge left behind.
    """

    def run(
        self, *, raw: RawFrame, camera: Camera, like: Exposure, catalog: InjectionCatalog, flat: Exposure | None = None,
        seed: int = 0,
    ) -> InjectRawResult:  # fmt: skip
        """Inject.

        Parameters
        ----------
        raw : RawFrame
            Raw frame; not changed.
        camera : Camera
            Its camera.
        like : Exposure
            What the frame became when it was calibrated, with PSF, WCS, flux scale [nJy per electron] and gains.
        catalog : InjectionCatalog
            Sources.
        flat : Exposure, optional
            The flat that the frame will be divided by; without one light is as bright in corners as at the centre.
        seed : int
            Of the photon noise.

        Returns
        -------
        InjectRawResult

        Raises
        ------
        InputError
            If ``like`` is another detector's or lacks a part.
        """
        detector = camera.detector(raw.detector_id)
        if like.bbox != detector.bbox or like.photo_calib is None:
            raise InputError("the calibrated image does not fit the raw frame", source=raw.path, value=str(like.bbox),
                             remedy=f"give that of detector {detector.name}, with a flux scale")  # fmt: skip
        in_electrons = like.replace(unit="electron")
        placed = PlacedCatalog.on(in_electrons, catalog)
        light = placed.light(in_electrons, floor=self.config.floor_electrons, largest_side=self.config.largest_side)
        if flat is not None:
            light *= np.nan_to_num(np.maximum(flat.image.array, 0.0))
        electrons = np.random.default_rng(seed).poisson(np.maximum(light, 0.0)).astype(np.float64)
        array = raw.array.copy()
        gains = {entry["amplifier"]: entry["gain"] for entry in like.metadata.get("electronics", ())}
        for order in read_orders(detector):
            gain = gains.get(order.amplifier.name, order.amplifier.gain)
            segment = np.zeros(order.shape)
            order.read(raw.array, segment)
            own = electrons[order.amplifier.bbox.slices_in(detector.bbox)]
            if own.any():
                segment[order.data] += order.view(electrons, detector) / gain
                np.minimum(segment, max(float(order.amplifier.saturation), float(raw.array.max())), out=segment)
                order.write(np.rint(segment) if np.issubdtype(array.dtype, np.integer) else segment, array)
        return InjectRawResult(replace(raw, array=array), placed.columns())
