"""A layer of stars: fixed in brightness, moving as they do in space."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.star_spectra import star_spectra, white_dwarf_spectra
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.motion import MotionBound, positions_at
from etendue.simulate.population.sky_index import SkyIndex

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

DWARF, GIANT, WHITE_DWARF = 0, 1, 2
"""Values of the column ``evolution``."""


class StarLayer:
    """Stars in parallel columns.

    Parameters
    ----------
    name : str
        Name in the truth.
    objects : dict of ndarray
        ``object_id``; ``ra``, ``dec`` at J2016.0 from the barycentre [deg]; ``parallax`` [mas]; ``pm_ra``, ``pm_dec``
        [mas/yr]; ``radial_velocity`` [km/s]; ``r_mag_0``, apparent and free of dust; ``excess``, E(B-V) in front;
        ``g_i``, intrinsic; ``metallicity``; ``log_temperature`` of white dwarfs, NaN for others; ``evolution``.
    """

    def __init__(self, name: str, objects: Columns):
        self._name = name
        self._objects = objects
        self._index = SkyIndex(objects["ra"], objects["dec"])
        self._bound = MotionBound(objects["parallax"], objects["pm_ra"], objects["pm_dec"])

    @property
    def name(self) -> str:
        """Name in the truth."""
        return self._name

    @property
    def objects(self) -> Columns:
        """Truth: one row per star."""
        return self._objects

    def magnitudes(self, bandpass: Bandpass, rows: Rows | None = None) -> tuple[Vector, Vector]:
        """Return magnitudes and effective wavelengths.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected.
        rows : ndarray, int64, shape (k,), optional
            Stars; all by default.

        Returns
        -------
        mag, wavelength_nm : ndarray, float64, shape (k,)
            AB magnitude above the air with the Galaxy's dust in, and mean wavelength of the photons [nm].
        """
        chosen = slice(None) if rows is None else rows
        columns = {name: self._objects[name][chosen] for name in _LIGHT}
        mag, wavelength = star_spectra().photometry(bandpass, columns["g_i"], columns["metallicity"], columns["excess"])
        dead = np.flatnonzero(columns["evolution"] == WHITE_DWARF)
        if dead.size:
            mag[dead], wavelength[dead] = white_dwarf_spectra().photometry(
                bandpass, columns["log_temperature"][dead], np.zeros(dead.size), columns["excess"][dead]
            )
        return mag + columns["r_mag_0"], wavelength

    def positions(self, moment: Moment, rows: Rows | None = None) -> tuple[Vector, Vector]:
        """Return directions at a moment.

        Parameters
        ----------
        moment : Moment
            When and from where.
        rows : ndarray, int64, shape (k,), optional
            Stars; all by default.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (k,)
            With proper motion and parallax [deg].
        """
        chosen = slice(None) if rows is None else rows
        columns = {name: self._objects[column][chosen] for name, column in _MOTION.items()}
        return positions_at(moment.mjd_tai, moment.site, **columns)

    def lights(self, moment: Moment) -> Lights:
        """Return the stars inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
            Points; their motion within an exposure is below 1e-3 arcsec per hour and left out.
        """
        columns = self._objects
        reach = moment.radius_deg + self._bound.at(moment.mjd_tai)
        rows = self._index.circle(moment.ra_deg, moment.dec_deg, reach)
        ra, dec = self.positions(moment, rows)
        return Lights.points(columns["object_id"][rows], ra, dec, *self.magnitudes(moment.bandpass, rows))


_LIGHT = ("r_mag_0", "excess", "g_i", "metallicity", "log_temperature", "evolution")
_MOTION = {
    "ra_deg": "ra",
    "dec_deg": "dec",
    "parallax_mas": "parallax",
    "pm_ra": "pm_ra",
    "pm_dec": "pm_dec",
    "radial_velocity": "radial_velocity",
}
