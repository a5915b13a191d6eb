"""The surveys that come with etendue, and a user's own from a YAML file."""

from importlib import resources
from pathlib import Path

from etendue.errors import InputError
from etendue.simulate.surveys.spec import SurveySpec

_FOLDER = resources.files("etendue.simulate.surveys") / "presets"
_SUFFIXES = (".yaml", ".yml")


def shipped_surveys() -> tuple[str, ...]:
    """Return the names of the shipped surveys, sorted.

    Returns
    -------
    tuple of str
    """
    return tuple(sorted(entry.name[:-5] for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml")))


def load_survey(name_or_path: str | Path) -> SurveySpec:
    """Return a shipped survey, or read a user's own.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped survey, or a path that ends in ``.yaml`` or ``.yml``.

    Returns
    -------
    SurveySpec

    Raises
    ------
    InputError
        If there is no such survey or the file is wrong: one line with file, entry, value and remedy.
    """
    name = str(name_or_path)
    if name.endswith(_SUFFIXES):
        return SurveySpec.read(Path(name))
    known = shipped_surveys()
    if name not in known:
        raise InputError(
            "no such survey", value=name, remedy=f"use one of {', '.join(known)}, or the path of a survey YAML file"
        )
    with resources.as_file(_FOLDER / f"{name}.yaml") as path:
        return SurveySpec.read(path)
