"""The detections of one night, sorted frame by frame on a tangent plane."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etendue.geom.earth import geocentric_position_au
from etendue.geom.sphere import tangent_plane
from etendue.table.table import Table


@dataclass(frozen=True)
class Site:
    """Where the observatory is; without one, diurnal parallax is not modelled.

    Parameters
    ----------
    longitude_deg, latitude_deg : float
        Geodetic coordinates, longitude positive to the east [deg].
    elevation_m : float
        Height [m].
    """

    longitude_deg: float
    latitude_deg: float
    elevation_m: float

    def position_au(self, mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return geocentric positions at times of shape (n,), shape (n, 3) [au]."""
        return geocentric_position_au(
            mjd_tai=mjd_tai,
            longitude_deg=self.longitude_deg,
            latitude_deg=self.latitude_deg,
            elevation_m=self.elevation_m,
        )


@dataclass(frozen=True)
class Frames:
    """Detections of a night as parallel arrays, in order of visit and then of ``x``.

    Parameters
    ----------
    row : ndarray, int64, shape (n,)
        Row of each detection in the table it came from.
    x, y : ndarray, float64, shape (n,)
        East and north of the tangent point [arcsec].
    start : ndarray, int64, shape (nf + 1,)
        Detections of frame k are ``start[k]:start[k + 1]``.
    visit : ndarray, int64, shape (nf,)
        Visits, in order of time.
    mjd_tai : ndarray, float64, shape (nf,)
        Mid-exposure times [d].
    ra0_deg, dec0_deg : float
        Tangent point [deg].
    site : Site or None
        The observatory; None puts the observer at the geocentre.
    """

    row: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    start: NDArray[np.int64]
    visit: NDArray[np.int64]
    mjd_tai: NDArray[np.float64]
    ra0_deg: float
    dec0_deg: float
    site: Site | None

    @property
    def hours(self) -> NDArray[np.float64]:
        """Times since the first frame, shape (nf,) [h]."""
        return (self.mjd_tai - self.mjd_tai[0]) * 24.0

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of detections per frame, shape (nf,)."""
        return np.diff(self.start)

    @property
    def area(self) -> float:
        """Area of the box around all detections [arcsec**2], at least one."""
        return max(float(np.ptp(self.x) * np.ptp(self.y)), 1.0) if self.x.size else 1.0

    def where(self, keep: NDArray[np.bool_]) -> "Frames":
        """Return the frames with only the detections ``keep``, shape (n,); no frame is lost."""
        counts = np.add.reduceat(np.append(keep, False).astype(np.int64), self.start[:-1]) * (self.counts > 0)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return replace(self, row=self.row[keep], x=self.x[keep], y=self.y[keep], start=start)

    def observer_au(self, mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return geocentric positions of the observer at times of shape (n,), shape (n, 3) [au]."""
        return self.site.position_au(mjd_tai) if self.site is not None else np.zeros((mjd_tai.size, 3))


def frames_of(sources: Table, rows: NDArray[np.int64], site: Site | None) -> Frames:
    """Sort detections into frames.

    Parameters
    ----------
    sources : Table
        ``dia_source`` rows of one night; not empty.
    rows : ndarray, int64, shape (n,)
        Which of them to use. Visits without a used row keep an empty frame.
    site : Site or None
        None puts the observer at the geocentre.

    Returns
    -------
    Frames
    """
    visit, first = np.unique(sources["visit"], return_index=True)
    mjd = np.asarray(sources["midpointMjdTai"], float)[first]
    by_time = np.argsort(mjd, kind="stable")
    visit, mjd = visit[by_time], mjd[by_time]
    ra, dec = np.asarray(sources["ra"], float), np.asarray(sources["dec"], float)
    ra0, dec0 = float(ra[0]), float(dec[0])
    xi, eta = tangent_plane(ra[rows], dec[rows], ra0, dec0)
    sorter = np.argsort(visit)
    frame = sorter[np.searchsorted(visit, np.asarray(sources["visit"])[rows], sorter=sorter)]
    order = np.lexsort((xi, frame))
    start = np.searchsorted(frame[order], np.arange(visit.size + 1)).astype(np.int64)
    return Frames(rows[order], xi[order] * 3600.0, eta[order] * 3600.0, start, visit, mjd, ra0, dec0, site)
