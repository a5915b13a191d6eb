"""Register skymaps: tract and patch records with regions, and the map itself as a dataset."""

from collections.abc import Iterable, Iterator
from typing import Any

from lsst.daf.butler import Butler, DatasetType
from lsst.sphgeom import ConvexPolygon

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.skymap import SkyMap
from etendue.geom.tract import Tract
from etendue.middleware.sky_outline import unit_vectors

SKYMAP_RUN = "skymaps"
DATASET_TYPE = "skyMap"  # LSST's name; Rubin refuses the name of a dimension
_MANY = 1000


def register_skymap(butler: Butler, skymap: SkyMap, name: str, tracts: Iterable[int] | None = None) -> None:
    """Register a skymap; more tracts can be added by calling again.

    Parameters
    ----------
    butler : Butler
        Writeable, with ``run`` set to ``skymaps``.
    skymap : SkyMap
        The map.
    name : str
        Its name in data IDs.
    tracts : iterable of int, optional
        Tracts to register; all by default.

    Raises
    ------
    InputError
        Another map has this name, or the map has too many tracts to register all.
    """
    if tracts is None and skymap.n_tracts > _MANY:
        raise InputError("too many tracts to register all", value=skymap.n_tracts, remedy="name the tracts you need")
    chosen = [skymap.tract(id) for id in (range(skymap.n_tracts) if tracts is None else sorted(set(tracts)))]
    grids = [tract.patch_grid for tract in chosen]
    record = {
        "name": name,
        "hash": bytes.fromhex(skymap.content_hash()),
        "tract_max": int(skymap.n_tracts),
        "patch_nx_max": max(grid[1] for grid in grids),
        "patch_ny_max": max(grid[0] for grid in grids),
    }
    known = [r for r in butler.query_dimension_records("skymap", explain=False) if r.name == name]
    if known and known[0].hash != record["hash"]:
        raise InputError("another skymap has this name", value=name, remedy="choose another name")
    dataset_type = DatasetType(DATASET_TYPE, ("skymap",), "EtendueSkyMap", universe=butler.dimensions)
    butler.registry.registerDatasetType(dataset_type)
    with butler.transaction():
        if not known:
            butler.registry.insertDimensionData("skymap", record)
        _insert_tracts(butler, name, chosen)
        fault_point("skymap.after-records")
        _put(butler, skymap, name)
        fault_point("skymap.after-put")


def _insert_tracts(butler: Butler, name: str, tracts: list[Tract]) -> None:
    registry = butler.registry
    records = [{"skymap": name, "id": int(t.id), "region": _region(t.polygon)} for t in tracts]
    registry.insertDimensionData("tract", *records, skip_existing=True)
    registry.insertDimensionData("patch", *(r for t in tracts for r in _patch_records(name, t)), skip_existing=True)


def _patch_records(name: str, tract: Tract) -> Iterator[dict[str, Any]]:
    for patch in tract.patches():
        row, column = divmod(int(patch.id), tract.patch_grid[1])
        yield {
            "skymap": name,
            "tract": int(tract.id),
            "id": int(patch.id),
            "cell_x": column,
            "cell_y": row,
            "region": _region(patch.polygon),
        }


def _region(polygon: tuple[Any, Any]) -> ConvexPolygon:
    return ConvexPolygon(unit_vectors(*polygon))


def _put(butler: Butler, skymap: SkyMap, name: str) -> None:
    if not butler.exists(DATASET_TYPE, skymap=name, collections=SKYMAP_RUN):
        butler.put(skymap, DATASET_TYPE, skymap=name)
