"""Stars and galaxies from a user's own table."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.beside import BesidePath
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.sed_grid import SedGrid
from etendue.simulate.light.user_spectra import read_spectra
from etendue.simulate.population.given_table import GivenTable, TableFile
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.motion import MotionBound, positions_at
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.population.sky_index import SkyIndex

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_MOTION = {"parallax": (0.0, np.inf), "pm_ra": (-np.inf, np.inf), "pm_dec": (-np.inf, np.inf),
           "radial_velocity": (-3e5, 3e5)}  # fmt: skip
_SHAPE = {"half_light": np.nan, "sersic": 1.0, "e1": 0.0, "e2": 0.0}
_MAG = "mag_"
_STILL = dict.fromkeys(_MOTION, 0.0)


class TableSpec(TableFile):
    """A table of stars or galaxies.

    Columns: ``ra``, ``dec`` at J2016.0 [deg]; ``mag_<band>`` for every band of the survey (AB, the Galaxy's dust in;
    missing where the object has no light); optional ``parallax`` [mas], ``pm_ra``, ``pm_dec`` [mas/yr],
    ``radial_velocity`` [km/s]; optional ``half_light`` [arcsec] (missing or 0 for a point), ``sersic`` (1), ``e1``,
    ``e2`` (0) as in `Shapes`. Other columns go into the truth as they are. A galaxy of bulge and disk is two rows.
    """

    holds: Literal["objects"] = "objects"
    """What the rows are."""

    spectra: BesidePath | None = None
    """Spectra as seen: a text table of wavelength [nm] and one column of flux per wavelength for each. The table's
    column ``spectrum`` chooses one, from 0; bands without a column of their own follow from it, and so do effective
    wavelengths, by which refraction shifts sources."""

    reference: Literal["u", "g", "r", "i", "z", "y"] = "r"
    """Band in which the table gives the magnitudes that spectra are scaled to."""


class TableLayer:
    """Objects of a user's table.

    Parameters
    ----------
    objects : dict of ndarray
        ``object_id`` and the columns of `TableSpec`, complete.
    source : object
        Where they come from, for messages.
    spectra : tuple of (SedGrid, str), optional
        Spectra, and the band whose magnitudes they are scaled to.
    """

    def __init__(self, objects: Columns, source: object = "table", spectra: tuple[SedGrid, str] | None = None):
        self._objects = objects
        self._source = source
        self._spectra = spectra
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
            Magnitude, NaN where the table has none, and effective wavelength: the band's pivot without spectra [nm].

        Raises
        ------
        InputError
            If the table lacks the band.
        """
        name, own = _MAG + bandpass.name, self._objects
        wanted = np.arange(own["object_id"].size) if rows is None else rows
        if self._spectra is not None:
            grid, reference = self._spectra
            color, wave = grid.photometry(bandpass, own["spectrum"][wanted], np.zeros(wanted.size))
            return (own[name][wanted] if name in own else own[_MAG + reference][wanted] + color), wave
        if name not in own:
            have = sorted(column for column in own if column.startswith(_MAG))
            raise InputError(
                f"no column {name}", source=self._source, value=have, remedy="add it, or rename one in the spec"
            )
        return own[name][wanted], np.full(wanted.size, bandpass.pivot_nm)

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


def make_table(spec: TableSpec, copy: int = 0, bands: Sequence[str] = ()) -> TableLayer:
    """Read a layer from a table.

    Parameters
    ----------
    spec : TableSpec
        Which table.
    copy : int
        Number of the table in the survey.
    bands : sequence of str
        Bands that the table must have.

    Returns
    -------
    TableLayer
        Layer ``table``.

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be: one line with file, column, row, value and remedy.
    """
    table = GivenTable.read(spec.path, spec.rename)
    ra, dec = table.positions()
    spectra = _spectra(spec, table)
    mags = _mags(table, (spec.reference,) if spectra is not None else bands)
    columns = table.columns | {"ra": ra, "dec": dec} | mags
    columns |= {name: table.numbers(name, _STILL[name], *limits) for name, limits in _MOTION.items()}
    columns |= _shapes(table)
    if spectra is not None:
        last = spectra[0].first.size - 1
        columns["spectrum"] = table.numbers("spectrum", low=0, high=last)
        table.refuse("spectrum", columns["spectrum"] % 1.0 != 0.0, "not possible", f"give a whole number up to {last}")
    columns.pop("object_id", None)
    return TableLayer({"object_id": layer_ids("table", table.size, copy), **columns}, spec.path, spectra)


def _mags(table: GivenTable, bands: Sequence[str]) -> Columns:
    """Return all magnitudes; missing ones are NaN."""
    names = [name for name in table.columns if name.startswith(_MAG)]
    lacking = [band for band in bands if _MAG + band not in names]
    if lacking or not names:
        raise table.lacks(_MAG + (lacking[0] if lacking else "<band>"))
    return {name: table.numbers(name, np.nan) for name in names}


def _shapes(table: GivenTable) -> Columns:
    """Return the columns of shapes; those of points may hold anything."""
    columns: Columns = {name: table.numbers(name, default) for name, default in _SHAPE.items()}
    extended = columns["half_light"] > 0.0
    table.refuse("half_light", columns["half_light"] < 0.0, "not possible", "give arcsec, 0 for a point")
    wrong = extended & ((columns["sersic"] < 0.5) | (columns["sersic"] > 6.0))
    table.refuse("sersic", wrong, "not possible", "give 0.5 to 6")
    wrong = extended & (np.hypot(columns["e1"], columns["e2"]) >= 1.0)
    table.refuse("e1", wrong, "not possible with its e2", "e1**2 + e2**2 is below 1")
    return columns


def _spectra(spec: TableSpec, table: GivenTable) -> tuple[SedGrid, str] | None:
    if spec.spectra is None:
        return None
    if "spectrum" not in table:
        raise table.lacks("spectrum")
    return read_spectra(spec.spectra, lsst_band(spec.reference)), spec.reference
