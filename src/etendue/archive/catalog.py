"""One version of one catalog on disk, in the HATS layout that LSDB and Aladin open."""

import csv
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from etendue.archive.partition import ROW_ORDER, Partition, assign, split
from etendue.archive.rows import PIXEL, Rows
from etendue.faults import fault_point
from etendue.schema.table_schema import TableSchema
from etendue.table.table import Table

_POINTS = ("source", "single_visit_star", "forced_source", "dia_source", "dia_forced_source", "tracklet_source")


class Catalog:
    """A directory with a HATS catalog; it is never changed once it is complete.

    Parameters
    ----------
    path : Path
        The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with (path / "partition_info.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        self.partitions: dict[Partition, int] = {
            Partition(int(line["Norder"]), int(line["Npix"])): int(line["num_rows"]) for line in lines
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(pq.read_schema(self.path / "dataset" / "_common_metadata").names)

    def files(self, ranges: Iterable[tuple[int, int]] | None = None) -> list[Path]:
        """Return the files that hold rows.

        Parameters
        ----------
        ranges : iterable of (int, int), optional
            Ranges of order-29 pixels, ends included; by default the whole sky.

        Returns
        -------
        list of Path
            In the order of the sky.
        """
        parts = sorted(self.partitions, key=lambda part: part.first)
        if ranges is not None:
            wanted = list(ranges)
            parts = [p for p in parts if any(low <= p.last and p.first <= high for low, high in wanted)]
        return [self.path / part.path for part in parts]


def write_catalog(
    path: Path,
    previous: Catalog | None,
    new: Rows,
    *,
    publication: int,
    replaces: bool,
    max_rows: int,
    max_order: int,
) -> None:
    """Write a version of a catalog: the previous one with rows added or replaced.

    Files of partitions that do not change are hard links to those of the previous version.

    Parameters
    ----------
    path : Path
        The directory, not there yet.
    previous : Catalog, optional
        The version before.
    new : Rows
        Rows to add, all of one publication.
    publication : int
        Number of that publication.
    replaces : bool
        Whether rows of an earlier publication of this number are dropped.
    max_rows : int
        Rows from which a partition is split.
    max_order : int
        Partitions of this order are never split.
    """
    before = previous.partitions if previous is not None else {}
    template = _template(previous, new)
    reshaped = previous is not None and {*previous.names} != {*template.to_arrow().column_names}
    added = {part: new.take(index) for part, index in assign(new.pixel, before)}
    counts: dict[Partition, int] = {}
    for part in sorted({*before, *added}):
        old = previous.path / part.path if previous is not None and part in before else None
        if old is not None and part not in added and not replaces and not reshaped:
            _link(old, path / part.path)
            counts[part] = before[part]
            continue
        kept = [_without(Rows.read(old), publication if replaces else None)] if old is not None else []
        rows = Rows.merged([*kept, *([added[part]] if part in added else []), template])
        for piece, index in split(part, rows.pixel, max_rows, max_order) if len(rows) else ():
            rows.take(index).write(path / piece.path)
            fault_point("archive.partition")
            counts[piece] = index.size
    _write_metadata(path, counts, template)


def _without(rows: Rows, publication: int | None) -> Rows:
    return rows if publication is None else rows.take(rows.publication != publication)


def _template(previous: Catalog | None, new: Rows) -> Rows:
    """Return no rows, with the columns of the new version: the bands of both."""
    schema = new.table.schema
    bands = {*new.table.bands, *(schema.bands_in(previous.names) if previous is not None else ())}
    return Rows(Table.empty(schema, bands=sorted(bands)), new.pixel[:0], new.publication[:0])


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # file systems without hard links
        shutil.copyfile(source, target)


def _write_metadata(path: Path, counts: Mapping[Partition, int], template: Rows) -> None:
    (path / "dataset").mkdir(parents=True, exist_ok=True)
    pq.write_metadata(template.to_arrow().schema, path / "dataset" / "_common_metadata")
    with (path / "partition_info.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Norder", "Npix", "num_rows"])
        writer.writerows([part.order, part.pixel, counts[part]] for part in sorted(counts))
    lines = [f"{key}={value}\n" for key, value in _properties(counts, template.table.schema).items()]
    for name in ("hats.properties", "properties"):  # the second name is for readers older than HATS 0.6
        (path / name).write_text("".join(["#HATS catalog\n", *lines]), "utf-8")


def _properties(counts: Mapping[Partition, int], schema: TableSchema) -> dict[str, object]:
    ra, dec = schema.position_columns or ("", "")
    area = sum(0.25**part.order / 12 for part in counts)
    return {
        "obs_collection": schema.name,
        "obs_description": schema.description,
        "dataproduct_type": "source" if schema.name in _POINTS else "object",
        "hats_nrows": sum(counts.values()),
        "hats_col_ra": ra,
        "hats_col_dec": dec,
        "hats_col_healpix": PIXEL,
        "hats_col_healpix_order": ROW_ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_order": max((part.order for part in counts), default=0),
        "hats_version": "v0.1",
        "moc_sky_fraction": f"{area:.9g}",
    }
