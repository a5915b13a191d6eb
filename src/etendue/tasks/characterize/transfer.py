"""What becomes of sources on an image: completeness, bias and scatter, by sources added to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.photo_calib import njy_to_mag
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.inject import InjectConfig, InjectTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.source_columns import SourceColumns
from etendue.tasks.task import Task, TaskConfig

Columns = dict[str, NDArray[Any]]
Progress = Callable[[int, int], None]


class TransferConfig(TaskConfig):
    """Configuration of `MeasureTransferTask`."""

    spacing: float = Field(60.0, gt=5.0)
    """Mean distance of the sources added in one round [px]."""

    rounds: int = Field(3, ge=1)
    """Rounds, each on the image as it was."""

    bright_mag: float | None = None
    """Brightest magnitude; 6 mag above the depth by default."""

    faint_mag: float | None = None
    """Faintest magnitude; 1 mag below the depth by default."""

    galaxy_fraction: float = Field(0.5, ge=0.0, le=1.0)
    """Galaxies among the sources."""

    half_light_radius: tuple[float, float] = (0.2, 1.5)
    """Range of galaxies' half-light radii, even in the logarithm [arcsec]."""

    sersic_indices: tuple[float, ...] = (1.0, 1.0, 4.0)
    """Drawn evenly."""

    match_radius: float = Field(0.5, gt=0.0)
    """Farthest that a detection may be from the source [FWHM]."""

    inject: InjectConfig = InjectConfig()
    """How sources are added."""

    detect: DetectConfig = DetectConfig()
    """How they are detected."""

    measure: MeasureConfig = MeasureConfig()
    """How they are measured."""


@dataclass(frozen=True, slots=True, eq=False)
class TransferResult:
    """Every source that was added, and what was made of it.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n,)
        ``injection_id``, ``round``, ``ra``, ``dec``, ``mag``, shape columns, ``x``, ``y``, ``flux`` [image unit];
        ``detected``; ``by_chance`` (a source was within the match radius before); ``blendedness``: light that was there
        within a FWHM before, over the sum of it and the source's; and measured columns, NaN where nothing was detected.
    depth_mag : float
        Magnitude of stars of S/N 5 [AB].
    """

    columns: Columns
    depth_mag: float


class MeasureTransferTask(Task[TransferConfig]):
    """Add stars and galaxies to an image, find and measure them as anything else, and compare."""

    def __init__(self, config: TransferConfig | None = None):
        super().__init__(config)
        self.inject = InjectTask(self.config.inject)
        self.detect = DetectTask(self.config.detect)
        self.measure = MeasureTask(self.config.measure)

    def run(self, *, exposure: Exposure, seed: int = 1, progress: Progress | None = None) -> TransferResult:
        """Measure the transfer function of one image.

        Parameters
        ----------
        exposure : Exposure
            Background-subtracted, with PSF, WCS and flux scale.
        seed : int
            Of places, magnitudes, shapes and photon noise.
        progress : callable, optional
            Told after each round how many of how many are done.

        Returns
        -------
        TransferResult

        Raises
        ------
        InputError
            If the image lacks a PSF, a WCS or a flux scale.
        AlgorithmError
            If the image cannot be measured.
        """
        if exposure.psf is None or exposure.wcs is None:
            raise InputError("the image has no PSF or no WCS: nothing can be injected", remedy="calibrate it first")
        before, depth = self.detect.run(exposure=exposure), depth_mag(exposure)
        tree = cKDTree(np.column_stack([before.x, before.y])) if before.x.size else None
        parts = []
        for k in range(self.config.rounds):
            rng = np.random.default_rng([seed, k])
            catalog = self._catalog(exposure, depth, rng)
            added = self.inject.run(exposure=exposure, catalog=catalog, seed=int(rng.integers(2**62)))
            found = self.detect.run(exposure=added.exposure)
            measured = self.measure.run(exposure=found.exposure, x=found.x, y=found.y, footprints=found.footprints)
            part = {name: column for name, column in added.columns.items() if name != "row"}
            part["round"] = np.full(part["x"].size, k)
            part |= self._recovered(part, measured, exposure)
            part |= self._surroundings(part, exposure, tree)
            parts.append(part)
            if progress is not None:
                progress(k + 1, self.config.rounds)
        return TransferResult({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, depth)

    def _catalog(self, exposure: Exposure, depth: float, rng: np.random.Generator) -> InjectionCatalog:
        """Return sources on a jittered grid inside the image."""
        config, box = self.config, exposure.bbox
        assert exposure.wcs is not None
        rows, columns = (max(1, int(axis.size / config.spacing)) for axis in (box.y, box.x))
        y, x = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
        x = box.x.start + (x + 0.5 + rng.uniform(-0.3, 0.3, x.size)) * box.x.size / columns
        y = box.y.start + (y + 0.5 + rng.uniform(-0.3, 0.3, y.size)) * box.y.size / rows
        bright = depth - 6.0 if config.bright_mag is None else config.bright_mag
        faint = depth + 1.0 if config.faint_mag is None else config.faint_mag
        galaxy = rng.random(x.size) < config.galaxy_fraction
        small, large = config.half_light_radius
        radius = np.exp(rng.uniform(np.log(small), np.log(large), x.size))
        ra, dec = exposure.wcs.pixel_to_sky(x=x, y=y)
        return InjectionCatalog.from_columns({
            "ra": ra, "dec": dec, "mag": rng.uniform(bright, faint, x.size),
            "half_light_radius": np.where(galaxy, radius, 0.0), "n": rng.choice(config.sersic_indices, x.size),
            "q": rng.uniform(0.3, 1.0, x.size), "position_angle": rng.uniform(0.0, 180.0, x.size),
        })  # fmt: skip

    def _recovered(self, added: Columns, measured: SourceColumns, exposure: Exposure) -> Columns:
        """Return what was measured of each source."""
        n, radius = added["x"].size, self.config.match_radius * exposure.fwhm
        names = {
            "x_measured": measured.x, "y_measured": measured.y, "psfFlux": measured.psf_flux,
            "psfFluxErr": measured.psf_flux_err, **measured.measured,
        }  # fmt: skip
        nearest, detected = np.zeros(n, np.int64), np.zeros(n, bool)
        if len(measured):
            distance, nearest = cKDTree(np.column_stack([measured.x, measured.y])).query(
                np.column_stack([added["x"], added["y"]])
            )
            detected = distance < radius
        columns: Columns = {"detected": detected}
        for name, value in names.items():
            real = np.full(n, np.nan)
            real[detected] = np.asarray(value, np.float64)[nearest[detected]]
            columns[name] = real
        return columns

    def _surroundings(self, added: Columns, exposure: Exposure, tree: cKDTree | None) -> Columns:
        """Return what was at the places of the sources before."""
        fwhm, box = exposure.fwhm, exposure.bbox
        reach = int(np.ceil(fwhm))
        chance = np.zeros(added["x"].size, bool)
        if tree is not None:
            distance, _ = tree.query(np.column_stack([added["x"], added["y"]]))
            chance = distance < self.config.match_radius * fwhm
        image = np.pad(np.maximum(np.nan_to_num(exposure.image.array), 0.0), reach)
        col = np.clip(np.rint(added["x"]).astype(int) - box.x.start, 0, box.x.size - 1) + reach
        row = np.clip(np.rint(added["y"]).astype(int) - box.y.start, 0, box.y.size - 1) + reach
        offset = np.arange(-reach, reach + 1)
        inside = np.hypot(offset[:, None], offset) <= fwhm
        there = image[row[:, None, None] + offset[:, None], col[:, None, None] + offset] * inside
        of_noise = 0.4 * np.sqrt(np.nanmedian(exposure.variance.array)) * inside.sum()  # mean of positive noise
        light = np.maximum(there.sum(axis=(1, 2)) - of_noise, 0.0)
        return {"by_chance": chance, "blendedness": light / (light + added["flux"])}


def depth_mag(exposure: Exposure) -> float:
    """Return the magnitude of a star of S/N 5 by the median sky noise.

    Parameters
    ----------
    exposure : Exposure
        With PSF and flux scale.

    Returns
    -------
    float
        AB magnitude.
    """
    assert exposure.psf is not None
    x, y = exposure.bbox.x.center, exposure.bbox.y.center
    area = float(exposure.psf.effective_area(x=x, y=y)[0])
    good = ~exposure.mask.any_of(("BAD", "SAT", "NO_DATA", "DETECTED"))
    variance = float(np.median(exposure.variance.array[good])) if good.any() else float("nan")
    scale = exposure.njy_per_unit(x=np.array([x]), y=np.array([y]))[0]
    return float(njy_to_mag(5.0 * np.sqrt(variance * area) * scale))
