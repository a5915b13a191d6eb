"""The index of star patterns that blind matching searches."""

import json
import shutil
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.content import content_digest
from etendue.geom.healpix import center_of, pixel_of
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.asterism import pick_quads
from etendue.kernels.point_tree import rows_within, tree_order
from etendue.refcat.catalog import METADATA_FILE, ReferenceCatalog, at_epoch
from etendue.refcat.sample import ReferenceSample

INDEX_FOLDER = "star_index"
INDEX_VERSION = 1
_METADATA = "index.json"
_ARRAYS = ("vectors", "flux", "err_arcsec", "star_start", "quads", "codes", "quad_start")
_CELL_SIDE_RAD = np.sqrt(4.0 * np.pi / 12.0)  # of the pixel of order 0

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StarIndex:
    """Stars and quads at several scales, as arrays that may be memory-mapped.

    Parameters
    ----------
    catalog : str
        Name of the reference catalog it was made of.
    band : str
        Band that ranked the stars.
    content : str
        Hash of the catalog's metadata and of the arrays' sizes.
    orders : tuple of int
        HEALPix orders of the levels, coarsest first; quads of a level are half to one cell side wide.
    vectors : ndarray, float64, shape (n, 3)
        Unit vectors of the stars; a `tree_order` per level. The last level holds all stars of the others.
    flux, err_arcsec : ndarray, float64, shape (n,)
        Brightness [nJy] and position error per axis [arcsec].
    star_start : ndarray, int64, shape (levels + 1,)
        First rows of the levels.
    quads : ndarray, int32, shape (q, 4)
        Rows of the stars A, B, C, D.
    codes : ndarray, float32, shape (q, 4)
        Their codes; a `tree_order` per level.
    quad_start : ndarray, int64, shape (levels + 1,)
        First rows of the levels.
    """

    catalog: str
    band: str
    content: str
    orders: tuple[int, ...]
    vectors: Vector
    flux: Vector
    err_arcsec: Vector
    star_start: NDArray[np.int64]
    quads: NDArray[np.int32]
    codes: NDArray[np.float32]
    quad_start: NDArray[np.int64]

    @property
    def cell_rad(self) -> Vector:
        """Cell sides of the levels [rad]."""
        return _CELL_SIDE_RAD / 2.0 ** np.array(self.orders, float)

    @property
    def n_stars(self) -> int:
        """Number of different stars."""
        return int(self.star_start[-1] - self.star_start[-2])

    def near(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> ReferenceSample:
        """Return the stars in a cone.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Center and radius [deg].

        Returns
        -------
        ReferenceSample
            With the flux in `band`; empty where the index has no star.
        """
        center, chord = unit_vector(ra_deg, dec_deg), 2.0 * np.sin(0.5 * np.radians(min(radius_deg, 180.0)))
        first, last = int(self.star_start[-2]), int(self.star_start[-1])
        found = np.empty(self.n_stars, np.int64)
        rows = np.sort(found[: rows_within(self.vectors, first, last, center, float(chord), found)])
        ra, dec = sky_position(self.vectors[rows])
        flux = np.array(self.flux[rows])
        return ReferenceSample(
            ra, dec, np.array(self.err_arcsec[rows]), {self.band: (flux, np.full(rows.size, np.nan))}
        )

    @classmethod
    def open(cls, path: str | PathLike[str]) -> "StarIndex":
        """Open an index without reading it: the arrays are memory-mapped.

        Parameters
        ----------
        path : str or path
            Directory of the index, or of the reference catalog that has one.

        Returns
        -------
        StarIndex

        Raises
        ------
        InputError
            If there is none, it is damaged, of a newer version, or older than its catalog.
        """
        folder = Path(path)
        if not (folder / _METADATA).is_file():
            folder = folder / INDEX_FOLDER
        try:
            metadata = json.loads((folder / _METADATA).read_text())
            if int(metadata["version"]) > INDEX_VERSION:
                raise InputError("star index is of a newer version", source=folder, value=metadata["version"])
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
            text: dict[str, Any] = {name: str(metadata[name]) for name in ("catalog", "band", "content")}
            index = cls(**text, orders=tuple(map(int, metadata["orders"])), **arrays)
        except OSError as error:
            remedy = "make it with: etendue refcat index CATALOG"
            raise InputError(f"no star index: {error.strerror or error}", source=path, remedy=remedy) from None
        except (ValueError, KeyError, TypeError) as error:
            remedy = "make it again with: etendue refcat index CATALOG --overwrite"
            raise InputError(f"damaged star index: {error}", source=folder, remedy=remedy) from None
        index._check(folder, metadata)
        return index

    def _check(self, folder: Path, metadata: dict[str, Any]) -> None:
        """Refuse an index that does not belong to the catalog around it, or lacks rows."""
        home = folder.parent / METADATA_FILE
        remedy = "make it again with: etendue refcat index CATALOG --overwrite"
        if home.is_file() and _digest(home) != metadata["made_of"]:
            raise InputError("star index is older than its catalog", source=folder, remedy=remedy)
        sizes = [int(getattr(self, name).shape[0]) for name in _ARRAYS]
        if sizes != metadata["sizes"]:
            raise InputError("damaged star index: arrays of other lengths", source=folder, value=sizes, remedy=remedy)


def build_star_index(
    catalog: ReferenceCatalog,
    target: str | PathLike[str] | None = None,
    *,
    band: str | None = None,
    epoch_mjd: float | None = None,
    stars_per_cell: int = 10,
    quads_per_cell: int = 16,
    min_order: int = 3,
    max_order: int = 11,
    overwrite: bool = False,
) -> StarIndex:
    """Choose bright stars evenly over the sky, and quads of them, at every scale that the catalog is deep enough for.

    Parameters
    ----------
    catalog : ReferenceCatalog
        Stars of the whole sky or a part of it.
    target : path, optional
        Directory to make; ``star_index`` inside the catalog's by default. It appears whole or not at all.
    band : str, optional
        Band that ranks the stars; by default the one that most stars have.
    epoch_mjd : float, optional
        Epoch of the positions [MJD]; the catalog's own by default.
    stars_per_cell : int
        Brightest stars of every cell of a level that are used.
    quads_per_cell : int
        Most quads of every cell.
    min_order, max_order : int
        HEALPix orders of the coarsest and the finest level (3: quads of 3.7 to 7.3 deg; 11: of 0.9 to 1.7 arcmin).
        Levels finer than 1.5 stars per cell are left out.
    overwrite : bool
        Replace an existing index.

    Returns
    -------
    StarIndex

    Raises
    ------
    InputError
        If the catalog has no band, too few stars, or the target exists.
    """
    folder = catalog.path / INDEX_FOLDER if target is None else Path(target)
    if folder.exists() and not overwrite:
        raise InputError("already exists", source=folder, remedy="use --overwrite")
    ra, dec, flux, err, band = _bright_stars(catalog, band, epoch_mjd, max_order, stars_per_cell)
    vectors = unit_vector(ra, dec)
    orders = [k for k in range(min_order, max_order + 1) if _per_cell(k, ra, dec) >= _FEWEST_PER_CELL or k == min_order]
    levels = [_level(order, ra, dec, vectors, flux, stars_per_cell, quads_per_cell) for order in orders]
    if sum(len(quads) for _, quads, _ in levels) == 0:
        raise InputError("too few stars for a star index", source=catalog.path, value=ra.size)
    stars = np.concatenate([rows for rows, _, _ in levels])
    star_start = np.cumsum([0, *(rows.size for rows, _, _ in levels)])
    quads = [quads + np.int32(first) for (_, quads, _), first in zip(levels, star_start, strict=False)]
    arrays = {
        "vectors": vectors[stars],
        "flux": flux[stars],
        "err_arcsec": err[stars],
        "star_start": star_start.astype(np.int64),
        "quads": np.concatenate(quads).astype(np.int32),
        "codes": np.concatenate([codes for _, _, codes in levels]),
        "quad_start": np.cumsum([0, *map(len, quads)]).astype(np.int64),
    }
    _write(folder, catalog, band, orders, arrays)
    return StarIndex.open(folder)


_FEWEST_PER_CELL = 1.5  # below, hardly any circle around two stars holds two more


def _bright_stars(
    catalog: ReferenceCatalog, band: str | None, epoch_mjd: float | None, max_order: int, stars_per_cell: int
) -> tuple[Vector, Vector, Vector, Vector, str]:
    """Return position, flux and error of the stars that some level may use, and the band."""
    if not catalog.bands or (band is not None and band not in catalog.bands):
        raise InputError(
            "catalog has no such band to rank stars", source=catalog.path, value=band, remedy=f"it has {catalog.bands}"
        )
    parts = []
    for shard in catalog.shards():
        table = shard if epoch_mjd is None else at_epoch(shard, epoch_mjd)
        error = 3600.0 * np.hypot(table["raErr"], table["decErr"]) / np.sqrt(2.0)
        fluxes = np.stack([table[f"{name}_flux"] for name in catalog.bands])
        parts.append(np.vstack([table["ra"], table["dec"], np.nan_to_num(error), fluxes]))
    columns = np.hstack(parts)
    counts = (columns[3:] > 0.0).sum(axis=1)
    chosen = int(np.argmax(counts)) if band is None else catalog.bands.index(band)
    columns = columns[:, columns[3 + chosen] > 0.0]  # leaves out NaN too
    if columns.shape[1] == 0:
        raise InputError("no star has a flux", source=catalog.path, value=catalog.bands[chosen])
    rows = _brightest_per_cell(max_order, columns[0], columns[1], columns[3 + chosen], stars_per_cell)
    ra, dec, err, flux = (np.ascontiguousarray(columns[k, rows]) for k in (0, 1, 2, 3 + chosen))
    return ra, dec, flux, err, catalog.bands[chosen]


def _brightest_per_cell(order: int, ra: Vector, dec: Vector, flux: Vector, count: int) -> NDArray[np.int64]:
    """Return the rows of the brightest stars of every cell, ascending."""
    pixel = pixel_of(order, ra, dec)
    ranked = np.lexsort((-flux, pixel))
    _, start = np.unique(pixel[ranked], return_index=True)
    place = np.arange(ranked.size) - np.repeat(start, np.diff(np.r_[start, ranked.size]))
    return np.sort(ranked[place < count])


def _per_cell(order: int, ra: Vector, dec: Vector) -> float:
    return float(ra.size / np.unique(pixel_of(order, ra, dec)).size) if ra.size else 0.0


def _level(
    order: int, ra: Vector, dec: Vector, vectors: Vector, flux: Vector, stars_per_cell: int, quads_per_cell: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return the stars of a level as a tree, its quads as rows of that tree, and their codes as a tree."""
    rows = _brightest_per_cell(order, ra, dec, flux, stars_per_cell)
    rows = rows[tree_order(vectors[rows])]
    centers = unit_vector(*center_of(order, np.unique(pixel_of(order, ra[rows], dec[rows]))))
    quads, codes = pick_quads(
        vectors[rows], flux[rows], 0, rows.size, centers, float(_CELL_SIDE_RAD / 2.0**order), quads_per_cell,
        max(1, quads_per_cell // 2), 2 * stars_per_cell,
    )  # fmt: skip
    ranked = np.lexsort(np.sort(quads, axis=1).T)
    same = (np.diff(np.sort(quads, axis=1)[ranked], axis=0) == 0).all(axis=1)
    once = np.sort(ranked[np.r_[True, ~same]]) if len(quads) else ranked
    quads, codes = quads[once], codes[once]
    tree = tree_order(codes)
    return rows, quads[tree], codes[tree]


def _digest(metadata: Path) -> str:
    return content_digest([metadata.read_text()])


def _write(folder: Path, catalog: ReferenceCatalog, band: str, orders: list[int], arrays: dict[str, NDArray]) -> None:
    partial = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
    made_of = _digest(catalog.path / METADATA_FILE)
    metadata = {
        "version": INDEX_VERSION,
        "catalog": catalog.name,
        "band": band,
        "made_of": made_of,
        "content": content_digest([made_of, band, orders, arrays["star_start"], arrays["quad_start"]]),
        "orders": orders,
        "sizes": [int(arrays[name].shape[0]) for name in _ARRAYS],
    }
    try:
        partial.mkdir(parents=True)
        for name, values in arrays.items():
            np.save(partial / f"{name}.npy", np.ascontiguousarray(values), allow_pickle=False)
        (partial / _METADATA).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
