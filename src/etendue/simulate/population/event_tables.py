"""Transients, active nuclei and flashes from a user's own tables."""

from typing import Literal

import numpy as np

from etendue.simulate.light.dust import Dust
from etendue.simulate.population.agn import AgnLayer, draw_nuclei
from etendue.simulate.population.flashes import FlashLayer
from etendue.simulate.population.given_table import GivenTable, Limits, TableFile
from etendue.simulate.population.layer import layer_ids
from etendue.simulate.population.transients import TRANSIENT_KINDS, Events, TransientLayer, draw_events
from etendue.simulate.random_streams import stream

_NEAREST = 1e-6
_FARTHEST = 20.0
_TEMPERATURE_K = 15000.0
_DAYS = (1e-4, 1e5)
_EVENT_LIMITS: Limits = {
    "stretch": (0.2, 3.0), "color": (-2.0, 5.0), "plateau_mag": (-30.0, 0.0), "plateau_day": (1.0, 1e3),
    "host_excess": (0.0, 20.0), "brightness": (0.0, 1e6), "pace": (1e-3, 1e3), "temperature_1": (1000.0, 2e5),
    "log_luminosity": (30.0, 50.0), "temperature": (1000.0, 1e6), "rise_day": _DAYS, "decay_day": _DAYS,
    "break_day": _DAYS, "mag_1h": (-50.0, 0.0),
}  # fmt: skip
_NUCLEUS_LIMITS: Limits = {"amplitude_mag": (0.0, 10.0), "tau_day": _DAYS, "lag_day": (0.0, 1e4)}


class TransientTableSpec(TableFile):
    """A table of transients; ``objects_transients`` of a simulated survey's truth is one.

    Columns: ``kind`` (one of `TRANSIENT_KINDS`); ``ra``, ``dec`` [deg]; ``redshift``; ``reference_mjd_tai`` (maximum in
    B of type Ia, maximum of disruptions, explosion of all others). Optional: ``excess`` (E(B-V) of the Galaxy, by the
    survey's dust), ``host_id`` (0), and every parameter that the kind has in the truth, such as ``stretch`` and
    ``color`` of type Ia; those that are missing are drawn as for the survey's own transients.
    """

    holds: Literal["transients"] = "transients"
    """What the rows are."""


class NucleusTableSpec(TableFile):
    """A table of active nuclei; ``objects_agn`` of a simulated survey's truth is one.

    Columns: ``ra``, ``dec`` [deg]; ``redshift``; ``mag_i`` (mean, dust in). Optional: ``excess``, ``host_id`` (0),
    ``amplitude_mag`` (at 400 nm, at rest), ``tau_day``, ``lag_day`` (both as observed), ``spectral_slope``; drawn where
    they are missing.
    """

    holds: Literal["nuclei"] = "nuclei"
    """What the rows are."""


class FlashTableSpec(TableFile):
    """A table of flashes; ``objects_flashes`` of a simulated survey's truth is one.

    Columns: ``ra``, ``dec`` [deg]; ``start_mjd_tai``; ``peak_mag`` (AB at 550 nm); ``decay_s``. Optional:
    ``temperature_k`` (15,000).
    """

    holds: Literal["flashes"] = "flashes"
    """What the rows are."""


def make_transient_table(
    spec: TransientTableSpec, seed: int, dust: Dust | None = None, copy: int = 0
) -> TransientLayer:
    """Read a layer of transients from a table.

    Parameters
    ----------
    spec : TransientTableSpec
        Which table.
    seed : int
        Seed of the survey.
    dust : Dust, optional
        The Galaxy's dust.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    TransientLayer

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be.
    """
    table = GivenTable.read(spec.path, spec.rename)
    ra, dec = table.positions()
    kinds = table.texts("kind", known=TRANSIENT_KINDS)
    common = {
        "object_id": layer_ids("transients", table.size, copy),
        "host_id": table.numbers("host_id", 0.0, 0.0).astype(np.int64),
        "ra_deg": ra,
        "dec_deg": dec,
        "redshift": table.numbers("redshift", None, _NEAREST, _FARTHEST),
        "reference_mjd_tai": table.numbers("reference_mjd_tai"),
        "excess": table.numbers("excess", (dust or Dust()).excess(ra, dec, np.inf, seed), 0.0, 100.0),
    }
    parts = []
    for number, kind in enumerate(TRANSIENT_KINDS):
        rows = np.flatnonzero(kinds == kind)
        if rows.size:
            own = draw_events(kind, stream(seed, "transient table", copy, number), rows.size)
            columns = {name: values[rows] for name, values in common.items()}
            parts.append(Events(kind, columns, table.over(own, rows, _EVENT_LIMITS)))
    return TransientLayer(parts)


def make_nucleus_table(spec: NucleusTableSpec, seed: int, dust: Dust | None = None, copy: int = 0) -> AgnLayer:
    """Read a layer of active nuclei from a table.

    Parameters
    ----------
    spec : NucleusTableSpec
        Which table.
    seed : int
        Seed of the survey.
    dust : Dust, optional
        The Galaxy's dust.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    AgnLayer

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be.
    """
    table = GivenTable.read(spec.path, spec.rename)
    ra, dec = table.positions()
    redshift = table.numbers("redshift", None, 0.0, _FARTHEST)
    own = draw_nuclei(stream(seed, "nucleus table", copy), redshift)
    return AgnLayer(
        {
            "object_id": layer_ids("agn", table.size, copy),
            "host_id": table.numbers("host_id", 0.0, 0.0).astype(np.int64),
            "ra_deg": ra,
            "dec_deg": dec,
            "redshift": redshift,
            "mag_i": table.numbers("mag_i", None, -5.0, 50.0),
            "excess": table.numbers("excess", (dust or Dust()).excess(ra, dec, np.inf, seed), 0.0, 100.0),
            **table.over(own, np.arange(table.size), _NUCLEUS_LIMITS),
        }
    )


def make_flash_table(spec: FlashTableSpec, copy: int = 0) -> FlashLayer:
    """Read a layer of flashes from a table.

    Parameters
    ----------
    spec : FlashTableSpec
        Which table.
    copy : int
        Number of the layer among those of its kind.

    Returns
    -------
    FlashLayer

    Raises
    ------
    InputError
        If columns are missing or hold what cannot be.
    """
    table = GivenTable.read(spec.path, spec.rename)
    ra, dec = table.positions()
    return FlashLayer(
        {
            "object_id": layer_ids("flashes", table.size, copy),
            "ra_deg": ra,
            "dec_deg": dec,
            "start_mjd_tai": table.numbers("start_mjd_tai"),
            "peak_mag": table.numbers("peak_mag", None, -30.0, 50.0),
            "decay_s": table.numbers("decay_s", None, 1e-6, 1e7),
            "temperature_k": table.numbers("temperature_k", _TEMPERATURE_K, 1000.0, 1e6),
        }
    )
