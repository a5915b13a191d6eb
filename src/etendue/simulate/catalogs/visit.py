"""One catalog of one exposure: noise is drawn, the detected are kept, and put into an order that tells nothing."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.geom.ids import source_ids
from etendue.simulate.catalogs.depth import Depth, Noise
from etendue.simulate.catalogs.expected import KINDS, Expected
from etendue.simulate.catalogs.footprint import Footprint
from etendue.simulate.catalogs.measured import Measured, measure
from etendue.simulate.catalogs.rows import Frame, Located, dia_source_columns, source_columns
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.catalog_spec import CatalogSpec
from etendue.simulate.telescope.true_wcs import TrueWcs
from etendue.table.table import Table

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

KEYS = {"source": "sourceId", "dia_source": "diaSourceId"}
"""Tables that are made, and their keys."""

LOST = ("", "faint", "missed", "streak", "blended")
"""Why an object has no row of its own; ``lost`` of the truth is a place in this list."""
_FAINT, _MISSED, _STREAK, _BLENDED = range(1, len(LOST))

_DIPOLE = KINDS.index("dipole")
_LEAST_SNR = 0.3  # of what can add to a blend


@dataclass(frozen=True, slots=True, eq=False)
class VisitCatalog:
    """The catalog of one exposure and its truth.

    Parameters
    ----------
    table : Table
        ``source`` or ``dia_source``, in the order of detectors and pixels.
    truth : dict of ndarray
        One row per row of the catalog, and one per object that is lost or merged into another: ``sourceId`` or
        ``diaSourceId`` (0 if lost), ``object_id`` (0 for a false detection), ``kind`` and ``lost`` as places in
        `KINDS` and `LOST`, and without noise ``detector`` (-1 for none), ``ra``, ``dec`` [deg], ``flux``,
        ``psf_flux``, ``template_flux`` [nJy], ``snr``, ``trail_length`` [arcsec] and ``trail_angle`` [deg].
    """

    table: Table
    truth: Columns


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """What the catalog of an exposure is made with.

    Parameters
    ----------
    name : str
        ``source`` or ``dia_source``.
    spec : CatalogSpec
        How deep, exact and clean.
    seed : int
        Seed of the survey.
    footprint : Footprint
        Detectors.
    wcs : TrueWcs
        Sky to field angles.
    depth : Depth
        Noise.
    frame : Frame
        What the rows share.
    """

    name: str
    spec: CatalogSpec
    seed: int
    footprint: Footprint
    wcs: TrueWcs
    depth: Depth
    frame: Frame

    def catalog(self, objects: Expected, false: Expected) -> VisitCatalog:
        """Return the catalog.

        Parameters
        ----------
        objects : Expected
            Objects, apart from each other.
        false : Expected
            False detections.

        Returns
        -------
        VisitCatalog
        """
        noise = self._noise(objects)
        objects = objects.take(np.abs(objects.psf_flux) > _LEAST_SNR * np.sqrt(noise.variance))
        streak = objects.length_arcsec > self.spec.longest_trail_arcsec
        whole = replace(
            objects, flux=np.where(streak, 0.0, objects.flux), psf_flux=np.where(streak, 0.0, objects.psf_flux)
        )
        merged, into = whole.blended(self.spec.blend_fwhm * self.depth.psf.fwhm_arcsec / 3600.0)
        measured, detected = self._measured(merged, "objects")
        main = into == np.arange(len(objects))
        lost = np.where(streak, _STREAK, np.where(main, detected, _BLENDED))
        false_measured, _ = self._measured(false, "false detections")
        everything = Expected.concat([merged, false])
        kept = np.concatenate([lost == 0, np.ones(len(false), bool)])
        table, key = self._table(everything, Measured.concat([measured, false_measured]), kept)
        owner = np.concatenate([into, len(objects) + np.arange(len(false))])
        alone = Expected.concat([objects, false])
        return VisitCatalog(table, self._truth(alone, key[owner], np.concatenate([lost, np.zeros(len(false), int)])))

    def _noise(self, expected: Expected) -> Noise:
        images = self.spec.template_visits if self.name == "dia_source" else 0
        return replace(self.depth.at(expected.field_x, expected.field_y), images=images)

    def _measured(self, expected: Expected, purpose: str) -> tuple[Measured, NDArray[np.int64]]:
        """Return measurements, and whether they are too faint or missed, or not (0)."""
        rng = stream(self.seed, f"{self.name} {purpose}", self.frame.exposure.exposure)
        measured = measure(
            rng, expected, self._noise(expected), self.depth.psf, floor_arcsec=1e-3 * self.spec.astrometric_floor_mas
        )
        luck, threshold = rng.random(len(expected)), rng.normal(size=len(expected))
        least = self.spec.detection_snr * 10.0 ** (0.4 * self.spec.completeness_width_mag * threshold)
        snr = np.abs(measured.snr) if self.name == "dia_source" else measured.snr
        return measured, np.where(snr < least, _FAINT, np.where(luck >= self.spec.efficiency, _MISSED, 0))

    def _table(self, expected: Expected, measured: Measured, kept: NDArray[np.bool_]) -> tuple[Table, Rows]:
        """Return the rows that are kept and fall on detectors, and the keys of all (0 for the others)."""
        rows = np.flatnonzero(kept)
        located = self._located(expected.take(rows), measured.take(rows))
        on = np.flatnonzero(located.row >= 0)
        on = on[np.lexsort((located.x[on], located.y[on], self.footprint.ids[located.row[on]]))]
        rows, located = rows[on], located.take(on)
        key = _ids(self.frame.exposure.exposure, self.footprint.ids[located.row])
        if self.name == "source":
            columns = source_columns(self.frame, key, located, measured.take(rows))
        else:
            dipole = expected.kind[rows] == _DIPOLE
            columns = dia_source_columns(self.frame, key, located, measured.take(rows), dipole)
        keys = np.zeros(len(expected), np.int64)
        keys[rows] = key
        return Table(self.name, columns), keys

    def _located(self, expected: Expected, measured: Measured) -> Located:
        """Put the errors of positions in; the calibration that turns them to pixels is perfect."""
        ra, dec = self.wcs.pixel_to_sky(x=expected.field_x, y=expected.field_y)
        dec = np.clip(dec + measured.north / 3600.0, -90.0, 90.0)
        ra = (ra + measured.east / 3600.0 / np.maximum(np.cos(np.radians(dec)), 1e-9)) % 360.0
        field = self.wcs.sky_to_field(ra_deg=ra, dec_deg=dec)
        row, x, y = self.footprint.find(*field, edge_px=self.spec.edge_px)
        return Located(row, ra, dec, x, y)

    def _truth(self, expected: Expected, key: Rows, lost: Rows) -> Columns:
        row, _, _ = self.footprint.find(expected.field_x, expected.field_y)
        snr = expected.psf_flux / self._noise(expected).difference(expected.psf_flux, expected.template)
        seen = (key > 0) | ((row >= 0) & (expected.object_id > 0) & (np.abs(snr) > self.spec.truth_snr))
        lost = np.where((key == 0) & (lost == _BLENDED), _FAINT, lost)  # what it would have merged into was not seen
        chosen = np.flatnonzero(seen)
        chosen = chosen[np.lexsort((expected.object_id[chosen], lost[chosen], key[chosen]))]
        ra, dec = self.wcs.pixel_to_sky(x=expected.field_x[chosen], y=expected.field_y[chosen])
        expected = expected.take(chosen)
        return {
            KEYS[self.name]: key[chosen], "object_id": expected.object_id, "kind": expected.kind,
            "lost": lost[chosen].astype(np.int8), "visit": np.full(chosen.size, self.frame.exposure.exposure),
            "detector": np.where(row[chosen] >= 0, self.footprint.ids[row[chosen]], -1).astype(np.int16),
            "ra": ra, "dec": dec, "flux": expected.flux, "psf_flux": expected.psf_flux,
            "template_flux": expected.template, "snr": np.where(expected.object_id > 0, snr[chosen], expected.snr),
            "trail_length": expected.length_arcsec, "trail_angle": expected.bearing_deg,
        }  # fmt: skip


def _ids(visit: int, detector: Rows) -> Rows:
    """Return the ids of rows that are sorted by detector."""
    ids = np.zeros(detector.size, np.int64)
    numbers, first, count = np.unique(detector, return_index=True, return_counts=True)
    for number, begin, size in zip(numbers, first, count, strict=True):
        ids[begin : begin + size] = source_ids(visit, int(number), int(size))
    return ids
