"""The family of a product: its inputs, their inputs and so on, back to what nothing in the repository made."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

DataId = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Product:
    """One dataset.

    Parameters
    ----------
    dataset_id : str
        Its id.
    dataset_type : str
        Its type.
    data_id : mapping
        Its data ID.
    run : str
        The RUN collection that holds it.
    maker : str
        Id of the quantum that made it; empty for what was ingested or registered, and for products of other tools.
    """

    dataset_id: str
    dataset_type: str
    data_id: DataId
    run: str
    maker: str = ""


@dataclass(frozen=True, slots=True)
class Maker:
    """How one quantum made its products.

    Parameters
    ----------
    quantum_id, task : str
        Which quantum, of which task.
    data_id : mapping
        Its data ID.
    run : str
        The RUN collection that it ran for.
    code : str
        Class of the task, version of etendue and hash of the source; empty where nothing recorded it.
    config : mapping
        Fields of the task's configuration.
    versions : mapping
        Packages, by name.
    wall_s, cpu_s, memory_mb : float
        What it took [s, s, MiB].
    inputs : tuple of str
        Ids of the datasets that it read.
    """

    quantum_id: str
    task: str
    data_id: DataId
    run: str
    code: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    wall_s: float
    cpu_s: float
    memory_mb: float
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ancestry:
    """A product and all that it was made of.

    Parameters
    ----------
    root : str
        Id of the product.
    products : dict of str to Product
        By id; the root and all its ancestors.
    makers : dict of str to Maker
        By quantum id.
    """

    root: str
    products: Mapping[str, Product]
    makers: Mapping[str, Maker]

    def maker_of(self, dataset_id: str) -> Maker | None:
        """Return how a product was made; None for what nothing in the repository made.

        Parameters
        ----------
        dataset_id : str
            Of one of the products.

        Returns
        -------
        Maker or None
        """
        return self.makers.get(self.products[dataset_id].maker)

    def inputs_of(self, dataset_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return what some products were made of.

        Parameters
        ----------
        dataset_ids : iterable of str
            Of some of the products.

        Returns
        -------
        dict of str to tuple of str
            By dataset type, sorted; ids once each.
        """
        makers = [maker for one in dataset_ids if (maker := self.maker_of(one)) is not None]
        found = dict.fromkeys(one for maker in makers for one in maker.inputs)
        by_type: dict[str, list[str]] = {}
        for one in found:
            by_type.setdefault(self.products[one].dataset_type, []).append(one)
        return {name: tuple(by_type[name]) for name in sorted(by_type)}

    @property
    def sources(self) -> tuple[Product, ...]:
        """What nothing in the repository made: raw frames, reference catalogs, products of other tools."""
        return tuple(product for product in self.products.values() if not product.maker)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "root": self.root,
            "products": [asdict(product) for product in self.products.values()],
            "makers": [asdict(maker) for maker in self.makers.values()],
        }
