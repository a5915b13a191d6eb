"""A layer of galaxies: fixed in place and brightness, each a sum of parts with their own colours."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.galaxy_spectra import galaxy_spectra
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.population.galaxy_parts import COMPONENTS, DISK, DUST, OLD, YOUNG, Parts
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.population.sky_index import SkyIndex

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_YOUNG_TYPE = 1.0
_FAINTEST_FLUX = 1e-12


class GalaxyLayer:
    """Galaxies in parallel columns.

    Parameters
    ----------
    name : str
        Name in the truth.
    objects : dict of ndarray
        ``object_id``; ``ra``, ``dec`` [deg]; ``redshift``; ``i_mag_0``, magnification in, the Galaxy's dust out;
        ``excess``, E(B-V) of the Galaxy; ``bulge_type``, ``disk_type`` of `galaxy_spectra`; other columns are only
        truth.
    parts : Parts
        Parts, sorted by galaxy; every galaxy has one or more.
    """

    def __init__(self, name: str, objects: Columns, parts: Parts):
        self._name = name
        self._objects = objects
        self._parts = parts
        size = objects["ra"].size
        self._first = np.searchsorted(parts.galaxy, np.arange(size + 1))
        self._component_share = np.zeros((size, COMPONENTS))
        np.add.at(self._component_share, (parts.galaxy, parts.component), parts.share)
        self._index = SkyIndex(objects["ra"], objects["dec"])

    @property
    def name(self) -> str:
        """Name in the truth."""
        return self._name

    @property
    def objects(self) -> Columns:
        """Truth: one row per galaxy."""
        return self._objects

    @property
    def parts(self) -> Parts:
        """Truth of shapes; shares are those in i."""
        return self._parts

    def magnitudes(self, bandpass: Bandpass, rows: Rows | None = None) -> tuple[Vector, Vector]:
        """Return magnitudes and effective wavelengths.

        Parameters
        ----------
        bandpass : Bandpass
            Light that is collected.
        rows : ndarray, int64, shape (k,), optional
            Galaxies; all by default.

        Returns
        -------
        mag, wavelength_nm : ndarray, float64, shape (k,)
            AB magnitude above the air with the Galaxy's dust in, and mean wavelength of the photons [nm].
        """
        chosen = np.arange(self._objects["ra"].size) if rows is None else rows
        light, wavelength = self._component_light(bandpass, chosen)
        total, mean = _combined(self._component_share[chosen] * light, wavelength)
        return self._objects["i_mag_0"][chosen] - 2.5 * np.log10(total), mean

    def lights(self, moment: Moment) -> Lights:
        """Return the galaxies whose centres lie inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
            All with shapes; shares of the parts are those in the band.
        """
        rows = self._index.circle(moment.ra_deg, moment.dec_deg, moment.radius_deg)
        light, wavelength = self._component_light(moment.bandpass, rows)
        total, mean = _combined(self._component_share[rows] * light, wavelength)
        still = np.zeros(rows.size)
        columns = self._objects
        return Lights(
            object_id=columns["object_id"][rows],
            ra_deg=columns["ra"][rows],
            dec_deg=columns["dec"][rows],
            mag=columns["i_mag_0"][rows] - 2.5 * np.log10(total),
            wavelength_nm=mean,
            rate_ra=still,
            rate_dec=still,
            shape=np.arange(rows.size),
            shapes=self._shapes(rows, light / total[:, None]),
        )

    def _component_light(self, bandpass: Bandpass, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flux in a band of components of unit flux in i, and their wavelengths, shape (k, COMPONENTS)."""
        columns = {name: self._objects[name][rows] for name in ("bulge_type", "disk_type", "redshift", "excess")}
        log_redshift, excess = np.log1p(columns["redshift"]), columns["excess"]
        light, wavelength = np.zeros((rows.size, COMPONENTS)), np.zeros((rows.size, COMPONENTS))
        young = self._component_share[rows, YOUNG] != 0.0
        for component, kind, used in (
            (OLD, columns["bulge_type"], slice(None)),
            (DISK, columns["disk_type"], slice(None)),
            (YOUNG, np.full(rows.size, _YOUNG_TYPE), young),
        ):
            mag, wavelength[used, component] = galaxy_spectra().photometry(
                bandpass, kind[used], log_redshift[used], excess[used]
            )
            light[used, component] = 10.0 ** (-0.4 * mag)
        # Dust takes more blue light than red, as the Galaxy's does.
        law = extinction_law(np.array([bandpass.pivot_nm, lsst_band("i").pivot_nm]))
        light[:, DUST] = light[:, DISK] * law[0] / law[1]
        wavelength[:, DUST] = wavelength[:, DISK]
        return light, wavelength

    def _shapes(self, rows: Rows, light: NDArray[np.float64]) -> Shapes:
        counts = self._first[rows + 1] - self._first[rows]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        owner = np.repeat(np.arange(rows.size), counts)
        chosen = self._first[rows][owner] + np.arange(first[-1]) - first[:-1][owner]
        part = self._parts.take(chosen)
        return Shapes(
            first,
            part.share * light[owner, part.component],
            part.east,
            part.north,
            part.half_light,
            part.sersic,
            part.e1,
            part.e2,
        )


def _combined(light: NDArray[np.float64], wavelength: NDArray[np.float64]) -> tuple[Vector, Vector]:
    """Total flux and mean wavelength of components."""
    total = np.maximum(light.sum(axis=1), _FAINTEST_FLUX)
    bright = np.maximum(light, 0.0) + 1e-30
    return total, np.sum(bright * wavelength, axis=1) / np.sum(bright * (wavelength > 0.0), axis=1)
