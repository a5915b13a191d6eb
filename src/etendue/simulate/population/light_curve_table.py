"""Anything that varies, from a user's own light curves."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.errors import InputError
from etendue.simulate.beside import BesidePath
from etendue.simulate.population.curve_store import CurveStore
from etendue.simulate.population.given_table import GivenTable, TableFile
from etendue.simulate.population.layer import Columns, layer_ids
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.observer import barycentric_delay_day
from etendue.simulate.population.sky_index import SkyIndex

Vector = NDArray[np.float64]

_SAMPLES = 7  # of an exposure
_SECONDS_PER_DAY = 86400.0


class LightCurveTableSpec(TableFile):
    """A table of objects and a table of light curves.

    Columns of the objects: ``ra``, ``dec`` [deg]; ``curve`` (name or number of the curve; several may share one);
    optional ``period_day`` (none: the curve happens once), ``epoch_mjd_tai`` (0), ``stretch`` (1; days of the curve are
    so much longer, as by a redshift), ``mag_offset`` (0; added to the curve). Other columns go into the truth.

    Columns of the curves: ``curve``; ``band``; ``day`` since the epoch (so MJD TAI if that is 0), or the phase from 0
    to 1 of periodic ones; ``mag`` (AB, the Galaxy's dust in; missing where there is no light). Magnitudes are linear in
    between, periodic curves are closed, and a curve lights only in the bands that it has.
    """

    holds: Literal["light_curves"] = "light_curves"
    """What the rows are."""

    curves: BesidePath
    """The table of curves; beside the survey's YAML file if it is not absolute."""

    rename_curves: dict[str, str] = Field(default_factory=dict)
    """As ``rename``, of the curves."""

    beyond: Literal["dark", "steady"] = "dark"
    """What is before the first and after the last day of a curve that happens once: nothing, or the same as there."""

    barycentric: bool = True
    """Whether days are those of the Solar System's barycentre; else of the telescope."""


class CurveLayer:
    """Objects with light curves of the user's.

    Parameters
    ----------
    objects : dict of ndarray
        ``object_id``, ``ra``, ``dec``, ``row`` (of the store), ``period_day`` (NaN without), ``epoch_mjd_tai``,
        ``stretch``, ``mag_offset``, and whatever else the truth is to hold.
    store : CurveStore
        Curves.
    steady : bool
        Whether curves that happen once go on beyond their ends.
    barycentric : bool
        Whether times are those of the barycentre.
    """

    name = "curves"

    def __init__(self, objects: Columns, store: CurveStore, *, steady: bool = False, barycentric: bool = True):
        self.objects = {name: column for name, column in objects.items() if name != "row"}
        self._row = objects["row"]
        self._store = store
        self._steady = steady
        self._barycentric = barycentric
        self._index = SkyIndex(objects["ra"], objects["dec"])

    def lights(self, moment: Moment) -> Lights:
        """Return the objects inside the moment's circle that have light; it is averaged over the exposure.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
        """
        rows = self._index.circle(moment.ra_deg, moment.dec_deg, moment.radius_deg)
        rows = rows[self._store.has(self._row[rows], moment.bandpass.name)]
        ra, dec = self.objects["ra"][rows], self.objects["dec"][rows]
        delay = barycentric_delay_day(moment.mjd_tai, ra, dec) if self._barycentric else 0.0
        steps = ((np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5) * moment.exposure_time_s / _SECONDS_PER_DAY
        band, middle = moment.bandpass.name, moment.mjd_tai + delay
        flux = np.mean([self._flux(rows, band, middle + step) for step in steps], axis=0)
        lit = flux > 0.0
        mag = -2.5 * np.log10(flux[lit])
        wave = np.full(mag.size, moment.bandpass.pivot_nm)
        return Lights.points(self.objects["object_id"][rows[lit]], ra[lit], dec[lit], mag, wave)

    def _flux(self, rows: NDArray[np.int64], band: str, times: Vector | float) -> Vector:
        period = self.objects["period_day"][rows]
        days = (times - self.objects["epoch_mjd_tai"][rows]) / self.objects["stretch"][rows]
        repeats = np.isfinite(period)
        days = np.where(repeats, np.mod(days / np.where(repeats, period, 1.0), 1.0), days)
        mag = self._store.mags(self._row[rows], band, days, repeats, steady=self._steady)
        return 10.0 ** (-0.4 * (mag + self.objects["mag_offset"][rows]))


def make_light_curve_table(spec: LightCurveTableSpec, copy: int = 0) -> CurveLayer:
    """Read a layer from a table of objects and one of light curves.

    Parameters
    ----------
    spec : LightCurveTableSpec
        Which tables.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    CurveLayer
        Layer ``curves``.

    Raises
    ------
    InputError
        If columns are missing, hold what cannot be, or an object has no curve.
    """
    table, curves = GivenTable.read(spec.path, spec.rename), GivenTable.read(spec.curves, spec.rename_curves)
    store = CurveStore.of(
        curves.texts("curve"), curves.texts("band"), curves.numbers("day"), curves.numbers("mag", np.inf)
    )
    names = table.texts("curve")
    row = store.rows(names)
    table.refuse("curve", row < 0, f"has no points in {spec.curves}", "add them, or correct the name")
    ra, dec = table.positions()
    period = table.numbers("period_day", np.nan, 1e-6, 1e6)
    objects: Columns = {
        "object_id": layer_ids("curves", table.size, copy),
        **{name: column for name, column in table.columns.items() if name not in ("object_id", "row")},
        "ra": ra, "dec": dec, "curve": names, "row": row, "period_day": period,
        "epoch_mjd_tai": table.numbers("epoch_mjd_tai", 0.0), "stretch": table.numbers("stretch", 1.0, 1e-3, 1e3),
        "mag_offset": table.numbers("mag_offset", 0.0),
    }  # fmt: skip
    _check_phases(store, row[np.isfinite(period)], spec)
    return CurveLayer(objects, store, steady=spec.beyond == "steady", barycentric=spec.barycentric)


def _check_phases(store: CurveStore, periodic: NDArray[np.int64], spec: LightCurveTableSpec) -> None:
    """Refuse periodic curves whose days are no phases."""
    first, last = store.extent(periodic)
    wrong = (first < 0.0) | (last > 1.0)
    if wrong.any():
        name = str(store.names[periodic[np.argmax(wrong)]])
        value = float(first[wrong][0] if first[wrong][0] < 0.0 else last[wrong][0])
        raise InputError(
            f"column day, curve {name}: not a phase", source=spec.curves, value=value,
            remedy="give phases from 0 to 1 for objects with period_day",
        )  # fmt: skip
