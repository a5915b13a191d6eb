"""Observations of moving objects in the Minor Planet Center's exchange format."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.table.table import Table

_COLUMNS = (
    ("trkSub", 8), ("mode", 4), ("stn", 4), ("obsTime", 24), ("ra", 11), ("dec", 11), ("rmsRA", 6), ("rmsDec", 6),
    ("astCat", 8), ("mag", 6), ("rmsMag", 6), ("band", 4), ("photCat", 8), ("logSNR", 6), ("exp", 6), ("remarks", 7),
)  # fmt: skip
BANDS = {
    "U", "B", "V", "R", "I", "J", "H", "K", "u", "g", "r", "i", "z", "y", "w", "W", "C", "L", "G", "o", "c",
    "Vj", "Rc", "Ic", "Bj", "Uj", "Bm", "Sg", "Sr", "Si", "Sz", "Su", "Pg", "Pr", "Pi", "Pz", "Py", "Pw", "Ao", "Ac",
    "Lu", "Lg", "Lr", "Li", "Lz", "Ly", "Gb", "Gr",
}  # fmt: skip
"""Photometric bands of ADES that telescopes on the ground report."""
CATALOGS = {
    "UNK", "Gaia1", "Gaia2", "Gaia3", "Gaia3E", "UCAC1", "UCAC2", "UCAC3", "UCAC4", "UCAC5", "USNOA1", "USNOA2",
    "USNOB1", "Tyc2", "Hip", "Hip2", "2MASS", "PPMXL", "PS1_DR1", "PS1_DR2", "SDSS7", "SDSS8", "SDSS9", "ATLAS2",
    "URAT1", "GSC1.1", "GSC2.3", "NOMAD", "CMC14", "CMC15", "SSTRC4", "SSTRC5",
}  # fmt: skip
"""Names of reference catalogs in ADES."""
_STATION = re.compile(r"[A-Z0-9][0-9]{2}[0-9]?|XXX")
_PLAIN = re.compile(r"[ -~]*")
_SMALLEST = 0.001  # errors are positive in ADES, and written with three digits


@dataclass(frozen=True)
class AdesHeader:
    """What the header of a submission says: who observed, with what.

    Parameters
    ----------
    station : str
        Observatory code of the MPC; ``XXX`` where the observatory has none yet.
    submitter : str
        Name, as ``A. Bcdef``.
    observers, measurers : sequence of str
        At least one each.
    design, detector : str
        Of the telescope: ``Reflector``, ``CCD``.
    aperture_m : float
        Of the telescope [m]; NaN leaves it out.
    pixel_scale : float
        Arcsec per pixel; NaN leaves it out.
    observatory, telescope : str
        Names; may be empty.
    comments : sequence of str
        Lines of the comment block.
    """

    station: str
    submitter: str = ""
    observers: Sequence[str] = ()
    measurers: Sequence[str] = ()
    design: str = "Reflector"
    detector: str = "CCD"
    aperture_m: float = float("nan")
    pixel_scale: float = float("nan")
    observatory: str = ""
    telescope: str = ""
    comments: Sequence[str] = field(default_factory=tuple)

    def lines(self) -> list[str]:
        """Return the header records, in the order of the format's description.

        Returns
        -------
        list of str

        Raises
        ------
        InputError
            If the station is no code of the MPC, or a text is not ASCII.
        """
        if not _STATION.fullmatch(self.station):
            raise InputError("is no observatory code of the MPC", value=self.station, remedy="three characters: 695")
        lines = ["# version=2022", "# observatory", f"! mpcCode {self.station}"]
        lines += [f"! name {self.observatory}"] if self.observatory else []
        if self.submitter:
            lines += ["# submitter", f"! name {self.submitter}"]
        for title, names in (("observers", self.observers), ("measurers", self.measurers)):
            lines += [f"# {title}", *(f"! name {name}" for name in names)] if names else []
        lines += ["# telescope"] + ([f"! name {self.telescope}"] if self.telescope else [])
        lines += [f"! design {self.design}"]
        lines += [f"! aperture {self.aperture_m:g}"] if np.isfinite(self.aperture_m) else []
        lines += [f"! detector {self.detector}"]
        lines += [f"! pixelScale {self.pixel_scale:.3f}"] if np.isfinite(self.pixel_scale) else []
        lines += ["# comment", *(f"! line {line}" for line in self.comments)] if self.comments else []
        for line in lines:
            if not _PLAIN.fullmatch(line) or "|" in line:
                raise InputError("ADES headers are plain ASCII without |", value=line, remedy="spell it differently")
        return lines


def ades_psv(
    sources: Table,
    *,
    header: AdesHeader,
    catalog: str,
    absolute: bool,
    bands: Mapping[str, str] | None = None,
    exposure_s: Mapping[int, float] | None = None,
    remarks: Mapping[int, str] | None = None,
) -> str:
    """Format tracklet positions as ADES pipe-separated values.

    Parameters
    ----------
    sources : Table
        ``tracklet_source`` rows; only measured positions are written, never those that a track predicts.
    header : AdesHeader
        Who, where, with what.
    catalog : str
        ADES name of the astrometric reference catalog; ``UNK`` for positions on a catalog of one's own.
    absolute : bool
        Fluxes are on the AB scale. Otherwise magnitudes are left out: a relative one would mislead.
    bands : mapping of str to str, optional
        ADES band of the camera's bands; a band that is none of ADES and not in here has its magnitudes left out.
    exposure_s : mapping of int to float, optional
        Exposure time by visit [s].
    remarks : mapping of int to str, optional
        Text by tracklet.

    Returns
    -------
    str
        One header block, the line of the field names, and one line per position, in order of tracklet and time.
        Columns without any value are left out.

    Raises
    ------
    InputError
        If the catalog's name is none of ADES, or the header cannot be written.

    References
    ----------
    ADES 2022 description, https://minorplanetcenter.net/iau/info/ADES.html.
    """
    if catalog not in CATALOGS:
        raise InputError("is no catalog name of ADES", value=catalog, remedy="for instance Gaia2, Gaia3, UCAC4, UNK")
    rows = list(_rows(sources, header.station, catalog, absolute, bands or {}, exposure_s or {}, remarks or {}))
    widths = dict(_COLUMNS) | {"remarks": max([7, *(len(row["remarks"]) for row in rows)])}
    used = [name for name, _ in _COLUMNS if not rows or any(row[name] for row in rows)]
    lines = [*header.lines(), "|".join(name.ljust(widths[name]) for name in used)]
    return "\n".join([*lines, *("|".join(row[name].ljust(widths[name]) for name in used) for row in rows)]) + "\n"


def short_names(tracklet_ids: NDArray[np.int64]) -> dict[int, str]:
    """Give every tracklet a name of at most eight characters, in order of its number.

    Parameters
    ----------
    tracklet_ids : ndarray, int64, shape (n,)
        Numbers, in any order and repeated.

    Returns
    -------
    dict of int to str
        ``et0001`` and so on.
    """
    return {int(number): f"et{index:04d}" for index, number in enumerate(np.unique(tracklet_ids), start=1)}


def _rows(
    sources: Table,
    station: str,
    catalog: str,
    absolute: bool,
    bands: Mapping[str, str],
    exposure_s: Mapping[int, float],
    remarks: Mapping[int, str],
) -> Iterator[dict[str, str]]:
    order = np.lexsort((sources["mjd_tai"], sources["trackletId"]))
    order = order[np.asarray(sources["status"])[order] == "detected"]
    names = short_names(np.asarray(sources["trackletId"]))
    times = Time(np.asarray(sources["mjd_tai"], float), format="mjd", scale="tai", precision=2).utc.isot
    for i in order:
        band = str(sources["band"][i])
        band = bands.get(band, band)
        has_mag = absolute and band in BANDS and bool(np.isfinite(sources["mag"][i]))
        snr = float(sources["snr"][i]) if "snr" in sources else 0.0
        tracklet = int(sources["trackletId"][i])
        yield {
            "trkSub": names[tracklet],
            "mode": "CCD",
            "stn": station,
            "obsTime": f"{times[i]}Z",
            "ra": f"{round(float(sources['ra'][i]), 7) % 360.0:.7f}",
            "dec": f"{sources['dec'][i]:+.7f}",
            "rmsRA": f"{max(sources['raErr'][i] * 3600.0, _SMALLEST):.3f}",
            "rmsDec": f"{max(sources['decErr'][i] * 3600.0, _SMALLEST):.3f}",
            "astCat": catalog,
            "mag": f"{sources['mag'][i]:.2f}" if has_mag else "",
            "rmsMag": f"{max(sources['magErr'][i], _SMALLEST):.3f}" if has_mag else "",
            "band": band if has_mag else "",
            "photCat": catalog if has_mag else "",
            "logSNR": f"{np.log10(snr):.2f}" if snr > 0.0 else "",
            "exp": f"{exposure_s[int(sources['visit'][i])]:.0f}" if int(sources["visit"][i]) in exposure_s else "",
            "remarks": remarks.get(tracklet, ""),
        }
