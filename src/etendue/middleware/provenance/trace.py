"""Follow a product back to the raw frames."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lsst.daf.butler import CollectionType, DatasetRef

from etendue.errors import InputError
from etendue.middleware.provenance.ancestry import Ancestry, Maker, Product
from etendue.middleware.provenance.saved_run import SavedRun
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals

_MOST_SHOWN = 5


def find_product(
    home: Repository, dataset_type: str, data_id: Mapping[str, int | str], *, collection: str | None = None
) -> DatasetRef:
    """Return the newest product of a type with a data ID.

    Parameters
    ----------
    home : Repository
        The repository.
    dataset_type : str
        Its type, or the id of a dataset.
    data_id : mapping
        As much of the data ID as makes it one product.
    collection : str, optional
        Where it is searched; everywhere by default.

    Returns
    -------
    DatasetRef

    Raises
    ------
    InputError
        If there is none, or several.
    """
    if (known := _of_id(home, dataset_type)) is not None:
        return known
    where = " AND ".join(f"{name}={value!r}" for name, value in data_id.items())
    refs = home.query(dataset_type, collections=collection or _every_run(home), where=where, find_first=False)
    wanted = sorted({tuple(ref.dataId.required_values) for ref in refs}, key=str)
    if not wanted:
        raise InputError("no such product", source=home.path, value=f"{dataset_type} {_words(data_id)}".strip(),
                         remedy="see 'butler query-datasets REPO'")  # fmt: skip
    if len(wanted) > 1:
        names = tuple(refs[0].dataId.dimensions.required)
        some = "; ".join(_words(dict(zip(names, values, strict=True))) for values in wanted[:_MOST_SHOWN])
        raise InputError(f"{len(wanted)} products of this type", value=dataset_type,
                         remedy=f"say which, as one of: {some}")  # fmt: skip
    order = {journal.description()["run"]: number for number, journal in enumerate(journals(home.runs_folder))}
    return min(refs, key=lambda ref: (order.get(ref.run, len(order)), ref.run))


def trace(home: Repository, ref: DatasetRef) -> Ancestry:
    """Return a product with all that it was made of.

    Parameters
    ----------
    home : Repository
        The repository.
    ref : DatasetRef
        The product.

    Returns
    -------
    Ancestry
        Products of other tools than etendue end a line: what they were made of is not known here.
    """
    root = Product(str(ref.id), ref.datasetType.name, _plain(ref.dataId.required), ref.run)
    products: dict[str, Product] = {}
    makers: dict[str, Maker] = {}
    runs: dict[str, SavedRun] = {}
    waiting = {root.dataset_id: root}
    while waiting:
        by_run: dict[str, list[str]] = {}
        for product in waiting.values():
            run = runs.setdefault(product.run, SavedRun(home, product.run))
            maker = run.quantum_of.get(product.dataset_id, "") if run.is_known else ""
            products[product.dataset_id] = replace(product, maker=maker)
            if maker and maker not in makers:
                by_run.setdefault(product.run, []).append(maker)
        waiting = {}
        for name, quanta in by_run.items():
            found, read = runs[name].makers(list(dict.fromkeys(quanta)))
            makers |= {maker.quantum_id: maker for maker in found}
            waiting |= {one.dataset_id: one for one in read if one.dataset_id not in products}
    return Ancestry(root.dataset_id, products, makers)


def _every_run(home: Repository) -> list[str]:
    return list(home.butler.collections.query("*", collection_types=CollectionType.RUN))


def _of_id(home: Repository, text: str) -> DatasetRef | None:
    try:
        number = uuid.UUID(text)
    except ValueError:
        return None
    ref = home.butler.get_dataset(number)
    if ref is None:
        raise InputError("no such dataset", source=home.path, value=text)
    return ref


def _plain(values: Mapping[str, Any]) -> dict[str, int | str]:
    return {name: value if isinstance(value, str) else int(value) for name, value in values.items()}


def _words(data_id: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in data_id.items())
