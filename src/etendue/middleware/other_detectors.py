"""Find what a quantum of one detector reads of the others that were exposed with it."""

from collections.abc import Sequence
from typing import Any

from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType


def find_others(
    dataset_type: DatasetType, registry: Any, data_id: DataCoordinate, collections: Sequence[str]
) -> list[DatasetRef]:
    """Return the datasets of the other detectors of a quantum's visit or exposure.

    Parameters
    ----------
    dataset_type : DatasetType
        Of exposure and detector.
    registry : Registry
        Rubin's registry.
    data_id : DataCoordinate
        Of the quantum.
    collections : sequence of str
        Searched in this order, chains through.

    Returns
    -------
    list of DatasetRef
        In the order of exposures and detectors.
    """
    time = "visit" if "visit" in data_id.dimensions else "exposure"
    found = registry.queryDatasets(
        dataset_type,
        collections=collections,
        where=f"instrument = my_instrument AND {time} = my_{time} AND detector != my_detector",
        bind={f"my_{key}": data_id[key] for key in ("instrument", time, "detector")},
        findFirst=True,
    )
    return sorted(set(found), key=lambda ref: (ref.dataId["exposure"], ref.dataId["detector"]))
