"""Layer of active galactic nuclei that vary as damped random walks."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.kernels.random_walk import damped_walk
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dust import Dust
from etendue.simulate.light.galaxy_spectra import LARGEST_REDSHIFT, active_nucleus_spectra
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.hosts import Hosts
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.layer import Field as SkyField
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment, inside_circle
from etendue.simulate.population.observer import barycentric_delay_day
from etendue.simulate.population.variables import draw_mags
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_REST_NM = 400.0
_AMPLITUDE_POWER = -0.479  # MacLeod et al. (2010, ApJ 721, 1014)
_LAG_POWER = 4.0 / 3.0  # thin disc


class AgnSpec(BaseModel):
    """Active nuclei of the survey."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    count: int = Field(ge=0, le=10_000_000)
    """Number in the field, or in the hosts if these are given."""

    brightest: float = 17.0
    """Brightest mean magnitude of the nucleus in i, dust in [mag]."""

    faintest: float = 24.0
    """Faintest mean magnitude in i [mag]."""

    slope: float = 0.35
    """Number per magnitude goes as 10 to the power of this times the magnitude."""

    dust: Dust = Dust()
    """The Galaxy's dust."""


class AgnLayer:
    """Active nuclei at a moment.

    One damped random walk drives all bands of a nucleus: its amplitude falls with the rest wavelength, and redder light
    answers later, as from a thin disc that is lit from its centre.

    Parameters
    ----------
    objects : dict of ndarray
        As drawn by `make`.
    """

    name = "agn"

    def __init__(self, objects: Columns):
        self.objects = objects
        self._quiet = lru_cache(maxsize=8)(self._quiet_in)

    @classmethod
    def make(cls, spec: AgnSpec, field: SkyField, seed: int, hosts: Hosts | None = None, copy: int = 0) -> "AgnLayer":
        """Draw the active nuclei of a survey.

        Parameters
        ----------
        spec : AgnSpec
            How many.
        field : Field
            Where, without hosts.
        seed : int
            Seed of the survey.
        hosts : Hosts, optional
            Galaxies whose centres may hold a nucleus; without, nuclei stand alone and have quasars' redshifts.
        copy : int
            Number of the layer among those of its kind.

        Returns
        -------
        AgnLayer
        """
        rng, n = stream(seed, "agn", copy), spec.count
        if hosts is None:
            ra, dec = field.scatter(rng, n)
            redshift, host_id = 5.0 * rng.beta(1.9, 3.2, n), np.zeros(n, np.int64)
        else:
            n = min(n, len(hosts))
            row = rng.choice(len(hosts), n, replace=False)
            ra, dec, redshift = hosts.ra_deg[row], hosts.dec_deg[row], hosts.redshift[row]
            host_id = hosts.object_id[row]
        return cls(
            {
                "object_id": layer_ids("agn", n, copy),
                "host_id": host_id,
                "ra_deg": ra,
                "dec_deg": dec,
                "redshift": redshift,
                "mag_i": draw_mags(rng, n, spec.brightest, spec.faintest, spec.slope),
                "excess": spec.dust.excess(ra, dec, np.inf, seed),
                **draw_nuclei(rng, redshift),
            }
        )

    def lights(self, moment: Moment) -> Lights:
        """Return the nuclei inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        rows = inside_circle(self.objects["ra_deg"], self.objects["dec_deg"], moment)
        mag, wave = self._quiet(moment.bandpass)[:, rows]
        agn = {name: column[rows] for name, column in self.objects.items()}
        times = moment.mjd_tai + barycentric_delay_day(moment.mjd_tai, agn["ra_deg"], agn["dec_deg"])
        mag = mag + agn_change(agn, moment.bandpass.pivot_nm, times)
        return Lights.points(agn["object_id"], agn["ra_deg"], agn["dec_deg"], mag, wave)

    def _quiet_in(self, bandpass: Bandpass) -> NDArray[np.float64]:
        agn = self.objects
        kind = agn["spectral_slope"], np.log1p(np.minimum(agn["redshift"], LARGEST_REDSHIFT))
        here, wave = active_nucleus_spectra().photometry(bandpass, *kind, agn["excess"])
        in_i, _ = active_nucleus_spectra().photometry(lsst_band("i"), *kind, agn["excess"])
        return np.stack([agn["mag_i"] + here - in_i, wave])


def draw_nuclei(rng: np.random.Generator, redshift: Vector) -> Columns:
    """Draw spectra and random walks.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    redshift : ndarray, float64, shape (n,)
        Redshifts.

    Returns
    -------
    dict of ndarray, shape (n,)
        ``spectral_slope`` (power of frequency), ``amplitude_mag``, ``tau_day``, ``lag_day``, ``word`` as `agn_change`
        takes them.
    """
    n = redshift.size
    return {
        "spectral_slope": rng.normal(-0.44, 0.3, n),
        "amplitude_mag": np.exp(rng.normal(np.log(0.18), 0.45, n)).clip(0.02, 1.0),
        "tau_day": 10.0 ** rng.normal(2.3, 0.35, n).clip(0.5, 3.5) * (1.0 + redshift),
        "lag_day": np.exp(rng.normal(np.log(1.5), 0.5, n)) * (1.0 + redshift),
        "word": rng.integers(0, 2**63, n, dtype=np.uint64),
    }


def agn_change(agn: Columns, pivot_nm: float, times: Vector) -> Vector:
    """Return how much fainter than their mean active nuclei are.

    Parameters
    ----------
    agn : dict of ndarray
        ``redshift``, ``amplitude_mag`` (standard deviation at 400 nm in the rest frame), ``tau_day`` (observed),
        ``lag_day`` (observed, of 400 nm behind the driver), ``word``.
    pivot_nm : float
        Wavelength of the band [nm].
    times : ndarray, float64, shape (n,)
        Times [day].

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag].
    """
    relative = pivot_nm / (1.0 + agn["redshift"]) / _REST_NM
    walk = np.empty(times.size)
    damped_walk(walk, agn["word"], agn["tau_day"], times - agn["lag_day"] * relative**_LAG_POWER)
    return agn["amplitude_mag"] * relative**_AMPLITUDE_POWER * walk
