"""A Parquet file that grows by the rows of one exposure after the other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etendue.disk import whole_file
from etendue.table.arrow import to_arrow
from etendue.table.table import Table

Columns = dict[str, NDArray[Any]]

_ROW_GROUP = 131072


class GrowingFile:
    """Holds rows until they fill a row group; use `growing_table` or `growing_truth`.

    Parameters
    ----------
    path : Path
        File.
    joined : callable
        Makes one pyarrow table of several parts.
    """

    def __init__(self, path: Path, joined: Callable[[list[Any]], pa.Table]):
        self._path, self._joined = path, joined
        self._writer: pq.ParquetWriter | None = None
        self._parts: list[Any] = []
        self._held = 0
        self.rows = 0

    def add(self, part: Any, rows: int) -> None:
        """Add the rows of an exposure.

        Parameters
        ----------
        part : Table or dict of ndarray
            Rows.
        rows : int
            Their number.
        """
        self._parts.append(part)
        self._held += rows
        self.rows += rows
        if self._held >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is held, and the end of the file."""
        if self._parts:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        arrow = self._joined(self._parts)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, arrow.schema, compression="zstd")
        self._writer.write_table(arrow, row_group_size=max(arrow.num_rows, 1))
        self._parts, self._held = [], 0


@contextmanager
def growing_table(path: Path) -> Iterator[GrowingFile]:
    """Give a file of etendue's tables, which appears whole or not at all.

    Parameters
    ----------
    path : Path
        File.

    Yields
    ------
    GrowingFile
        Takes tables of one schema.
    """
    with _whole(path, lambda parts: to_arrow(Table.concat(parts))) as file:
        yield file


@contextmanager
def growing_truth(path: Path, codes: Mapping[str, tuple[str, ...]]) -> Iterator[GrowingFile]:
    """Give a file of columns, which appears whole or not at all.

    Parameters
    ----------
    path : Path
        File.
    codes : mapping of str to tuple of str
        Columns that hold places in a list of words, and the words.

    Yields
    ------
    GrowingFile
        Takes dicts of columns.
    """

    def joined(parts: list[Columns]) -> pa.Table:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return pa.table({name: _words(values, codes.get(name)) for name, values in columns.items()})

    with _whole(path, joined) as file:
        yield file


def _words(values: NDArray[Any], words: tuple[str, ...] | None) -> pa.Array:
    return pa.array(values) if words is None else pa.DictionaryArray.from_arrays(values, list(words))


@contextmanager
def _whole(path: Path, joined: Callable[[list[Any]], pa.Table]) -> Iterator[GrowingFile]:
    with whole_file(path, "catalog") as part:
        file = GrowingFile(part, joined)
        try:
            yield file
        finally:
            file.close()
