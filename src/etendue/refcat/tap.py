"""Ask catalog services for the stars in a circle, by TAP."""

import time
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from astropy import units
from numpy.typing import NDArray

from etendue.errors import EtendueError
from etendue.log import get_logger
from etendue.refcat.service import Provider, Service

_log = get_logger(__name__)
# What the columns of ``refcat`` hold; magnitudes and flags have no unit here.
_UNITS = {"ra": "deg", "dec": "deg", "raErr": "deg", "decErr": "deg", "pmra": "mas/yr", "pmdec": "mas/yr",
          "pmraErr": "mas/yr", "pmdecErr": "mas/yr", "parallax": "mas", "parallaxErr": "mas"}  # fmt: skip
_LONGEST_PAUSE_S = 60.0
_MEANINGS = {
    "NameResolutionError": "its name cannot be resolved, is there a network?",
    "Connection refused": "connection refused",
    "Network is unreachable": "no network",
    "timed out": "no answer in time",
}


class TooManyRowsError(Exception):
    """The circle holds more stars than one answer may: ask for smaller ones."""


class ServiceUnavailableError(EtendueError):
    """No server gave an answer; the message names each and why."""


def query_cone(service: Service, *, ra_deg: float, dec_deg: float, radius_deg: float) -> dict[str, NDArray[Any]]:
    """Return the columns of a catalog inside a circle, from the first server that answers.

    Parameters
    ----------
    service : Service
        The catalog.
    ra_deg, dec_deg, radius_deg : float
        Circle [deg].

    Returns
    -------
    dict of str to ndarray, shape (n,)
        By our names, positions and their errors in deg, proper motions in mas/yr; missing numbers NaN.

    Raises
    ------
    TooManyRowsError
        If the server cut its answer short, or gave as many rows as were asked for.
    ServiceUnavailableError
        If no server answered, after some tries.
    """
    failures = []
    for provider in service.providers:
        try:
            return _ask_patiently(service, provider, cone_adql(service, provider, ra_deg, dec_deg, radius_deg))
        except ServiceUnavailableError as error:
            _log.warning("%s: no answer from %s: %s", service.name, provider.name, error)
            failures.append(f"{provider.name} ({provider.url}): {error}")
    raise ServiceUnavailableError("; ".join(failures))


def cone_adql(service: Service, provider: Provider, ra_deg: float, dec_deg: float, radius_deg: float) -> str:
    """Return the query for a circle, stars brighter than the service's limit only.

    Parameters
    ----------
    service : Service
        The catalog.
    provider : Provider
        One of its servers.
    ra_deg, dec_deg, radius_deg : float
        Circle [deg].

    Returns
    -------
    str
        ADQL.
    """
    columns = provider.columns
    circle = f"CIRCLE('ICRS', {ra_deg:.8f}, {dec_deg:.8f}, {radius_deg:.8f})"
    return (
        f"SELECT {', '.join(columns.values())} FROM {provider.table}"
        f" WHERE 1 = CONTAINS(POINT('ICRS', {columns['ra']}, {columns['dec']}), {circle})"
        f" AND {columns[service.faintest.band]} < {service.faintest.mag:g}"
    )


def _ask_patiently(service: Service, provider: Provider, adql: str) -> dict[str, NDArray[Any]]:
    """Ask several times: servers are restarted, and answers break off."""
    import pyvo

    pause, reason = service.pause_s, ""
    for attempt in range(service.tries):
        if attempt:
            time.sleep(min(pause, _LONGEST_PAUSE_S))
            pause *= 2.0
        try:
            return _ask(service, provider, adql)
        except TooManyRowsError:
            raise
        except pyvo.dal.DALQueryError as error:  # the server understood and refused: it will again
            raise ServiceUnavailableError(f"refused the query: {_one_line(error)}") from error
        except Exception as error:  # requests, urllib3, pyvo and the VOTable parser each have their own
            reason = _one_line(error)
    raise ServiceUnavailableError(reason)


def _ask(service: Service, provider: Provider, adql: str) -> dict[str, NDArray[Any]]:
    import pyvo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow is checked below; catalogs have odd units and identifiers
        tap = pyvo.dal.TAPService(provider.url, session=_session(service.timeout_s))
        results = tap.run_sync(adql, maxrec=service.row_limit)
        rows = results.to_table()
    if results.query_status.upper() == "OVERFLOW" or len(rows) >= service.row_limit:
        raise TooManyRowsError(len(rows))
    if len(rows.columns) != len(provider.columns):
        raise ValueError(f"{len(rows.columns)} columns instead of {len(provider.columns)}")
    # By position: servers change the case of names, and drop quotes.
    pairs = zip(provider.columns, rows.columns.values(), strict=True)
    return {ours: _column(column, ours, provider.units) for ours, column in pairs}


def _session(timeout_s: float) -> Any:
    """Return an HTTP session that never waits longer than this for the next byte."""
    import requests

    session = requests.Session()
    session.request = partial(session.request, timeout=timeout_s)
    return session


def _column(column: Any, ours: str, declared: Mapping[str, str]) -> NDArray[Any]:
    masked = np.ma.getmaskarray(column) if np.ma.isMaskedArray(column) else np.zeros(len(column), bool)
    data = np.asarray(column)
    if data.dtype.kind in "SUO":
        text = [item.decode("ascii", "replace") if isinstance(item, bytes) else str(item) for item in data.tolist()]
        return np.asarray(["" if gap else item for item, gap in zip(text, masked, strict=True)], np.str_)
    if data.dtype.kind in "iu" and not masked.any():
        return data.astype(np.int64)
    values = np.where(masked, np.nan, data.astype(np.float64))
    unit = column.unit or declared.get(ours)
    return values if ours not in _UNITS or not unit else values * float(units.Unit(unit).to(_UNITS[ours]))


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    for words, meaning in _MEANINGS.items():
        if words in text:
            return meaning
    return text if len(text) <= 160 else f"{text[:157]}..."
