"""A CCD: light in, raw frame out."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.read_order import read_orders, unread
from etendue.errors import InputError
from etendue.kernels.random_numbers import draw_poisson
from etendue.kernels.read_out import amplify, digitise
from etendue.simulate.ccd.bias import BiasStructure
from etendue.simulate.ccd.brighter_fatter import collect_in_steps
from etendue.simulate.ccd.charge_transfer import transfer
from etendue.simulate.ccd.cosmic_rays import CosmicRays, strike
from etendue.simulate.ccd.crosstalk import Partner, crosstalk_matrices, mix
from etendue.simulate.ccd.dark import DarkCurrent
from etendue.simulate.ccd.defects import DefectMap
from etendue.simulate.ccd.diffusion import spread
from etendue.simulate.ccd.effect import Vector, scattered
from etendue.simulate.ccd.electronics import true_gains, true_read_noise
from etendue.simulate.ccd.fringing import fringe, thickness_map
from etendue.simulate.ccd.full_well import FullWells
from etendue.simulate.ccd.linearity import response_tables
from etendue.simulate.ccd.output import CcdMasks, CcdOutput, CcdSignals
from etendue.simulate.ccd.response import response_map
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.ccd.streams import Streams
from etendue.simulate.ccd.tree_rings import TreeRings

Plane = NDArray[np.float32]
_UM_PER_MM = 1000.0
_NO_TABLE = np.zeros(0)
_BITS, _NO_SHORT = 16, 2**16
_NO_WELL = 250_000.0  # charge above which a pixel moves boundaries no further if it has no full well [e]


class Ccd:
    """One detector with all that is fixed about it; frames are made from light, darks and biases from none.

    Parameters
    ----------
    detector : Detector
        Geometry, nominal gains and read noise.
    spec : CcdSpec
        Effects.
    seed : int
        Seed of what is fixed: equal seeds and detectors give equal CCDs.
    """

    def __init__(self, detector: Detector, spec: CcdSpec, seed: int):
        self.detector = detector
        self.spec = spec
        self._streams = Streams(seed, (detector.id,))
        self.orders = read_orders(detector)
        self.gains = true_gains(spec.gain, detector, self._streams)
        self.read_noise = true_read_noise(spec.read_noise, detector, self._streams)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the trimmed frame [px]."""
        return self.detector.bbox.shape

    @cached_property
    def response(self) -> Plane | None:
        """Response of the pixels, dead ones included, shape (ny, nx); None if all respond alike."""
        spec = self.spec
        response = response_map(spec.response, self.shape, self._streams) if spec.response else None
        if spec.defects is not None and self.defects is not None and self.defects.dead.any():
            response = np.ones(self.shape, np.float32) if response is None else response
            response[self.defects.dead] *= np.float32(spec.defects.dead_response)
        return response

    @cached_property
    def thickness(self) -> Vector | None:
        """Deviation of the silicon's thickness on a coarse grid [um]; None without fringes."""
        return thickness_map(self.spec.fringing, self.shape, self._streams) if self.spec.fringing else None

    @cached_property
    def tree_rings(self) -> TreeRings | None:
        """Displacement by tree rings; None without."""
        return TreeRings.make(self.spec.tree_rings, self.shape, self._streams) if self.spec.tree_rings else None

    @cached_property
    def dark(self) -> DarkCurrent | None:
        """Dark current; None without."""
        return DarkCurrent.make(self.spec.dark, self.shape, self._streams) if self.spec.dark else None

    @cached_property
    def defects(self) -> DefectMap | None:
        """Defects; None without."""
        if self.spec.defects is None:
            return None
        return DefectMap.make(self.spec.defects, self.detector, self.orders, self._streams)

    @cached_property
    def full_wells(self) -> FullWells | None:
        """Full wells; None without."""
        return FullWells.make(self.spec.full_well, self.detector, self._streams) if self.spec.full_well else None

    @cached_property
    def bias(self) -> BiasStructure | None:
        """Bias; None is a level of 0."""
        return BiasStructure.make(self.spec.bias, len(self.orders), self._streams) if self.spec.bias else None

    @cached_property
    def inefficiencies(self) -> tuple[Vector, Vector]:
        """Charge-transfer inefficiency of each amplifier's columns and of its register."""
        kinds = {"parallel": self.spec.parallel_transfer, "serial": self.spec.serial_transfer}
        parallel, serial = (
            scattered(spec.inefficiency, spec.scatter, len(self.orders), self._streams.rng(f"{name} transfer"))
            if spec
            else np.zeros(len(self.orders))
            for name, spec in kinds.items()
        )
        return parallel, serial

    @cached_property
    def linearity(self) -> tuple[Vector, Vector, float] | None:
        """Strength of each amplifier's non-linearity, tables of output over input, and their step; None without."""
        return response_tables(self.spec.linearity, len(self.orders), self._streams) if self.spec.linearity else None

    @cached_property
    def crosstalk(self) -> tuple[Vector, Vector] | None:
        """Linear and quadratic coefficients ``[victim, aggressor]``; None without."""
        spec = self.spec.crosstalk
        if spec is not None and spec.matrix is None and self.detector.crosstalk is not None:
            spec = spec.model_copy(update={"matrix": self.detector.crosstalk})
        return crosstalk_matrices(spec, len(self.orders), self._streams) if spec else None

    @cached_property
    def _unread(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return unread(self.orders, self.detector)

    def expose(
        self,
        expected: Plane,
        seconds: float,
        rng: np.random.Generator,
        *,
        band: str = "",
        sky: Plane | float = 0.0,
        illumination: Plane | None = None,
        hours: float = 0.0,
        partners: tuple[Partner, ...] = (),
    ) -> CcdOutput:
        """Make one raw frame.

        Parameters
        ----------
        expected : ndarray, float32, shape (ny, nx)
            Electrons of light that a perfect CCD is expected to collect; 0 for a bias or a dark [e]. Not changed.
        seconds : float
            Time from clearing to reading: dark current and cosmic rays [s].
        rng : Generator
            Fixes the exposure; one number is drawn from it.
        band : str
            Band, for fringes.
        sky : float or ndarray, float32, shape (ny, nx)
            The part of ``expected`` that comes from the night sky's lines [e].
        illumination : ndarray, float32, shape (ny, nx), optional
            Factor on the light: vignetting, dust, a flat-field screen.
        hours : float
            Time of the exposure, for the drift of the bias [h].
        partners : tuple of Partner
            Detectors that are read at the same time and cross-talk into this one.

        Returns
        -------
        CcdOutput

        Raises
        ------
        InputError
            If ``expected``, ``sky`` or ``illumination`` has another shape, light is not finite, or time is negative.
        """
        signals = self.collect(expected, seconds, rng, band=band, sky=sky, illumination=illumination)
        return self.read_out(signals, hours=hours, partners=partners)

    def collect(
        self,
        expected: Plane,
        seconds: float,
        rng: np.random.Generator,
        *,
        band: str = "",
        sky: Plane | float = 0.0,
        illumination: Plane | None = None,
    ) -> CcdSignals:
        """Expose and shift the charge to the amplifiers: the first half of `expose`.

        Parameters
        ----------
        expected, seconds, rng, band, sky, illumination
            As in `expose`.

        Returns
        -------
        CcdSignals

        Raises
        ------
        InputError
            As in `expose`.
        """
        self._check(expected, seconds, (illumination, sky))
        streams = Streams.of(rng)
        charge = self._integrate(self._light(expected, seconds, band, sky, illumination), streams)
        rays, hit = self._strike(charge, seconds, streams)
        if self.full_wells is not None:
            saturated, bleed, lost = self.full_wells.bloom(charge)
        else:
            saturated, bleed, lost = np.zeros(self.shape, bool), np.zeros(self.shape, bool), 0.0
        signals = self._segments(charge)
        return CcdSignals(signals, CcdMasks(hit, saturated, bleed, self.defect_mask()), rays, lost, streams)

    def read_out(self, exposed: CcdSignals, *, hours: float = 0.0, partners: tuple[Partner, ...] = ()) -> CcdOutput:
        """Turn signals into a raw frame: the second half of `expose`.

        Parameters
        ----------
        exposed : CcdSignals
            From `collect`.
        hours, partners
            As in `expose`.

        Returns
        -------
        CcdOutput
        """
        mixed = mix(exposed.signals, self.crosstalk, partners)
        raw = np.zeros(self.detector.raw_shape, np.uint16 if self._largest < _NO_SHORT else np.int32)
        segment = np.empty(mixed.shape[1:], np.int32)
        levels = np.zeros(len(self.orders))
        for number, order in enumerate(self.orders):
            if self.bias is not None:
                levels[number] = self.bias.level(number, hours, exposed.streams)
            self._digitise(mixed[number], number, hours, exposed.streams, segment)
            order.write(segment, raw)
            self._fill_unread(raw, number, levels[number], exposed.streams)
            view = order.view(exposed.masks.saturated, self.detector)
            view |= segment[order.data] >= self._largest
        return CcdOutput(raw, exposed.masks, exposed.cosmic_rays, exposed.lost_electrons, levels)

    @property
    def _largest(self) -> int:
        return int(2 ** (self.spec.converter.bits or _BITS) - 1)

    def _check(self, expected: Plane, seconds: float, others: tuple[Plane | float | None, ...]) -> None:
        for plane in (expected, *others):
            if isinstance(plane, np.ndarray) and plane.shape != self.shape:
                raise InputError(
                    f"light is not for detector {self.detector.name}",
                    value=plane.shape,
                    remedy=f"give an array of {self.shape} (ny, nx)",
                )
        if not np.isfinite(np.sum(expected, dtype=np.float64)):
            raise InputError(
                f"light for detector {self.detector.name} is not finite", remedy="give 0 where there is none"
            )
        if not seconds >= 0.0:
            raise InputError("exposure time is negative", value=seconds)

    def _light(
        self, expected: Plane, seconds: float, band: str, sky: Plane | float, illumination: Plane | None
    ) -> Plane:
        """Return the electrons that each pixel is expected to collect while its boundaries rest."""
        light = np.array(expected, np.float32, order="C")
        spec = self.spec
        if spec.fringing is not None and self.thickness is not None:
            fringe(light, sky, band, spec.fringing, self.thickness)
        if illumination is not None:
            light *= illumination
        if self.tree_rings is not None:
            self.tree_rings.apply(light)
        if spec.diffusion is not None:
            spread(light, spec.diffusion)
        if self.response is not None:
            light *= self.response
        if self.dark is not None:
            self.dark.add(light, seconds)
        return light

    def _integrate(self, light: Plane, streams: Streams) -> Plane:
        """Return the charge that light and dark current leave."""
        spec = self.spec
        if spec.brighter_fatter is not None:
            most = float(self.full_wells.amplifiers.max()) if self.full_wells is not None else _NO_WELL
            return collect_in_steps(light, spec.brighter_fatter, most, noisy=spec.shot_noise, streams=streams)
        if spec.shot_noise:
            draw_poisson(light, streams.words("shot noise", light.shape[0]))
        return light

    def _strike(self, charge: Plane, seconds: float, streams: Streams) -> tuple[CosmicRays | None, NDArray[np.bool_]]:
        spec = self.spec.cosmic_rays
        if spec is None:
            return None, np.zeros(self.shape, bool)
        pixel_um = self.detector.pixel_size_mm * _UM_PER_MM
        struck, rays = strike(self.shape, seconds, pixel_um, spec, streams)
        charge += struck
        return rays, struck >= spec.mask_electrons

    def _segments(self, charge: Plane) -> Plane:
        """Return the amplifiers' signals in read order, with overscan, after transfer and amplification."""
        spec = self.spec
        shape = np.max([order.shape for order in self.orders], axis=0)
        segments = np.zeros((len(self.orders), *shape), np.float32)
        for number, order in enumerate(self.orders):
            segment = segments[number]
            segment[order.data] = order.view(charge, self.detector)
            if spec.defects is not None and self.defects is not None:
                self.defects.segments[number].pass_through(segment, order, spec.defects)
            parallel, serial = (float(values[number]) for values in self.inefficiencies)
            transfer(
                segment,
                parallel=(spec.parallel_transfer, parallel) if spec.parallel_transfer else None,
                serial=(spec.serial_transfer, serial) if spec.serial_transfer else None,
            )
            table, step = (self.linearity[1][number], self.linearity[2]) if self.linearity else (_NO_TABLE, 1.0)
            amplify(segment, float(self.gains[number]), table, step)
        return segments

    def _digitise(self, signal: Plane, number: int, hours: float, exposure: Streams, out: NDArray[np.int32]) -> None:
        """Convert one amplifier's signal."""
        ny, nx = signal.shape
        rows, columns, pattern = np.zeros(ny, np.float32), np.zeros(nx, np.float32), 0.0
        if self.bias is not None:
            rows = self.bias.rows(number, ny, hours, exposure)
            columns = self.bias.columns(number, nx, self._streams)
            pattern = self.bias.spec.pixel_rms_adu
        noise = float(self.read_noise[number] / self.gains[number])
        fixed = self._streams.words(f"bias pixels {number}", ny)
        states = exposure.words(f"read noise {number}", ny)
        digitise(signal, rows, columns, pattern, fixed, noise, states, self._largest, out)

    def _fill_unread(self, raw: NDArray[Any], number: int, level: float, exposure: Streams) -> None:
        """Give the pixels that no section names the bias level and the noise of their amplifier."""
        rows, columns = self._unread[number]
        noise = exposure.rng(f"unread {number}").standard_normal(rows.size) * self.read_noise[number]
        values = np.rint(level + noise / self.gains[number])
        raw[rows, columns] = np.clip(values, 0, self._largest).astype(raw.dtype)

    def defect_mask(self) -> NDArray[np.bool_]:
        """Return dead pixels and columns, columns that leak or hold a trap, hot pixels.

        Returns
        -------
        ndarray, bool, shape (ny, nx)
            A new array.
        """
        mask = np.zeros(self.shape, bool) if self.defects is None else self.defects.mask.copy()
        if self.dark is not None:
            mask.reshape(-1)[self.dark.hot] = True
        return mask
