"""Publish the products of a run to the archive and the alert log, after the pipeline and idempotently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lsst.daf.butler import DatasetRef

from etendue.alerts.alert_log import AlertLog
from etendue.archive.archive import Archive
from etendue.log import get_logger
from etendue.middleware.derive import plain_data_id
from etendue.middleware.repository import Repository

_log = get_logger(__name__)
ARCHIVED = (
    "visit_summary", "isolated_star", "source", "object", "forced_source", "dia_source", "dia_object", "tracklet",
    "tracklet_source", "light_curve", "light_curve_star",
)  # fmt: skip


class Sink(Protocol):
    """A place that products are published to; publishing the same again changes nothing."""

    dataset_types: Sequence[str]
    """Products that it takes."""

    def publish(self, products: Mapping[str, Sequence["Product"]]) -> int:
        """Publish products.

        Parameters
        ----------
        products : mapping
            All products of each dataset type, sorted by data ID.

        Returns
        -------
        int
            Number of products that were new or changed.
        """


@dataclass(frozen=True)
class Product:
    """A stored product, read when it is published.

    Parameters
    ----------
    repository : Repository
        Where it is.
    ref : DatasetRef
        Which one.
    """

    repository: Repository
    ref: DatasetRef

    @property
    def key(self) -> str:
        """Dataset type and data ID: the same product made again has the same key."""
        data_id = ",".join(f"{name}={value}" for name, value in self.ref.dataId.required.items())
        return f"{self.ref.datasetType.name}/{data_id}"

    @property
    def data_id(self) -> dict[str, int | str]:
        """Data ID."""
        return plain_data_id(self.ref.dataId)

    def read(self) -> Any:
        """Return the object."""
        return self.repository.get(self.ref)


class ArchiveSink(Sink):
    """Tables go to the archive, one publication per dataset type.

    Parameters
    ----------
    path : Path
        Directory of the archive.
    dataset_types : sequence of str
        Which tables.
    """

    def __init__(self, path: Path, dataset_types: Sequence[str] = ARCHIVED):
        self._archive = Archive(path)
        self.dataset_types = dataset_types

    def publish(self, products: Mapping[str, Sequence[Product]]) -> int:
        """Publish all tables of each type; the archive replaces what the same key published before."""
        changed = 0
        for name, found in products.items():
            if found and self._archive.publish(name, [product.read() for product in found], key=name):
                changed += len(found)
        return changed


class AlertLogSink(Sink):
    """Batches of alerts go to the local alert log; other alerts of a visit and detector become its next version.

    Parameters
    ----------
    path : Path
        Directory of the log.
    """

    dataset_types: Sequence[str] = ("alert_batch",)

    def __init__(self, path: Path):
        self._log = AlertLog(path)

    def publish(self, products: Mapping[str, Sequence[Product]]) -> int:
        """Append the batches that are not the latest of the log already."""
        known = set(self._log.keys)
        batches = (product.read() for found in products.values() for product in found)
        appended = [batch.key for batch in batches if self._log.publish(batch)]
        if replaced := sum(key in known for key in appended):
            _log.warning("%d batches of alerts differ from those sent before and supersede them", replaced)
        return len(appended)


def publish(repository: Repository, collection: str, sinks: Sequence[Sink]) -> dict[str, int]:
    """Publish the products of a collection to every sink.

    Parameters
    ----------
    repository : Repository
        Where the products are.
    collection : str
        Run or chain; per data ID the first counts.
    sinks : sequence of Sink
        Where to.

    Returns
    -------
    dict[str, int]
        Number of new or changed products, by the sink's class name.
    """
    known = {dataset_type.name for dataset_type in repository.butler.registry.queryDatasetTypes()}
    published: dict[str, int] = {}
    for sink in sinks:
        products = {
            name: [Product(repository, ref) for ref in repository.query(name, collections=collection)]
            for name in sink.dataset_types
            if name in known
        }
        name = type(sink).__name__
        published[name] = published.get(name, 0) + sink.publish(products)
    return published
