"""Certify calibrations: say from when to when the products of a run apply."""

from collections.abc import Collection, Sequence

from astropy.time import Time
from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    MissingCollectionError,
    MissingDatasetTypeError,
    Timespan,
)
from lsst.daf.butler.registry import ConflictingDefinitionError

from etendue.errors import InputError
from etendue.faults import fault_point

_FIRST_MJD, _LAST_MJD = 40588, 88127  # Rubin's time spans reach from 1970 to 2099


def certify(
    butler: Butler,
    dataset_types: Sequence[str],
    *,
    run: str,
    collection: str,
    begin_mjd_tai: float | None = None,
    end_mjd_tai: float | None = None,
    replace: bool = False,
) -> int:
    """Certify every dataset of some types found in a run.

    Parameters
    ----------
    butler : Butler
        Writeable.
    dataset_types : sequence of str
        ``("bias", "flat")``; a type that the run lacks is passed over.
    run : str
        Collection that holds the products.
    collection : str
        CALIBRATION collection.
    begin_mjd_tai, end_mjd_tai : float, optional
        Validity [day, TAI]; unbounded where left out.
    replace : bool
        Take overlapping validity away from earlier calibrations.

    Returns
    -------
    int
        Number of datasets certified.

    Raises
    ------
    InputError
        The validity is empty or no time, or overlaps an earlier calibration and ``replace`` is False.
    """
    span = _span(begin_mjd_tai, end_mjd_tai)
    butler.collections.register(collection, CollectionType.CALIBRATION)
    with butler.transaction():  # a frame must never find the bias of one run and the flat of another, or none
        return sum(_certify_type(butler, name, run, collection, span, replace) for name in dataset_types)


def _certify_type(butler: Butler, name: str, run: str, collection: str, span: Timespan, replace: bool) -> int:
    try:
        refs = butler.query_datasets(name, collections=run, explain=False, limit=None)
    except MissingDatasetTypeError:
        return 0
    if not refs:
        return 0
    # Rubin's decertify fails on a collection that holds none of the type.
    if replace and butler.query_datasets(name, collections=collection, find_first=False, explain=False, limit=1):
        butler.registry.decertify(collection, name, span, dataIds=[ref.dataId for ref in refs])
    fault_point("certify.after-decertify")
    try:
        butler.registry.certify(collection, refs, span)
    except ConflictingDefinitionError:
        raise InputError(
            f"{name} of {run} overlaps the validity of an earlier one", source=collection, remedy="replace it"
        ) from None
    fault_point("certify.between-types")
    return len(refs)


def withdraw_others(
    butler: Butler, name: str, collection: str, output: str, current: Collection[DataCoordinate]
) -> None:
    """End the validity of calibrations that an output made once and makes no more.

    Parameters
    ----------
    butler : Butler
        Writeable.
    name : str
        Dataset type.
    collection : str
        CALIBRATION collection.
    output : str
        Chain of the runs; calibrations of other origin are left alone.
    current : collection of DataCoordinate
        Data IDs that it makes now.
    """
    try:
        refs = butler.query_datasets(name, collections=collection, find_first=False, explain=False, limit=None)
    except (MissingDatasetTypeError, MissingCollectionError):
        return
    gone = [r.dataId for r in refs if str(r.run).startswith(f"{output}/") and r.dataId not in current]
    if gone:
        butler.registry.decertify(collection, name, Timespan(None, None), dataIds=gone)


def _span(begin_mjd_tai: float | None, end_mjd_tai: float | None) -> Timespan:
    for mjd in (begin_mjd_tai, end_mjd_tai):
        if mjd is not None and not _FIRST_MJD <= mjd <= _LAST_MJD:
            raise InputError("no time of validity", value=mjd, remedy=f"give MJDs from {_FIRST_MJD} to {_LAST_MJD}")
    if begin_mjd_tai is not None and end_mjd_tai is not None and begin_mjd_tai >= end_mjd_tai:
        value = (begin_mjd_tai, end_mjd_tai)
        raise InputError("the validity ends before it begins", value=value, remedy="give the earlier MJD first")
    return Timespan(_time(begin_mjd_tai), _time(end_mjd_tai))


def _time(mjd_tai: float | None) -> Time | None:
    return None if mjd_tai is None else Time(float(mjd_tai), format="mjd", scale="tai")
