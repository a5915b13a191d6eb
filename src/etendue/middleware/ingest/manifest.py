"""Checksums that files should have, from lists that travel with them (``sha256sum * > SHA256SUMS``)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from etendue.errors import InputError
from etendue.middleware.ingest.digest import digest_of

_LINE = re.compile(r"\\?([0-9a-fA-F]+) [ *](.+)")
_TAGGED = re.compile(r"([A-Za-z0-9-]+) \((.+)\) = ([0-9a-fA-F]+)")  # as BSD's tools write
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_TAGS = frozenset({*_ALGORITHMS.values(), "blake2b"})


@dataclass(frozen=True)
class Manifest:
    """The lists of one delivery.

    Parameters
    ----------
    sums : mapping of str to (str, str)
        Algorithm and hexadecimal digits, by absolute path.
    """

    sums: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, lists: tuple[Path, ...]) -> "Manifest":
        """Read lists as ``md5sum``, ``sha1sum``, ``sha256sum``, ``sha512sum`` and ``b2sum --tag`` write them.

        Parameters
        ----------
        lists : tuple of Path
            Their names of files count from their own folder.

        Returns
        -------
        Manifest

        Raises
        ------
        InputError
            If a list cannot be read: one line names it and what stands there.
        """
        return cls({name: said for path in lists for name, said in _read(path)})

    @cached_property
    def _by_name(self) -> dict[str, tuple[str, str]]:
        return {Path(path).name: said for path, said in self.sums.items()}

    def check(self, path: str) -> None:
        """Compare a file with what the lists say.

        Parameters
        ----------
        path : str
            The file; looked up by its path, else by its name.

        Raises
        ------
        InputError
            If it is in no list, or its bytes are others.
        """
        said = self.sums.get(str(Path(path).resolve())) or self._by_name.get(Path(path).name)
        if said is None:
            raise InputError("is in no list of checksums", source=path, remedy="deliver it with its checksum")
        algorithm, wanted = said
        if (found := digest_of(path, algorithm)) != wanted:
            raise InputError(f"its {algorithm} is not the one of its delivery, {wanted[:16]}...", source=path,
                             value=f"{found[:16]}...", remedy="fetch it again")  # fmt: skip


def _read(path: Path) -> list[tuple[str, tuple[str, str]]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no list of checksums: {error}", source=path, remedy="give one as sha256sum writes") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            name, said = _entry(line, f"{path}, line {number}")
            found.append((str((path.parent / name).resolve()), said))
    return found


def _entry(line: str, source: str) -> tuple[str, tuple[str, str]]:
    if tagged := _TAGGED.fullmatch(line.strip()):
        algorithm = tagged[1].lower().replace("-", "")
        if algorithm in _TAGS:
            return tagged[2], (algorithm, tagged[3].lower())
    if (plain := _LINE.fullmatch(line.rstrip())) and len(plain[1]) in _ALGORITHMS:
        return plain[2], (_ALGORITHMS[len(plain[1])], plain[1].lower())
    raise InputError("is no checksum and name of a file", source=source, value=line[:60],
                     remedy="give a list as sha256sum writes")  # fmt: skip
