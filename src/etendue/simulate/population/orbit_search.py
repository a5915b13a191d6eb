"""Finds which of many orbits may lie in a circle of sky, from positions every half day."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg, unit_vector
from etendue.simulate.population.layer import Field
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import observe_from
from etendue.simulate.population.orbits import Ephemerides, Ephemeris, Orbits

_STEP_DAYS = 0.5
_MARGIN_DEG = 0.02
_NEAR_MARGIN_DEG = 0.2
_FASTEST_DEG_S = 5.0 / 3600.0
_DRAWN_AT_ONCE = 100_000
_FRUITLESS = 60


class HasOrbits(Protocol):
    """Objects in columns, with orbits."""

    @property
    def orbits(self) -> Orbits:
        """Their orbits."""

    def take(self, rows: NDArray[Any]) -> Any:
        """Return some of them.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.
        """


Bodies = TypeVar("Bodies", bound=HasOrbits)


class OrbitSearch:
    """Keeps geocentric lines of sight every half day and interpolates them by cubic Hermite polynomials.

    The parallax of the site is put in exactly, so that the interpolation is the only error: 2.3 arcsec at most for
    200,000 near-Earth objects at four times. The circle is widened by 72 arcsec.

    Parameters
    ----------
    ephemerides : Ephemerides
        Orbits to search.
    """

    def __init__(self, ephemerides: Ephemerides):
        self._ephemerides = ephemerides
        self._lines = lru_cache(maxsize=4)(self._lines_at)

    def inside(self, moment: Moment, margin_deg: float = 0.0) -> NDArray[np.int64]:
        """Return the orbits that may lie in the moment's circle.

        Parameters
        ----------
        moment : Moment
            When and where.
        margin_deg : float
            By how much the circle is widened beyond the margin for errors [deg].

        Returns
        -------
        ndarray, int64, shape (m,)
            Rows, ascending: all that lie in the circle and a few around it.
        """
        line = self._at(moment.mjd_tai) - observe_from(moment.mjd_tai, moment.site).geocentric_au
        along = line @ unit_vector(moment.ra_deg, moment.dec_deg)
        reach = np.cos(np.radians(min(moment.radius_deg + margin_deg + _MARGIN_DEG, 180.0)))
        return np.flatnonzero(along >= reach * np.sqrt(np.einsum("ij,ij->i", line, line)))

    def _at(self, mjd_tai: float) -> NDArray[np.float64]:
        step = int(np.floor(mjd_tai / _STEP_DAYS))
        before, after = self._lines(step), self._lines(step + 1)
        u = mjd_tai / _STEP_DAYS - step
        h00, h10 = (1.0 + 2.0 * u) * (1.0 - u) ** 2, u * (1.0 - u) ** 2 * _STEP_DAYS
        h01, h11 = u * u * (3.0 - 2.0 * u), u * u * (u - 1.0) * _STEP_DAYS
        return h00 * before[:, :3] + h10 * before[:, 3:] + h01 * after[:, :3] + h11 * after[:, 3:]

    def _lines_at(self, step: int) -> NDArray[np.float64]:
        return self._ephemerides.lines(step * _STEP_DAYS, None)[:, :6]


def longest_trail_deg(moment: Moment) -> float:
    """Return half the trail of anything that moves by 5 arcsec/s, as things within 0.002 au of the Earth do.

    Parameters
    ----------
    moment : Moment
        The exposure.

    Returns
    -------
    float
        Length [deg].
    """
    return 0.5 * moment.exposure_time_s * _FASTEST_DEG_S


def trails_inside(seen: Ephemeris, moment: Moment) -> NDArray[np.bool_]:
    """Tell whose trail may touch the circle.

    Parameters
    ----------
    seen : Ephemeris
        Places and rates at mid-exposure.
    moment : Moment
        The circle.

    Returns
    -------
    ndarray, bool, shape (m,)
        True where the circle is nearer than half the trail.
    """
    half_trail_deg = np.hypot(seen.rate_ra, seen.rate_dec) * moment.exposure_time_s / 3600.0 / 2.0 / 3600.0
    apart = separation_deg(seen.ra_deg, seen.dec_deg, moment.ra_deg, moment.dec_deg)
    return apart <= moment.radius_deg + half_trail_deg


def draw_in_field(
    draw: Callable[[int], Bodies],
    v_mag: Callable[[Any, Ephemeris], NDArray[np.float64]],
    wanted: int,
    field: Field,
    at_and_limit: tuple[float, float],
) -> list[Bodies]:
    """Draw bodies of the whole sky until enough of them are bright and in a field.

    Parameters
    ----------
    draw : callable
        Draws a number of bodies.
    v_mag : callable
        Magnitudes of bodies with an ephemeris.
    wanted : int
        How many.
    field : Field
        Where.
    at_and_limit : tuple of float
        Time of the placement, TAI [day], and the faintest magnitude [mag].

    Returns
    -------
    list of bodies
        Parts that together hold ``wanted``.

    Raises
    ------
    InputError
        If six million on the sky do not give as many.
    """
    found: list[Bodies] = []
    total = 0
    reach = float(np.hypot(field.half_width_deg, field.half_height_deg))
    for _ in range(_FRUITLESS):
        drawn = draw(_DRAWN_AT_ONCE)
        # Light time, which `near` leaves out, is far less than the margin.
        drawn = drawn.take(drawn.orbits.near(at_and_limit[0], field.ra_deg, field.dec_deg, reach + _NEAR_MARGIN_DEG))
        seen = Ephemerides(drawn.orbits).at(at_and_limit[0], None)
        good = (v_mag(drawn, seen) < at_and_limit[1]) & field.contains(seen.ra_deg, seen.dec_deg)
        rows = np.flatnonzero(good)[: wanted - total]
        found.append(drawn.take(rows))
        total += rows.size
        if total == wanted:
            return found
    raise InputError(
        f"only {total} of {wanted} bodies are bright and in the field among {_FRUITLESS * _DRAWN_AT_ONCE} on the sky",
        source="in_field",
        remedy="move the field towards the ecliptic, widen it, raise mag_limit or ask for fewer",
    )
