"""Truth tables of a simulated survey, as Parquet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etendue.errors import InputError
from etendue.simulate.sky import Columns

TABLES = ("objects", "sources", "visits", "movers", "mover_ephemeris", "light_curves", "cosmic_rays", "detectors")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of a simulated survey; never given to the pipelines.

    Parameters
    ----------
    tables : mapping of str to dict of ndarray
        ``objects``: one row per fixed source; ``sources``: one per source, visit and detector;
        ``visits``: one per visit and detector (zero point, seeing, sky, WCS as JSON); ``movers``: orbits in
        small; ``mover_ephemeris``: movers at mid-exposure of every visit, on a detector or not;
        ``light_curves``: transient and variable in every visit; ``cosmic_rays``; ``detectors``: true gain
        and read noise per amplifier, bad columns.
    """

    tables: Mapping[str, Columns]

    def __getitem__(self, name: str) -> Columns:
        """Return a table by name."""
        return self.tables[name]

    def write(self, folder: Path) -> None:
        """Write every table as ``folder/NAME.parquet``.

        Parameters
        ----------
        folder : Path
            Made if it does not exist.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in self.tables.items():
            arrays = {
                key: pa.array(values.tolist() if values.dtype.kind == "U" else values)
                for key, values in columns.items()
            }
            pq.write_table(pa.table(arrays), folder / f"{name}.parquet")


def read_truth(folder: str | Path) -> Truth:
    """Read what `Truth.write` wrote.

    Parameters
    ----------
    folder : str or Path
        The ``truth`` folder of a simulated survey.

    Returns
    -------
    Truth

    Raises
    ------
    InputError
        If a table is missing.
    """
    tables: dict[str, Columns] = {}
    for name in TABLES:
        path = Path(folder) / f"{name}.parquet"
        if not path.is_file():
            raise InputError("no such truth table", source=path, remedy="give the truth folder of a simulated survey")
        table = pq.read_table(path)
        tables[name] = {key: _to_numpy(table[key]) for key in table.column_names}
    return Truth(tables)


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    values = column.to_numpy()
    return values.astype(str) if values.dtype == object else values
