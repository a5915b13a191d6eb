"""Show where a product comes from, and make it once more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.tree import Tree

from etendue.errors import InputError
from etendue.middleware.provenance.ancestry import Ancestry, Product
from etendue.middleware.provenance.rerun import Remade, code_has_changed, quanta_of, rerun
from etendue.middleware.provenance.trace import find_product, trace
from etendue.middleware.repository import Repository
from etendue.qa.ancestry_plot import Generation, Step, ancestry_plot

Ids = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ProvenanceResult:
    """The family of a product, for people.

    Parameters
    ----------
    ancestry : Ancestry
        The product and all that it was made of.
    """

    ancestry: Ancestry

    def lines(self) -> list[Any]:
        """Return what the terminal shows: how it was made, the tree of its inputs, and the cost of each task."""
        return [self._head(), self._tree(), self._costs()]

    def to_dict(self) -> dict[str, Any]:
        """Return all products and quanta as JSON-able values."""
        return self.ancestry.to_dict()

    def plot(self) -> bytes:
        """Return a picture: the types of products from left to right, and the tasks between them, as PNG."""
        level = self._levels
        generations = [Generation(name, len(ids), level[name]) for name, ids in self._by_type.items()]
        steps = {
            Step(self.ancestry.products[one].dataset_type, self.ancestry.products[made].dataset_type, maker.task)
            for made in self.ancestry.products
            if (maker := self.ancestry.maker_of(made)) is not None
            for one in maker.inputs
        }
        return ancestry_plot(generations, sorted(steps), title=_name(self.ancestry.products[self.ancestry.root]))

    @cached_property
    def _by_type(self) -> dict[str, Ids]:
        found: dict[str, list[str]] = {}
        for one, product in self.ancestry.products.items():
            found.setdefault(product.dataset_type, []).append(one)
        return {name: tuple(ids) for name, ids in found.items()}

    @cached_property
    def _levels(self) -> dict[str, int]:
        """Number of tasks between each type and what nothing made, along the longest way."""
        inputs = {name: tuple(self.ancestry.inputs_of(ids)) for name, ids in self._by_type.items()}
        level: dict[str, int] = {}

        def of(name: str) -> int:
            if name not in level:
                level[name] = 0  # should a type be among its own ancestors
                level[name] = 1 + max((of(other) for other in inputs[name] if other != name), default=-1)
            return level[name]

        for name in inputs:
            of(name)
        return level

    def _head(self) -> RichTable:
        product, maker = self.ancestry.products[self.ancestry.root], self.ancestry.maker_of(self.ancestry.root)
        table = RichTable("", _name(product))
        table.add_row("id", product.dataset_id)
        table.add_row("run", product.run)
        if maker is None:
            table.add_row("made by", "no run of etendue in this repository")
            return table
        table.add_row("made by", f"{maker.task} in {maker.wall_s:.1f} s wall, {maker.cpu_s:.1f} s CPU")
        table.add_row("code", maker.code or "not recorded")
        table.add_row("packages", ", ".join(f"{name} {number}" for name, number in maker.versions.items()))
        return table

    def _tree(self) -> Tree:
        root = (self.ancestry.root,)
        tree = Tree(self._label(root))
        self._grow(tree, root, set())
        return tree

    def _grow(self, tree: Tree, ids: Ids, shown: set[str]) -> None:
        """Add what some products were made of; quanta that were shown are not shown once more."""
        shown.update(self.ancestry.products[one].maker for one in ids)
        for inputs in self.ancestry.inputs_of(ids).values():
            makers = {self.ancestry.products[one].maker for one in inputs}
            known = makers <= shown and makers != {""}
            branch = tree.add(self._label(inputs) + (", as above" if known else ""))
            if not known:
                self._grow(branch, inputs, shown)

    def _label(self, ids: Ids) -> str:
        first = self.ancestry.products[ids[0]]
        name = _name(first) if len(ids) == 1 else f"{len(ids)} x {first.dataset_type}"
        tasks = sorted({maker.task for one in ids if (maker := self.ancestry.maker_of(one)) is not None})
        return f"{name}, by {' and '.join(tasks)}" if tasks else f"{name} in {first.run}"

    def _costs(self) -> RichTable:
        table = RichTable("task", "quanta", "wall [s]", "CPU [s]", "memory [MiB]", "code")
        by_task: dict[str, list[Any]] = {}
        for maker in self.ancestry.makers.values():
            by_task.setdefault(maker.task, []).append(maker)
        for task, makers in by_task.items():
            code = sorted({maker.code.partition(" of ")[2] for maker in makers})
            table.add_row(
                task, str(len(makers)), f"{sum(maker.wall_s for maker in makers):.1f}",
                f"{sum(maker.cpu_s for maker in makers):.1f}", f"{max(maker.memory_mb for maker in makers):.0f}",
                ", ".join(code),
            )  # fmt: skip
        return table


@dataclass(frozen=True)
class RerunResult:
    """What was made once more.

    Parameters
    ----------
    products : tuple of Remade
        Each beside its copy.
    same_code : bool
        Whether code as recorded made it again.
    kept : str
        RUN collection that keeps the copies; empty if they are gone.
    """

    products: tuple[Remade, ...]
    same_code: bool
    kept: str

    @property
    def ok(self) -> bool:
        """Whether every copy has the content of its product."""
        return all(product.equal for product in self.products)

    def lines(self) -> list[Any]:
        """Return what the terminal shows."""
        equal = sum(product.equal for product in self.products)
        lines: list[Any] = [f"{equal} of {len(self.products)} products are the same, bit for bit"]
        if not self.same_code:
            lines.append("the code is not that of the run: other bits are no surprise")
        if not self.ok:
            table = RichTable("not the same", "before", "after")
            for product in self.products:
                if not product.equal:
                    table.add_row(_words(product.dataset_type, product.data_id), product.before or "not there",
                                  product.after or "not made")  # fmt: skip
            lines.append(table)
        return [*lines, f"kept in {self.kept}"] if self.kept else lines

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        products = [
            {"dataset_type": p.dataset_type, "data_id": dict(p.data_id), "before": p.before, "after": p.after}
            for p in self.products
        ]
        return {"ok": self.ok, "same_code": self.same_code, "kept": self.kept, "products": products}


def provenance_of(
    home: Repository, product: str, words: Iterable[str], *, collection: str | None = None
) -> ProvenanceResult:
    """Return where a product comes from.

    Parameters
    ----------
    home : Repository
        The repository.
    product : str
        Dataset type, or the id of a dataset.
    words : iterable of str
        Its data ID, as ``visit=12``.
    collection : str, optional
        Where it is; the newest run that has it by default.

    Returns
    -------
    ProvenanceResult

    Raises
    ------
    InputError
        If there is none, or several.
    """
    return ProvenanceResult(trace(home, find_product(home, product, _data_id(words), collection=collection)))


def rerun_product(
    home: Repository, product: str, words: Iterable[str], *, collection: str | None = None, upstream: bool = False,
    keep: str = "", progress: bool = True,
) -> RerunResult:  # fmt: skip
    """Make a product once more.

    Parameters
    ----------
    home : Repository
        Writeable.
    product : str
        Dataset type, or the id of a dataset.
    words : iterable of str
        Its data ID, as ``visit=12``.
    collection : str, optional
        Where it is; the newest run that has it by default.
    upstream : bool
        Make its inputs once more as well, from the raw frames on.
    keep : str
        New RUN collection that keeps what is made; nothing stays by default.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    RerunResult

    Raises
    ------
    InputError
        If there is none, or several, if etendue did not make it here, or if the collection to keep it in exists.
    """
    ancestry = provenance_of(home, product, words, collection=collection).ancestry
    quanta = quanta_of(ancestry, upstream=upstream)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=not progress)) as bar:
        task = bar.add_task("running again", total=len(quanta))
        made = rerun(home, quanta, keep=keep, tell=lambda done, total: bar.update(task, completed=done, total=total))
    return RerunResult(tuple(made), not code_has_changed(quanta), keep)


def _data_id(words: Iterable[str]) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.isidentifier() and equals and value):
            raise InputError("no part of a data ID", value=word, remedy="write it as visit=12")
        found[name] = int(value) if value.isdecimal() else value
    return found


def _name(product: Product) -> str:
    return _words(product.dataset_type, product.data_id)


def _words(dataset_type: str, data_id: Mapping[str, Any]) -> str:
    return " ".join([dataset_type, *(f"{name}={value}" for name, value in data_id.items() if name != "instrument")])
