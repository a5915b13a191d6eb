"""Tell which pixels of a frame are saturated, bad, vignetted, or hold nothing."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.field_of_view import outside_field
from etendue.camera.raw import RawFrame
from etendue.camera.section import parse_section
from etendue.image.defects import Defects
from etendue.image.mask import Mask
from etendue.kernels.isr import grow_mask
from etendue.tasks.isr.mask_bleeds import MaskBleedsConfig, MaskBleedsTask
from etendue.tasks.readout.readout import Readout
from etendue.tasks.task import Task, TaskConfig


class MaskFrameConfig(TaskConfig):
    """Configuration of `MaskFrameTask`."""

    bleeds: MaskBleedsConfig = MaskBleedsConfig()
    """Trails of saturated pixels along columns, and what spills along rows at the register."""

    saturation_grow_rows: int = Field(2, ge=0)
    """Saturated pixels and trails are widened by this along columns [px]."""

    saturation_grow_cols: int = Field(2, ge=0)
    """And by this along rows, where the electronics need a pixel or two to recover [px]."""

    vignetted_below: float = Field(0.4, ge=0.0, le=1.0)
    """Pixels whose flat response is lower are VIGNETTED."""

    no_data_below: float = Field(0.02, ge=0.0, le=1.0)
    """Pixels whose flat response is lower hold nothing useful: NO_DATA."""


class MaskFrameTask(Task[MaskFrameConfig]):
    """Set the planes that raw counts, defects and flat tell."""

    def run(
        self,
        raw: RawFrame,
        camera: Camera,
        readout: Readout,
        response: NDArray[np.float32],
        defects: Defects | None = None,
    ) -> Mask:
        """Mask a frame.

        Parameters
        ----------
        raw : RawFrame
            The frame.
        camera : Camera
            Its camera.
        readout : Readout
            Its pixels without what the electronics did.
        response : ndarray, float32, shape of the detector's box
            Response to light; NaN where nobody knows.
        defects : Defects, optional
            Bad pixels besides the camera's own.

        Returns
        -------
        Mask
            SAT, SUSPECT, CROSSTALK, BAD, VIGNETTED and NO_DATA.
        """
        detector = camera.detector(raw.detector_id)
        mask = Mask.empty(detector.bbox)
        mask.set_plane("SAT", self._saturated(raw, detector, readout.beyond))
        mask.set_plane("SUSPECT", readout.near)
        if readout.crosstalk is not None:
            mask.set_plane("CROSSTALK", readout.crosstalk)
        dead = _dead(detector, readout)
        mask.set_plane("BAD", dead | ~np.isfinite(response))
        camera_own = Defects(tuple(parse_section(region) for region in detector.bad_regions))
        for known in (camera_own, defects or Defects()):
            mask.set_plane("BAD", known.mask(detector.bbox))
        mask.set_plane("VIGNETTED", response < self.config.vignetted_below)
        outside = outside_field(camera, detector)
        if outside is not None:
            mask.set_plane("VIGNETTED", outside)
        mask.set_plane("NO_DATA", dead | ~np.isfinite(readout.pixels) | ~(response > self.config.no_data_below))
        return mask

    def _saturated(self, raw: RawFrame, detector: Detector, beyond: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return saturated pixels, where their charge went, and a margin around both."""
        pixels = detector.trim(raw.array).astype(np.float32)
        full = beyond.copy()
        for amplifier in detector.amplifiers:
            where = amplifier.bbox.slices_in(detector.bbox)
            full[where] |= pixels[where] >= amplifier.saturation
        full &= np.isfinite(pixels)
        bled = MaskBleedsTask(self.config.bleeds).run(pixels, full, detector)
        return grow_mask(bled.trails | bled.spilled, self.config.saturation_grow_rows, self.config.saturation_grow_cols)


def _dead(detector: Detector, readout: Readout) -> NDArray[np.bool_]:
    """Return the pixels of dead amplifiers."""
    dead = np.zeros(detector.bbox.shape, bool)
    for amplifier in detector.amplifiers:
        dead[amplifier.bbox.slices_in(detector.bbox)] = amplifier.name in readout.dead
    return dead
