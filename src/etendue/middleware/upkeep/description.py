"""What a repository is: versions, places, sizes."""

from collections import defaultdict
from importlib.metadata import version
from typing import Any

from lsst.daf.butler import ButlerConfig
from lsst.daf.butler.registry.versions import ButlerVersionsManager

from etendue.middleware.configuration import FORMAT
from etendue.middleware.datastores import file_datastores
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.holdings import holdings


def describe(repository: Repository) -> dict[str, Any]:
    """Return what a repository is.

    Parameters
    ----------
    repository : Repository
        The repository.

    Returns
    -------
    dict
        ``layout``, ``versions``, ``database``, ``files``, ``datasets``, ``bytes``, and ``collections``: a row per RUN.
    """
    butler, held = repository.butler, holdings(repository.butler)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for ref in held.refs:
        counts[str(ref.run)][0] += 1
    for copy in held.copies:
        counts[str(copy.ref.run)][1] += max(copy.size, 0)
    stores = file_datastores(butler)
    recorded = all(store.useChecksum for store in stores)
    return {
        "repository": repository.root,
        "layout": _layout(repository),
        "versions": _versions(repository),
        "database": str(butler._registry._db),
        "files": ", ".join(str(store.root) for store in stores),
        "checksums": "recorded" if recorded else "not recorded",
        "cameras": ", ".join(repository.cameras()) or "none",
        "datasets": len(held.refs),
        "bytes": sum(size for _, size in counts.values()),
        "collections": [{"run": run, "datasets": n, "bytes": size} for run, (n, size) in sorted(counts.items())],
    }


def _layout(repository: Repository) -> str:
    layout = ButlerConfig(repository.root).get(("etendue", "format"))
    return f"{layout} of {FORMAT}" if layout is not None else f"none written (this etendue writes {FORMAT})"


def _versions(repository: Repository) -> str:
    butler = repository.butler
    managers = ButlerVersionsManager(butler._registry._managers.attributes).managerVersions()
    tables = ", ".join(f"{name} {number}" for name, number in sorted(managers.items()))
    return f"lsst-daf-butler {version('lsst-daf-butler')}, dimensions {butler.dimensions.version}, tables: {tables}"
