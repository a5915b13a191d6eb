"""Detect and measure objects on the coadds of a patch in all bands."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.errors import AlgorithmError
from etendue.geom.ids import object_ids
from etendue.geom.skymap import SkyMap
from etendue.geom.tract import Patch
from etendue.image.exposure import Exposure
from etendue.image.photo_calib import njy_to_mag
from etendue.schema.table_schema import load_schema
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.characterize.source_table import flux_columns, pixel_columns, sky_columns
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.measure.measure import MeasureConfig, MeasureTask
from etendue.tasks.measure.source_columns import SourceColumns

_KEPT = ("ixx", "iyy", "ixy", "ixxPSF", "iyyPSF", "ixyPSF", "extendedness", "snr")


class MeasureObjectsConfig(StageConfig):
    """Configuration of `MeasureObjects`."""

    detect: DetectConfig = DetectConfig()
    """Detection, band by band."""

    measure: MeasureConfig = MeasureConfig()
    """Measurement in the reference band, then forced in the others."""

    band_order: tuple[str, ...] = ("i", "r", "z", "y", "g", "u")
    """Which band's position counts, best first; bands not named follow in alphabetical order."""

    merge_radius: float = 1.5
    """Detections of two bands closer than this are one object [px]."""


@dataclass(frozen=True)
class MeasureObjectsResult:
    """Objects inside the patch."""

    objects: Table


class MeasureObjects(Stage[MeasureObjectsConfig]):
    """Detect in every band, merge, measure where the first band saw the object, force the other bands there.

    Only objects in the inner box of the patch, on the sky that the tract owns, are kept: every object once.
    """

    dimensions = ("skymap", "tract", "patch")
    coadds = Input("deep_coadd", ("skymap", "tract", "patch", "band"), "EtendueExposure", multiple=True)
    skymap = Prerequisite("skyMap", ("skymap",), "EtendueSkyMap")
    objects = Output("object", ("skymap", "tract", "patch"), "EtendueTable")

    def run(
        self, *, coadds: tuple[Exposure, ...], skymap: SkyMap, data_id: dict[str, int | str]
    ) -> MeasureObjectsResult:
        """Measure ``coadds``, one per band.

        Raises
        ------
        AlgorithmError
            If no coadd has a PSF.
        """
        tract, patch = int(data_id["tract"]), int(data_id["patch"])
        usable = sorted((c for c in coadds if c.psf is not None), key=lambda c: self._rank(c.band))
        if not usable:
            raise AlgorithmError("no coadd of the patch has a PSF", bands=[c.band for c in coadds])
        detected = [DetectTask(self.config.detect).run(exposure=coadd) for coadd in usable]
        x, y, snr, reference = self._merge(detected)
        measure = MeasureTask(self.config.measure)
        free = [measure.run(exposure=found.exposure, x=x, y=y) for found in detected]
        x, y = _chosen(free, reference, "x", x), _chosen(free, reference, "y", y)
        forced = [measure.run(exposure=found.exposure, x=x, y=y, forced=True) for found in detected]
        table = _object_table(usable, free, forced, reference, x, y, snr, tract, patch)
        return MeasureObjectsResult(objects=_primary(table, skymap, tract, skymap.tract(tract).patch(patch)))

    def _rank(self, band: str) -> tuple[int, str]:
        order = self.config.band_order
        return (order.index(band) if band in order else len(order), band)

    def _merge(self, detected: list[DetectResult]) -> tuple[NDArray, NDArray, NDArray, NDArray[np.int64]]:
        """Take the detections of the first band, then of each next one those that are new."""
        x, y, snr, band = np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
        for index, found in enumerate(detected):
            new = np.ones(found.x.size, bool)
            if x.size:
                distance = np.hypot(found.x[:, None] - x[None, :], found.y[:, None] - y[None, :])
                new = distance.min(axis=1) > self.config.merge_radius
            x, y = np.concatenate([x, found.x[new]]), np.concatenate([y, found.y[new]])
            snr = np.concatenate([snr, found.peak_snr[new]])
            band = np.concatenate([band, np.full(int(new.sum()), index)])
        return x, y, snr, band


def _chosen(measured: list[SourceColumns], reference: NDArray[np.int64], name: str, fallback: NDArray) -> NDArray:
    """Return the value that each object's reference band measured, or the detection's where it failed."""
    value = np.stack([getattr(columns, name) for columns in measured])[reference, np.arange(reference.size)]
    return np.where(np.isfinite(value), value, fallback)


def _object_table(
    coadds: list[Exposure],
    free: list[SourceColumns],
    forced: list[SourceColumns],
    reference: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    snr: NDArray[np.float64],
    tract: int,
    patch: int,
) -> Table:
    n = x.size
    pick = np.arange(n)
    sky = [sky_columns(columns, coadd.wcs) for columns, coadd in zip(free, coadds, strict=True)]
    pixel = [pixel_columns(columns) for columns in free]

    def of_reference(parts: list[dict[str, NDArray]], name: str) -> NDArray:
        return np.stack([part[name] for part in parts])[reference, pick]

    ra, dec = coadds[0].wcs.pixel_to_sky(x=x, y=y)  # type: ignore[union-attr]
    columns: dict[str, NDArray] = {
        "objectId": object_ids(ra, dec, tract, patch),
        "tract": np.full(n, tract),
        "patch": np.full(n, patch),
        "coord_ra": ra,
        "coord_dec": dec,
        "coord_raErr": of_reference(sky, "raErr"),
        "coord_decErr": of_reference(sky, "decErr"),
        "coord_ra_dec_Cov": of_reference(sky, "ra_dec_Cov"),
        "refBand": np.array([coadd.band for coadd in coadds])[reference] if n else np.zeros(0, str),
        "refExtendedness": of_reference(pixel, "extendedness"),
        "shape_xx": of_reference(pixel, "ixx"),
        "shape_yy": of_reference(pixel, "iyy"),
        "shape_xy": of_reference(pixel, "ixy"),
        "shape_flag": of_reference(pixel, "shape_flag"),
        "x": x,
        "y": y,
        "xErr": of_reference(pixel, "xErr"),
        "yErr": of_reference(pixel, "yErr"),
        "snr": snr,
        "detect_isPrimary": np.ones(n, bool),
    }
    for coadd, measured in zip(coadds, forced, strict=True):
        columns |= _band_columns(coadd, measured)
    return Table("object", columns)


def _band_columns(coadd: Exposure, measured: SourceColumns) -> dict[str, NDArray]:
    """Return what one band's forced measurement says, under the names that the schema has."""
    band = coadd.band
    known = {column.name for column in load_schema("object").expand([band])}
    values = flux_columns(measured, np.ones(len(measured)), coadd.bbox)
    values |= {name: value for name, value in pixel_columns(measured).items() if name in _KEPT}
    values |= dict(measured.pixel_flags)
    values["psfMag"] = njy_to_mag(measured.psf_flux)
    values["psfMagErr"] = (
        2.5 / np.log(10.0) * measured.psf_flux_err / np.where(measured.psf_flux > 0, measured.psf_flux, np.nan)
    )
    return {f"{band}_{name}": value for name, value in values.items() if f"{band}_{name}" in known}


def _primary(table: Table, skymap: SkyMap, tract: int, patch: Patch) -> Table:
    inner = patch.inner.contains(x=table["x"], y=table["y"])
    return table.take(np.flatnonzero(inner & (skymap.find_tract(table["coord_ra"], table["coord_dec"]) == tract)))
