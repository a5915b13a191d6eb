"""What pipelines found out about their calibration products, and which of them failed."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lsst.daf.butler import Butler, DatasetRef, MissingCollectionError, MissingDatasetTypeError

_DATASET = "calibration_verdict"
_BY_FILTER = ("flat", "illumination", "fringe", "sky")


class JudgedDetector(NamedTuple):
    """Verdicts about the products of one detector."""

    detector: int
    """Detector id."""

    verdicts: tuple[dict[str, Any], ...]
    """As `etendue.tasks.calib.verify.Verdict.to_dict` gives them."""


def judged(butler: Butler, collections: str | Iterable[str]) -> tuple[JudgedDetector, ...]:
    """Return the verdicts in collections.

    Parameters
    ----------
    butler : Butler
        The Butler.
    collections : str or iterable of str
        Runs or chains; of several verdicts about a detector the first found counts.

    Returns
    -------
    tuple of JudgedDetector
        By detector; empty where nothing was judged.
    """
    try:
        refs = butler.query_datasets(_DATASET, collections=collections, explain=False, limit=None)
    except (MissingDatasetTypeError, MissingCollectionError):
        return ()
    found = [JudgedDetector(int(ref.dataId["detector"]), tuple(butler.get(ref))) for ref in refs]
    return tuple(sorted(found))


class FailedProducts:
    """Products that failed their verification.

    Parameters
    ----------
    found : iterable of JudgedDetector
        Verdicts.
    """

    def __init__(self, found: Iterable[JudgedDetector] = ()):
        self._failed = {
            (str(verdict["product"]), one.detector, str(verdict["where"]) if verdict["product"] in _BY_FILTER else "")
            for one in found
            for verdict in one.verdicts
            if not verdict["passed"]
        }

    def __contains__(self, ref: object) -> bool:
        """Tell whether a dataset failed."""
        if not isinstance(ref, DatasetRef):
            return False
        values = dict(ref.dataId.required)
        name = ref.datasetType.name
        which = str(values.get("physical_filter", "")) if name in _BY_FILTER else ""
        return (name, values.get("detector"), which) in self._failed
