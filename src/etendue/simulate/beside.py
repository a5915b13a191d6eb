"""Paths in a survey's YAML file: what is not absolute lies beside that file."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

FOLDER = "folder"
"""Key of the validation context under which the folder of the YAML file stands."""


def beside(path: Path, info: ValidationInfo) -> Path:
    """Return a path relative to the folder of the file that names it.

    Parameters
    ----------
    path : Path
        As it is written.
    info : ValidationInfo
        Its context may hold a ``folder``; without, the path stays as it is.

    Returns
    -------
    Path
    """
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None else Path(folder) / path


BesidePath = Annotated[Path, AfterValidator(beside)]
"""A path that lies beside the YAML file which names it."""
