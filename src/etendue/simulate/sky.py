"""The simulated sky: stars, galaxies, a variable, a transient and movers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import tangent_plane_inverse
from etendue.simulate.preset import SurveyPreset

Columns = dict[str, NDArray]

_HALF_WIDTH_DEG, _HALF_HEIGHT_DEG = 0.162, 0.085  # both detectors, the gap, dithers and a margin
_SATURATED_PLACES_DEG = ((0.033, 0.043), (-0.120, -0.040))  # one bleeding star per detector
_VARIABLE_PERIOD_DAY = 0.11
_VARIABLE_AMPLITUDE_MAG = 0.5
_TRANSIENT_FADING_MAG_PER_DAY = 0.8
VARIABLE_ID, TRANSIENT_ID, FIRST_MOVER_ID = 1, 2, 11


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """Everything outside the atmosphere.

    Parameters
    ----------
    objects : dict of ndarray
        One row per fixed source: ``object_id``, ``type`` (star, galaxy, variable, transient), ``ra``, ``dec``
        [deg], ``g_mag``, ``r_mag`` (AB; of the variable at mean light, of the transient at its first light),
        ``radius`` (half-light [arcsec]), ``bulge_fraction``, ``e1``, ``e2`` (of galaxies).
    movers : dict of ndarray
        One row per mover: ``object_id``, ``ra``, ``dec`` [deg] at ``mjd_tai``, ``rate_ra`` (times cos dec),
        ``rate_dec`` [arcsec/h], ``g_mag``, ``r_mag``.
    transient_mjd_tai : float
        First light of the transient.
    """

    objects: Columns
    movers: Columns
    transient_mjd_tai: float

    def magnitudes(self, band: str, mjd_tai: float) -> NDArray[np.float64]:
        """Return the magnitudes of the fixed sources at a time.

        Parameters
        ----------
        band : {"g", "r"}
            Band.
        mjd_tai : float
            Time [day].

        Returns
        -------
        ndarray, shape (n,)
            AB magnitudes; infinite before the transient's first light.
        """
        mags = self.objects[f"{band}_mag"].copy()
        kind = self.objects["type"]
        phase = 2.0 * np.pi * mjd_tai / _VARIABLE_PERIOD_DAY
        mags[kind == "variable"] += 0.5 * _VARIABLE_AMPLITUDE_MAG * np.sin(phase)
        age = mjd_tai - self.transient_mjd_tai
        mags[kind == "transient"] += _TRANSIENT_FADING_MAG_PER_DAY * age if age >= 0.0 else np.inf
        return mags

    def mover_positions(self, mjd_tai: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the movers are.

        Parameters
        ----------
        mjd_tai : ndarray, shape (t,)
            Times [day].

        Returns
        -------
        ra_deg, dec_deg : ndarray, shape (n, t)
            Positions; great circles at constant rate on the tangent plane of each mover.
        """
        movers = self.movers
        hours = (mjd_tai[None, :] - movers["mjd_tai"][:, None]) * 24.0
        xi_deg = movers["rate_ra"][:, None] * hours / 3600.0
        eta_deg = movers["rate_dec"][:, None] * hours / 3600.0
        ra_deg, dec_deg = tangent_plane_inverse(xi_deg, eta_deg, movers["ra"][:, None], movers["dec"][:, None])
        return np.asarray(ra_deg), np.asarray(dec_deg)


def make_sky(preset: SurveyPreset, seed: int) -> Sky:
    """Draw a sky.

    Parameters
    ----------
    preset : SurveyPreset
        Field, numbers and nights.
    seed : int
        Equal seeds give equal skies.

    Returns
    -------
    Sky
    """
    rng = np.random.default_rng([seed, 1])
    stars = _draw_stars(rng, preset.n_stars)
    galaxies = _draw_galaxies(rng, preset.n_galaxies)
    variable = _special(xi=0.062, eta=0.021, r_mag=17.6, g_minus_r=0.35, kind="variable")
    host = _special(xi=0.081, eta=-0.026, r_mag=18.3, g_minus_r=0.7, kind="galaxy", radius=1.9, bulge=0.3)
    transient = _special(xi=0.081 + 1.3 / 3600.0, eta=-0.026 + 0.9 / 3600.0, r_mag=18.9, g_minus_r=0.1)
    bright = [_special(xi=xi, eta=eta, r_mag=11.2, g_minus_r=0.6, kind="star") for xi, eta in _SATURATED_PLACES_DEG]
    parts = (variable, transient, host, *bright, stars, galaxies)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in stars}
    plane = columns.pop("xi"), columns.pop("eta")
    columns["ra"], columns["dec"] = tangent_plane_inverse(*plane, preset.ra_deg, preset.dec_deg)
    columns["object_id"] = np.concatenate([[VARIABLE_ID, TRANSIENT_ID], 101 + np.arange(columns["ra"].size - 2)])
    last_night = preset.start_mjd_tai + preset.nights[-1].day
    return Sky(columns, _make_movers(preset), transient_mjd_tai=last_night - 0.4)


def _draw_places(rng: np.random.Generator, n: int) -> Columns:
    return {
        "xi": rng.uniform(-_HALF_WIDTH_DEG, _HALF_WIDTH_DEG, n),
        "eta": rng.uniform(-_HALF_HEIGHT_DEG, _HALF_HEIGHT_DEG, n),
    }


def _draw_magnitudes(rng: np.random.Generator, n: int, bright: float, faint: float, slope: float) -> NDArray:
    """Draw magnitudes whose counts grow as ``10**(slope * m)``."""
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    return np.log10(low + rng.uniform(size=n) * (high - low)) / slope


def _draw_stars(rng: np.random.Generator, n: int) -> Columns:
    r_mag = _draw_magnitudes(rng, n, 14.0, 23.5, 0.22)
    zero = np.zeros(n)
    return _draw_places(rng, n) | {
        "type": np.full(n, "star"),
        "r_mag": r_mag,
        "g_mag": r_mag + rng.uniform(0.2, 1.4, n),
        "radius": zero,
        "bulge_fraction": zero,
        "e1": zero,
        "e2": zero,
    }


def _draw_galaxies(rng: np.random.Generator, n: int) -> Columns:
    r_mag = _draw_magnitudes(rng, n, 17.5, 23.8, 0.35)
    shape = rng.normal(0.0, 0.22, (2, n))
    shape /= np.maximum(1.0, np.hypot(*shape) / 0.6)
    return _draw_places(rng, n) | {
        "type": np.full(n, "galaxy"),
        "r_mag": r_mag,
        "g_mag": r_mag + rng.uniform(0.2, 1.3, n),
        "radius": 0.75 * 10 ** (-0.09 * (r_mag - 20.0)) * rng.lognormal(0.0, 0.3, n),
        "bulge_fraction": np.where(rng.uniform(size=n) < 0.25, 1.0, rng.uniform(0.0, 0.4, n)),
        "e1": shape[0],
        "e2": shape[1],
    }


def _special(
    *,
    xi: float,
    eta: float,
    r_mag: float,
    g_minus_r: float,
    kind: str = "transient",
    radius: float = 0.0,
    bulge: float = 0.0,
) -> Columns:
    numbers = {
        "xi": xi,
        "eta": eta,
        "r_mag": r_mag,
        "g_mag": r_mag + g_minus_r,
        "radius": radius,
        "bulge_fraction": bulge,
    }
    columns: Columns = {name: np.array([value]) for name, value in numbers.items()}
    return columns | {"type": np.array([kind]), "e1": np.zeros(1), "e2": np.zeros(1)}


def _make_movers(preset: SurveyPreset) -> Columns:
    """Return two movers that cross the field in the first night and one in the last."""
    first, last = preset.start_mjd_tai + 0.05, preset.start_mjd_tai + preset.nights[-1].day + 0.01
    xi, eta = np.array([0.100, -0.105, 0.055]), np.array([-0.012, 0.035, 0.010])
    ra, dec = tangent_plane_inverse(xi, eta, preset.ra_deg, preset.dec_deg)
    return {
        "object_id": FIRST_MOVER_ID + np.arange(3),
        "ra": np.asarray(ra),
        "dec": np.asarray(dec),
        "mjd_tai": np.array([first, first, last]),
        "rate_ra": np.array([-31.0, 22.0, -38.0]),
        "rate_dec": np.array([8.0, -41.0, 17.0]),
        "g_mag": np.array([19.4, 20.4, 19.8]),
        "r_mag": np.array([18.8, 19.8, 19.2]),
    }
