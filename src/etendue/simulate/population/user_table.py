"""Objects from a user's own table."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.motion import MotionBound, positions_at
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.population.sky_index import SkyIndex
from etendue.table.formats import read_any

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_MOTION = ("parallax", "pm_ra", "pm_dec", "radial_velocity")
_SHAPE = {"half_light": np.nan, "sersic": 1.0, "e1": 0.0, "e2": 0.0}
_MAG = "mag_"


class TableSpec(BaseModel):
    """A table of stars or galaxies: CSV, FITS, Parquet or VOTable.

    Columns: ``ra``, ``dec`` at J2016.0 [deg]; ``mag_<band>`` for one band or more (AB, the Galaxy's dust in; missing
    where the object has no light); optional ``parallax`` [mas], ``pm_ra``, ``pm_dec`` [mas/yr], ``radial_velocity``
    [km/s]; optional ``half_light`` [arcsec] (missing or 0 for a point), ``sersic`` (1), ``e1``, ``e2`` (0) as in
    `Shapes`. Other columns go into the truth as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: Path
    """The file."""

    rename: dict[str, str] = Field(default_factory=dict)
    """Names above, and what the table calls them."""


class TableLayer:
    """Objects of a user's table.

    Parameters
    ----------
    objects : dict of ndarray
        ``object_id`` and the columns of `TableSpec`, complete.
    source : object
        Where they come from, for messages.
    """

    def __init__(self, objects: Columns, source: object = "table"):
        self._objects = objects
        self._source = source
        self._index = SkyIndex(objects["ra"], objects["dec"])
        self._bound = MotionBound(objects["parallax"], objects["pm_ra"], objects["pm_dec"])
        self._moves = any(bool(np.any(objects[name] != 0.0)) for name in _MOTION)

    @property
    def name(self) -> str:
        """Name in the truth."""
        return "table"

    @property
    def objects(self) -> Columns:
        """Truth: one row per object."""
        return self._objects

    def magnitudes(self, bandpass: Bandpass, rows: Rows | None = None) -> tuple[Vector, Vector]:
        """Return the table's magnitudes.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected; its name chooses the column.
        rows : ndarray, int64, shape (k,), optional
            Objects; all by default.

        Returns
        -------
        mag, wavelength_nm : ndarray, float64, shape (k,)
            Magnitude, NaN where the table has none, and the band's pivot [nm].

        Raises
        ------
        InputError
            If the table lacks the band.
        """
        name = _MAG + bandpass.name
        if name not in self._objects:
            have = sorted(column for column in self._objects if column.startswith(_MAG))
            raise InputError(
                f"no column {name}", source=self._source, value=have, remedy="add it, or rename one in the spec"
            )
        mag = self._objects[name] if rows is None else self._objects[name][rows]
        return mag, np.full(mag.size, bandpass.pivot_nm)

    def lights(self, moment: Moment) -> Lights:
        """Return the objects inside the moment's circle that have light in the band.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        columns = self._objects
        reach = moment.radius_deg + self._bound.at(moment.mjd_tai)
        rows = self._index.circle(moment.ra_deg, moment.dec_deg, reach)
        mag, wavelength = self.magnitudes(moment.bandpass, rows)
        lit = np.isfinite(mag)
        rows = rows[lit]
        ra, dec = columns["ra"][rows], columns["dec"][rows]
        if self._moves:
            motion = {name: columns[name][rows] for name in _MOTION}
            motion["parallax_mas"] = motion.pop("parallax")
            ra, dec = positions_at(moment.mjd_tai, moment.site, ra_deg=ra, dec_deg=dec, **motion)
        extended = columns["half_light"][rows] > 0.0
        still = np.zeros(rows.size)
        return Lights(
            object_id=columns["object_id"][rows],
            ra_deg=ra,
            dec_deg=dec,
            mag=mag[lit],
            wavelength_nm=wavelength[lit],
            rate_ra=still,
            rate_dec=still,
            shape=np.where(extended, np.cumsum(extended) - 1, -1),
            shapes=self._shapes(rows[extended]),
        )

    def _shapes(self, rows: Rows) -> Shapes:
        zero = np.zeros(rows.size)
        part = {name: self._objects[name][rows] for name in _SHAPE}
        return Shapes(first=np.arange(rows.size + 1), flux=np.ones(rows.size), east=zero, north=zero, **part)


def make_table(spec: TableSpec, copy: int = 0) -> TableLayer:
    """Read a layer from a table.

    Parameters
    ----------
    spec : TableSpec
        Which table.
    copy : int
        Number of the table in the survey.

    Returns
    -------
    TableLayer
        Layer ``table``.

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be.
    """
    columns = read_any(spec.path)
    for ours, theirs in spec.rename.items():
        if theirs not in columns:
            raise InputError(f"no column {theirs}", source=spec.path, value=sorted(columns), remedy="correct rename")
        columns[ours] = columns.pop(theirs)
    for name in ("ra", "dec"):
        if name not in columns:
            raise InputError(f"no column {name}", source=spec.path, value=sorted(columns), remedy="name it in rename")
    bands = [name for name in columns if name.startswith(_MAG)]
    if not bands:
        raise InputError("no column mag_<band>", source=spec.path, value=sorted(columns), remedy="name one in rename")
    size = columns["ra"].size
    for name in ("ra", "dec", *bands):
        columns[name] = _numbers(columns[name], name, spec.path)
    for name, default in {**dict.fromkeys(_MOTION, 0.0), **_SHAPE}.items():
        given = _numbers(columns[name], name, spec.path) if name in columns else np.full(size, default)
        columns[name] = np.where(np.isfinite(given), given, default)
    _check(columns, spec.path)
    columns.pop("object_id", None)
    return TableLayer({"object_id": layer_ids("table", size, copy), **columns}, spec.path)


def _numbers(column: NDArray[np.generic], name: str, source: Path) -> Vector:
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {name} does not hold numbers", source=source) from error


def _check(columns: Columns, source: Path) -> None:
    """Refuse what no object can have."""
    extended = columns["half_light"] > 0.0
    for name, bad in {
        "ra": ~np.isfinite(columns["ra"]),
        "dec": ~(np.abs(columns["dec"]) <= 90.0),
        "parallax": columns["parallax"] < 0.0,
        "sersic": extended & ((columns["sersic"] < 0.5) | (columns["sersic"] > 6.0)),
        "e1": extended & (np.hypot(columns["e1"], columns["e2"]) >= 1.0),
    }.items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"column {name}, row {row}: not possible",
                source=source,
                value=float(columns[name][row]),
                remedy="positions in degrees, parallaxes from 0, Sersic indices 0.5 to 6, e1**2 + e2**2 below 1",
            )
