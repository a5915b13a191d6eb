"""Observations of moving objects in the Minor Planet Center's exchange format."""

from collections.abc import Iterator

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from etendue.table.table import Table

_COLUMNS = (
    ("trkSub", 8), ("mode", 4), ("stn", 4), ("obsTime", 24), ("ra", 11), ("dec", 11), ("rmsRA", 6), ("rmsDec", 6),
    ("astCat", 6), ("mag", 6), ("rmsMag", 6), ("band", 4), ("photCat", 7),
)  # fmt: skip


def ades_psv(sources: Table, *, station: str, catalog: str, instrument: str, absolute: bool) -> str:
    """Format tracklet positions as ADES pipe-separated values.

    Parameters
    ----------
    sources : Table
        ``tracklet_source`` rows; only measured positions are written, never those that a track predicts.
    station : str
        Observatory code of the MPC; ``XXX`` where the observatory has none yet.
    catalog : str
        ADES name of the astrometric reference catalog; ``UNK`` for positions on a catalog of one's own.
    instrument : str
        Name of the camera, for the header.
    absolute : bool
        Fluxes are on the AB scale. Otherwise magnitudes are left out: a relative one would mislead.

    Returns
    -------
    str
        One header block and one line per position, in order of tracklet and time.

    References
    ----------
    ADES 2022 description, https://minorplanetcenter.net/iau/info/ADES.html.
    """
    header = [
        "# version=2022",
        "# observatory",
        f"! mpcCode {station}",
        "# telescope",
        "! design reflector",
        "! detector CCD",
        f"! name {instrument}",
        "# comment",
        "! line Positions measured on difference images with etendue; check before submitting",
        "|".join(name.ljust(width) for name, width in _COLUMNS),
    ]
    return "\n".join([*header, *_rows(sources, station, catalog, absolute)]) + "\n"


def _rows(sources: Table, station: str, catalog: str, absolute: bool) -> Iterator[str]:
    order = np.lexsort((sources["mjd_tai"], sources["trackletId"]))
    order = order[np.asarray(sources["status"])[order] == "detected"]
    names = _short_names(np.asarray(sources["trackletId"]))
    times = Time(np.asarray(sources["mjd_tai"], float), format="mjd", scale="tai", precision=2).utc.isot
    for i in order:
        has_mag = absolute and np.isfinite(sources["mag"][i])
        values = {
            "trkSub": names[int(sources["trackletId"][i])],
            "mode": "CCD",
            "stn": station,
            "obsTime": f"{times[i]}Z",
            "ra": f"{sources['ra'][i]:.6f}",
            "dec": f"{sources['dec'][i]:+.6f}",
            "rmsRA": f"{sources['raErr'][i] * 3600.0:.3f}",
            "rmsDec": f"{sources['decErr'][i] * 3600.0:.3f}",
            "astCat": catalog,
            "mag": f"{sources['mag'][i]:.2f}" if has_mag else "",
            "rmsMag": f"{sources['magErr'][i]:.2f}" if has_mag else "",
            "band": str(sources["band"][i]) if has_mag else "",
            "photCat": catalog if has_mag else "",
        }
        yield "|".join(values[name].ljust(width) for name, width in _COLUMNS)


def _short_names(tracklet_ids: NDArray[np.int64]) -> dict[int, str]:
    """Give every tracklet a name of at most eight characters, in order of its number."""
    return {int(number): f"et{index:04d}" for index, number in enumerate(np.unique(tracklet_ids), start=1)}
