"""Rows of a catalog with the two columns that only the archive has."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etendue.archive.partition import ROW_ORDER
from etendue.errors import InputError
from etendue.geom.healpix import pixel_of
from etendue.table.parquet import write_arrow
from etendue.table.table import Table

PIXEL = "_healpix_29"
PUBLICATION = "_publication"
_ROW_GROUP = 16384  # small, so that a cone reads little


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows with their pixel and the number of the publication that brought them.

    Parameters
    ----------
    table : Table
        The rows.
    pixel : ndarray, int64, shape (n,)
        Order-29 nested HEALPix pixel.
    publication : ndarray, int32, shape (n,)
        Number of the publication.
    """

    table: Table
    pixel: NDArray[np.int64]
    publication: NDArray[np.int32]

    @classmethod
    def of(cls, table: Table, publication: int) -> "Rows":
        """Return the rows of a table, sorted by pixel and then by primary key.

        Parameters
        ----------
        table : Table
            Of a schema with positions.
        publication : int
            Number of the publication.

        Returns
        -------
        Rows

        Raises
        ------
        InputError
            If the table has no positions or some are not finite.
        """
        names = table.schema.position_columns
        if names is None:
            raise InputError("a table without positions cannot be archived", value=table.schema.name)
        ra, dec = table[names[0]], table[names[1]]
        bad = ~(np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90))
        if bad.any():
            raise InputError(f"{bad.sum()} rows have no valid position", source=f"table {table.schema.name}")
        pixel = pixel_of(ROW_ORDER, ra, dec)
        keys = [table[name] for name in reversed(table.schema.primary_key)]
        index = np.lexsort([*keys, pixel])
        return cls(table.take(index), pixel[index], np.full(len(table), publication, np.int32))

    @classmethod
    def merged(cls, parts: "list[Rows]") -> "Rows":
        """Return the rows of several parts in the order of their pixels, earlier publications first.

        Parameters
        ----------
        parts : list of Rows
            At least one.

        Returns
        -------
        Rows
        """
        table = Table.concat([part.table for part in parts])
        pixel = np.concatenate([part.pixel for part in parts])
        publication = np.concatenate([part.publication for part in parts])
        return cls(table, pixel, publication).take(np.lexsort([publication, pixel]))

    @classmethod
    def read(cls, path: Path) -> "Rows":
        """Return the rows of a partition file.

        Parameters
        ----------
        path : Path
            Written by ``write``.

        Returns
        -------
        Rows
        """
        with pq.ParquetFile(path) as file:
            arrow = file.read()
        pixel, publication = arrow[PIXEL].to_numpy(), arrow[PUBLICATION].to_numpy()
        return cls(Table.from_arrow(arrow.drop_columns([PIXEL, PUBLICATION])), pixel, publication)

    def write(self, path: Path) -> None:
        """Write a partition file.

        Parameters
        ----------
        path : Path
            Its directory is made when missing.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrow(self.to_arrow(), path, row_group_size=_ROW_GROUP)

    def to_arrow(self) -> pa.Table:
        """Return the rows with the pixel as first and the publication as last column.

        Returns
        -------
        pyarrow.Table
        """
        arrow = self.table.to_arrow().add_column(0, PIXEL, pa.array(self.pixel, pa.int64()))
        shared = {key: value for key, value in arrow.schema.metadata.items() if key != b"etendue.meta"}
        return arrow.replace_schema_metadata(shared).append_column(PUBLICATION, pa.array(self.publication, pa.int32()))

    def take(self, index: NDArray) -> "Rows":
        """Return some of the rows.

        Parameters
        ----------
        index : ndarray
            Row numbers or a bool mask.

        Returns
        -------
        Rows
        """
        return Rows(self.table.take(index), self.pixel[index], self.publication[index])

    def __len__(self) -> int:
        return len(self.pixel)
