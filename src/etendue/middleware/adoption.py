"""Let a repository that plain Butler code made hold etendue's products."""

import uuid
from pathlib import Path

from lsst.daf.butler import ButlerConfig, Config

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.middleware.configuration import FORMAT
from etendue.middleware.storage import seed_config

_KEPT = "butler.yaml.before-etendue"


def adopt(root: Path) -> Path:
    """Add etendue's storage classes, formatters and templates to the configuration of a repository.

    Nothing that the configuration says already changes, and no dataset is touched; Rubin's tools go on as before.

    Parameters
    ----------
    root : Path
        Folder with ``butler.yaml``.

    Returns
    -------
    Path
        Copy of the configuration as it was.

    Raises
    ------
    InputError
        There is no repository, or it knows etendue already.
    """
    path = root / "butler.yaml"
    if not path.is_file():
        raise InputError("is not a repository", source=root, remedy="create one with 'etendue init'")
    if knows_etendue(ButlerConfig(str(root))):
        raise InputError("knows etendue already", source=root)
    own = Config(str(path))
    own.merge(seed_config())
    own["etendue"] = {"format": FORMAT, "id": uuid.uuid4().hex}
    kept = root / _KEPT
    with whole_file(kept, "adopt-copy") as part:
        part.write_bytes(path.read_bytes())
    with whole_file(path, "adopt") as part:
        part.write_text(own.dump(format="yaml") or "")
    return kept


def knows_etendue(config: Config) -> bool:
    """Return whether a configuration can hold etendue's products.

    Parameters
    ----------
    config : Config
        Of a repository.

    Returns
    -------
    bool
    """
    return ("storageClasses", "EtendueTable") in config
