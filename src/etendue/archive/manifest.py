"""What a snapshot of the archive consists of; replacing this one file publishes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from etendue.disk import whole_file
from etendue.errors import InputError

_FORMAT = 1
_FILE = "archive.json"


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication of a table.

    Parameters
    ----------
    number : int
        Value of the ``_publication`` column.
    digest : str
        Content hash of its rows.
    rows : int
        Number of rows.
    """

    number: int
    digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """The version of a table that a snapshot shows.

    Parameters
    ----------
    version : int
        Number of the directory.
    publications : mapping of str to Publication
        By key.
    """

    version: int
    publications: Mapping[str, Publication]

    def folder(self, name: str) -> str:
        """Return the directory of the catalog inside the archive.

        Parameters
        ----------
        name : str
            Name of the table.

        Returns
        -------
        str
        """
        return f"{name}/v{self.version:06d}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A snapshot of the whole archive.

    Parameters
    ----------
    snapshot : int
        Number of the snapshot; 0 is the empty archive.
    catalogs : mapping of str to CatalogEntry
        By table name.
    """

    snapshot: int = 0
    catalogs: Mapping[str, CatalogEntry] = field(default_factory=dict)

    def save(self, root: Path) -> None:
        """Make this the current snapshot, atomically.

        Parameters
        ----------
        root : Path
            The archive.
        """
        text = json.dumps(self._to_dict(), indent=1, sort_keys=True)
        history = root / "snapshots" / f"{self.snapshot:06d}.json"
        history.parent.mkdir(exist_ok=True)
        with whole_file(history, "archive-history") as part:
            part.write_text(text, "utf-8")
        with whole_file(root / _FILE, "archive-manifest") as part:
            part.write_text(text, "utf-8")

    @classmethod
    def load(cls, root: Path, snapshot: int | None = None) -> "Manifest":
        """Return a snapshot, the current one by default.

        Parameters
        ----------
        root : Path
            The archive; without a manifest it is empty.
        snapshot : int, optional
            Number of an older one.

        Returns
        -------
        Manifest

        Raises
        ------
        InputError
            If the snapshot does not exist or was written by a newer version.
        """
        path = root / _FILE if snapshot is None else root / "snapshots" / f"{snapshot:06d}.json"
        try:
            state = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            if snapshot is None:
                return cls()
            raise InputError("no such snapshot", source=root, value=snapshot) from None
        except OSError as error:
            raise InputError(f"the archive cannot be read: {error.strerror}", source=path) from error
        except ValueError as error:
            raise InputError(f"damaged manifest: {error}", source=path) from error
        if state["format"] > _FORMAT:
            raise InputError("written by a newer etendue", source=path, value=state["format"], remedy="update etendue")
        return cls(state["snapshot"], {name: _entry(item) for name, item in state["catalogs"].items()})

    def _to_dict(self) -> dict[str, object]:
        catalogs = {
            name: {
                "version": entry.version,
                "publications": {key: [p.number, p.digest, p.rows] for key, p in entry.publications.items()},
            }
            for name, entry in self.catalogs.items()
        }
        return {"format": _FORMAT, "snapshot": self.snapshot, "catalogs": catalogs}


def _entry(state: dict) -> CatalogEntry:
    return CatalogEntry(state["version"], {key: Publication(*value) for key, value in state["publications"].items()})
