"""Certify calibrations: say from when to when the products of a run apply."""

from collections.abc import Collection, Container, Sequence

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
CURATED_DESCRIPTION = "curated_calibrations"
"""Dataset type that says of what files a version of curated calibrations was made."""


def calibration_chain(camera: str) -> str:
    """Return the chain in which pipelines of a camera look for calibrations."""
    return f"{camera}/calib"


def chain_members(butler: Butler, chain: str, wanted: Sequence[str] = ()) -> list[str]:
    """Return the members of a chain in the order that they have, and behind them those it lacks.

    Parameters
    ----------
    butler : Butler
        The Butler.
    chain : str
        CHAINED collection, which may not exist yet.
    wanted : sequence of str
        Collections that must be in it.

    Returns
    -------
    list of str
        Empty where there is no such chain and nothing is wanted.
    """
    try:
        present = butler.collections.get_info(chain).children
    except MissingCollectionError:
        present = ()
    return [*present, *(name for name in wanted if name not in present)]


def certify(
    butler: Butler,
    dataset_types: Sequence[str],
    *,
    run: str | Sequence[str],
    collection: str,
    begin_mjd_tai: float | None = None,
    end_mjd_tai: float | None = None,
    replace: bool = False,
    failed: Container[object] = (),
) -> int:
    """Certify every dataset of some types found in a run.

    Parameters
    ----------
    butler : Butler
        Writeable.
    dataset_types : sequence of str
        ``("bias", "flat")``; a type that the run lacks is passed over.
    run : str or sequence of str
        Collections that hold the products; of several versions the first one counts.
    collection : str
        CALIBRATION collection.
    begin_mjd_tai, end_mjd_tai : float, optional
        Validity [day, TAI]; unbounded where left out.
    replace : bool
        Take overlapping validity away from earlier calibrations.
    failed : container of DatasetRef
        Datasets that are left out, such as `etendue.middleware.verification.FailedProducts`.

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
        return sum(_certify_type(butler, name, run, collection, span, replace, failed) for name in dataset_types)


def _certify_type(
    butler: Butler,
    name: str,
    run: str | Sequence[str],
    collection: str,
    span: Timespan,
    replace: bool,
    failed: Container[object],
) -> int:
    try:
        found = butler.query_datasets(name, collections=run, explain=False, limit=None)
    except MissingDatasetTypeError:
        return 0
    refs = [ref for ref in found if ref not in failed]
    if not refs:
        return 0
    # Rubin's decertify fails on a collection that holds none of the type.
    if replace and butler.query_datasets(name, collections=collection, find_first=False, explain=False, limit=1):
        butler.registry.decertify(collection, name, span, dataIds=[ref.dataId for ref in refs])
    fault_point("certify.after-decertify")
    try:
        butler.registry.certify(collection, refs, span)
    except ConflictingDefinitionError:
        which = run if isinstance(run, str) else run[0]
        raise InputError(
            f"{name} of {which} overlaps the validity of an earlier one", source=collection, remedy="replace it"
        ) from None
    fault_point("certify.between-types")
    return len(refs)


def decertify(
    butler: Butler,
    dataset_types: Sequence[str],
    *,
    collection: str,
    detectors: Collection[int] = (),
    physical_filters: Collection[str] = (),
    begin_mjd_tai: float | None = None,
    end_mjd_tai: float | None = None,
) -> int:
    """End the validity of calibrations over a stretch of time; the calibrations themselves stay.

    Parameters
    ----------
    butler : Butler
        Writeable.
    dataset_types : sequence of str
        Which calibrations; a type of which none is certified is passed over.
    collection : str
        CALIBRATION collection.
    detectors : collection of int
        Only of these; of all by default.
    physical_filters : collection of str
        Only of these, and no calibration of all filters; of all by default.
    begin_mjd_tai, end_mjd_tai : float, optional
        Stretch of time [day, TAI]; unbounded where left out.

    Returns
    -------
    int
        Number of validity ranges that ended, became shorter or were cut in two.

    Raises
    ------
    InputError
        The stretch is empty or no time.
    """
    span = _span(begin_mjd_tai, end_mjd_tai)
    count = 0
    with butler.transaction():
        for name in dataset_types:
            found = [data_id for data_id in _valid_in(butler, name, collection, span)
                     if _is_meant(data_id, detectors, physical_filters)]  # fmt: skip
            if found:
                butler.registry.decertify(collection, name, span, dataIds=list(dict.fromkeys(found)))
                fault_point("decertify.between-types")
            count += len(found)
    return count


def _valid_in(butler: Butler, name: str, collection: str, span: Timespan) -> list[DataCoordinate]:
    """Return the data IDs of validity ranges that overlap a time span, once per range."""
    try:
        found = list(butler.registry.queryDatasetAssociations(name, collection, flattenChains=False))
    except (MissingDatasetTypeError, MissingCollectionError):
        return []
    return [one.ref.dataId for one in found if one.timespan is not None and one.timespan.overlaps(span)]


def _is_meant(data_id: DataCoordinate, detectors: Collection[int], physical_filters: Collection[str]) -> bool:
    values = data_id.required
    return (not detectors or ("detector" in values and int(values["detector"]) in detectors)) and (
        not physical_filters or ("physical_filter" in values and str(values["physical_filter"]) in physical_filters)
    )


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
