"""Find calibrations for quanta without a time of their own: of a detector, of a detector and filter, of a night."""

from collections.abc import Sequence
from typing import Any

from astropy import units
from astropy.time import Time
from lsst.daf.butler import CollectionType, DataCoordinate, DatasetRef, DatasetType, MissingDatasetTypeError, Timespan


def find_timeless(
    dataset_type: DatasetType, registry: Any, data_id: DataCoordinate, collections: Sequence[str]
) -> list[DatasetRef]:
    """Return the calibration that a quantum without exposure or visit takes; Rubin's own search finds none for it.

    Parameters
    ----------
    dataset_type : DatasetType
        The calibration's.
    registry : Registry
        Rubin's registry.
    data_id : DataCoordinate
        Of the quantum; with a ``day_obs`` only what is valid at the end of that date (TAI) counts.
    collections : sequence of str
        Searched in this order, chains through.

    Returns
    -------
    list of DatasetRef
        At most one: in the first collection that holds one, the one that became valid last.
    """
    wanted = data_id.subset(dataset_type.dimensions)
    night = data_id.required.get("day_obs")
    moment = None if night is None else _end_of(int(night))
    for name in registry.queryCollections(collections, flattenChains=True):
        if registry.getCollectionType(name) is not CollectionType.CALIBRATION:
            continue
        try:
            found = list(registry.queryDatasetAssociations(dataset_type, name, flattenChains=False))
        except MissingDatasetTypeError:
            return []
        valid = [one for one in found if one.ref.dataId == wanted and _holds(one.timespan, moment)]
        if valid:
            return [max(valid, key=lambda one: one.timespan.nsec[0]).ref]
    return []


def _end_of(night: int) -> Time:
    text = str(night)
    return Time(f"{text[:4]}-{text[4:6]}-{text[6:]}T00:00:00", format="isot", scale="tai") + 1.0 * units.day


def _holds(span: Timespan, moment: Time | None) -> bool:
    return moment is None or bool(span.contains(moment))
