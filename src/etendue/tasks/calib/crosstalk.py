"""Measure crosstalk from frames with bright spots or stars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.raw import RawFrame
from etendue.camera.segments import Segments
from etendue.errors import AlgorithmError, InputError
from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.image.exposure import Exposure
from etendue.tasks.calib.calm_level import calm_level
from etendue.tasks.calib.crosstalk_fit import UNIT, VictimPixels, quadratic_scale
from etendue.tasks.calib.selection import check_same_detector
from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
from etendue.tasks.task import Task, TaskConfig

Matrix = NDArray[np.float64]
Plane = NDArray[np.float32]
_STRANGE = 2.5  # sigma
_NOBODY: Mapping[int, Sequence[RawFrame]] = MappingProxyType({})


class MeasureCrosstalkConfig(TaskConfig):
    """Configuration of `MeasureCrosstalkTask`."""

    overscan: SubtractOverscanConfig = SubtractOverscanConfig()
    """Overscan subtraction."""

    minimum_signal: float = Field(5000.0, gt=0.0)
    """Pixels of an aggressor this much above their surroundings tell [ADU]."""

    largest: float = Field(0.02, gt=0.0)
    """Largest coefficient expected: a victim's pixels above this part of the aggressor hold light of their own."""

    clip: float = Field(4.0, gt=0.0)
    """Pixels of a victim further than this from the fit are left out [sigma]."""

    iterations: int = Field(5, ge=1)
    """Fits, each without what lies far from the one before."""

    significance: float = Field(3.0, ge=0.0)
    """Coefficients smaller than this times their error are set to 0."""

    least_pairs: int = Field(6, ge=3)
    """Pairs of amplifiers needed to learn how quadratic coefficients scale with linear ones; with fewer each pair
    stands for itself."""

    minimum_pixels: int = Field(100, ge=10)
    """An aggressor with fewer telling pixels in all frames is not measured: its coefficients are 0 with error NaN."""


@dataclass(frozen=True, slots=True, eq=False)
class _Light:
    """Where some aggressor is bright in one frame.

    Parameters
    ----------
    above, base : ndarray, float32, shape (m, k)
        Signals of all amplifiers (partners' behind the own) above their surroundings, and those surroundings [ADU].
    usable : ndarray, bool, shape (m, k)
        Whether a pixel has a value below saturation.
    noise : ndarray, float64, shape (m,)
        Noise of a pixel of each amplifier, with its share in the error of the surroundings' level [ADU].
    bias_noise : ndarray, float64, shape (m,)
        The same of what was subtracted from all frames [ADU].
    """

    above: Plane
    base: Plane
    usable: NDArray[np.bool_]
    noise: NDArray[np.float64]
    bias_noise: NDArray[np.float64]


class MeasureCrosstalkTask(Task[MeasureCrosstalkConfig]):
    """Regress what the victims show above their surroundings on what the aggressors hold, linear and quadratic.

    Spots in one amplifier at a time are best; science frames with bright stars serve too, as stars that fall on the
    same place of two amplifiers are outliers. A spatially even signal (a flat, the sky) tells nothing, and cannot hurt.
    """

    def run(
        self,
        raws: Sequence[RawFrame],
        camera: Camera,
        bias: Exposure | None = None,
        partners: Mapping[int, Sequence[RawFrame]] = _NOBODY,
    ) -> Crosstalk:
        """Measure the crosstalk into one detector.

        Parameters
        ----------
        raws : sequence of RawFrame
            Frames of one detector with bright light in some amplifiers, of any type.
        camera : Camera
            Their camera.
        bias : Exposure, optional
            Master bias [ADU].
        partners : mapping of int to sequence of RawFrame, optional
            Frames of the same exposures of other detectors, by id, whose crosstalk into this one is wanted. Their bias
            is not needed.

        Returns
        -------
        Crosstalk

        Raises
        ------
        InputError
            If frames of several detectors are given, or a partner lacks an exposure.
        AlgorithmError
            If no amplifier holds enough bright light.
        """
        detector = camera.detector(check_same_detector(raws))
        count = len(detector.amplifiers)
        sources = [_by_exposure(frames, number) for number, frames in partners.items()]
        lights = []
        for raw in raws:
            planes = [self._planes(raw, camera, bias)]
            planes += [self._planes(_partner(source, raw), camera, None) for source in sources]
            light = self._light(planes, _bias_noise(bias, detector, [len(part) for part, _ in planes]), bias is None)
            if light is not None:
                lights.append(light)
        if not lights:
            raise AlgorithmError("no frame holds bright light", frames=len(raws), above=self.config.minimum_signal)
        fits = [self._pixels(lights, victim) for victim in range(count)]
        parts = self._coefficients(fits)
        edges = np.cumsum([count, *(len(camera.detector(number).amplifiers) for number in partners)])
        split = zip(*(np.split(part, edges[:-1], axis=1) for part in parts), strict=True)
        own, *others = (Coupling.of(*cut) for cut in split)
        names = tuple(amplifier.name for amplifier in detector.amplifiers)
        return Crosstalk(names, own, dict(zip(partners, others, strict=True)))

    def _planes(self, raw: RawFrame, camera: Camera, bias: Exposure | None) -> tuple[Plane, NDArray[np.bool_]]:
        """Return the light of all amplifiers in read order, and which of it is below saturation."""
        segments = Segments.of(raw.array, camera.detector(raw.detector_id))
        shape = np.max([order.amplifier.bbox.shape for order in segments.orders], axis=0)
        planes = np.zeros((len(segments.orders), *shape), np.float32)
        usable = np.zeros(planes.shape, np.bool_)
        for number, order in enumerate(segments.orders):
            part = segments.data(number)
            usable[number, : part.shape[0], : part.shape[1]] = part < order.amplifier.saturation
        SubtractOverscanTask(self.config.overscan).run(segments)
        for number, order in enumerate(segments.orders):
            part = segments.data(number)
            if bias is not None:
                part -= order.view(bias.image.array, segments.detector)
            planes[number, : part.shape[0], : part.shape[1]] = np.where(np.isfinite(part), part, 0.0)
        return planes, usable

    def _light(
        self, frames: Sequence[tuple[Plane, NDArray[np.bool_]]], bias_noise: NDArray[np.float64], columns: bool
    ) -> _Light | None:
        """Return the pixels where some amplifier is bright; None if there are none."""
        shape = np.min([planes.shape[1:] for planes, _ in frames], axis=0)
        planes = np.concatenate([planes[:, : shape[0], : shape[1]] for planes, _ in frames])
        usable = np.concatenate([good[:, : shape[0], : shape[1]] for _, good in frames])
        middle = np.array(
            [np.median(plane[good]) if good.any() else 0.0 for plane, good in zip(planes, usable, strict=True)]
        )
        bright = np.any(planes - middle[:, None, None].astype(np.float32) > self.config.minimum_signal, axis=0)
        if not bright.any() or bright.mean() > 0.5:
            return None
        surface, noise = zip(
            *(calm_level(p, g & ~bright, columns=columns) for p, g in zip(planes, usable, strict=True)), strict=True
        )
        base = np.stack([level[bright] for level in surface])
        shared = 1.0 + _crowding(bright) + (_crowding(bright.T) if columns else 0.0)
        both = (values * np.sqrt(shared) for values in (np.array(noise), bias_noise))
        return _Light(planes[:, bright] - base, base, usable[:, bright], *both)

    def _pixels(self, lights: Sequence[_Light], victim: int) -> VictimPixels:
        """Return what a victim shows where aggressors are bright and it is dark."""
        config = self.config
        designs, values, weights = [], [], []
        for light in lights:
            strongest = np.delete(light.above, victim, axis=0).max(axis=0)
            dark = light.above[victim] < config.largest * strongest + config.clip * light.noise[victim]
            chosen = light.usable.all(axis=0) & dark & (strongest > config.minimum_signal)
            designs.append(_design(light.above[:, chosen], light.base[:, chosen]))
            values.append(light.above[victim, chosen])
            weights.append(np.full(int(chosen.sum()), 1.0 / light.noise[victim]))
        design = np.concatenate(designs, axis=1)
        told = (design[: design.shape[0] // 2] > config.minimum_signal).sum(axis=1) >= config.minimum_pixels
        told[victim] = False
        offset = np.mean([light.bias_noise[victim] for light in lights]) / np.sqrt(
            max(design.shape[1] / len(lights), 1.0)
        )
        value, weight = np.concatenate(values), np.concatenate(weights)
        return VictimPixels.of(design, value, weight, told, config.minimum_signal, float(offset))

    def _coefficients(self, victims: Sequence[VictimPixels]) -> list[Matrix]:
        """Return linear and quadratic coefficients and their errors, shape (victims, aggressors) each."""
        clip, iterations, least = self.config.clip, self.config.iterations, self.config.significance
        alone = [victim.fit(clip, iterations) for victim in victims]
        rough = [victim.fit(clip, iterations, bent=np.zeros_like(victim.told)) for victim in victims]
        varied = np.stack([victim.varied for victim in victims])
        linear, quadratic, error = (np.stack([getattr(f, name) for f in fits]) for fits, name in
                                    ((rough, "linear"), (alone, "quadratic"), (alone, "quadratic_err")))  # fmt: skip
        prior = None
        if varied.sum() >= self.config.least_pairs:
            prior = quadratic_scale(linear[varied], quadratic[varied], error[varied])
        fits = []
        for number, victim in enumerate(victims):
            if prior is not None:
                center, width = (part * linear[number] for part in prior)
                strange = np.abs(quadratic[number] - center) > _STRANGE * np.hypot(error[number], width)
                width = np.where(strange, np.inf, np.abs(width) + 1e-30)  # this pair stands for itself
                fit = victim.fit(clip, iterations, expected=(center, width))
            else:
                bent = np.abs(quadratic[number]) >= least * np.nan_to_num(error[number])
                fit = victim.fit(clip, iterations, bent=bent)
            fits.append(fit.significant(least))
        return [
            np.stack([getattr(fit, name) for fit in fits])
            for name in ("linear", "quadratic", "linear_err", "quadratic_err")
        ]


def _bias_noise(bias: Exposure | None, detector: Detector, counts: Sequence[int]) -> NDArray[np.float64]:
    """Return the noise of a pixel of the bias of each amplifier, 0 for those of partners [ADU]."""
    noise = np.zeros(sum(counts))
    if bias is not None:
        for k, amplifier in enumerate(detector.amplifiers):
            variance = bias.variance.array[amplifier.bbox.slices_in(detector.bbox)]
            noise[k] = np.sqrt(np.median(variance[::4, ::4]))
    return noise


def _crowding(bright: NDArray[np.bool_]) -> float:
    """Return the bright pixels over the dark ones of a row: pixels of a row share the error of its level."""
    count = bright.sum(axis=1)
    return float(np.sum(count * count / np.maximum(bright.shape[1] - count, 1)) / count.sum())


def _design(above: Plane, base: Plane) -> Matrix:
    """Return signals, and by how much their squares exceed those of the surroundings."""
    above, base = above.astype(float), base.astype(float)
    return np.concatenate([above, above * (above + 2.0 * base) / UNIT])


def _by_exposure(frames: Sequence[RawFrame], number: int) -> dict[int, RawFrame]:
    if frames and check_same_detector(frames) != number:
        raise InputError(
            "frames of a partner are of another detector", value=frames[0].detector_id, remedy=f"give {number}"
        )
    return {frame.info.exposure_id: frame for frame in frames}


def _partner(source: Mapping[int, RawFrame], raw: RawFrame) -> RawFrame:
    if raw.info.exposure_id not in source:
        raise InputError("a partner lacks this exposure", source=raw.info.file_name, value=raw.info.exposure_id,
                         remedy="give frames of the same exposures")  # fmt: skip
    return source[raw.info.exposure_id]
