"""Find stages by name in the modules of `etendue.stages`."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

from etendue import stages
from etendue.stages.stage import Stage


def find_stage(name: str) -> type[Stage] | None:
    """Return the stage with this class name.

    Parameters
    ----------
    name : str
        ``"CalibrateImage"``; its own module ``calibrate_image`` is tried first, so that no other is imported.

    Returns
    -------
    type[Stage] or None
        None where no module defines it.
    """
    own = f"{stages.__name__}.{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()}"
    names = [own] if importlib.util.find_spec(own) else []
    names += [info.name for info in pkgutil.iter_modules(stages.__path__, f"{stages.__name__}.") if not info.ispkg]
    for module_name in names:
        for stage in _stages_of(importlib.import_module(module_name)):
            if stage.__name__ == name:
                return stage
    return None


def all_stages() -> dict[str, type[Stage]]:
    """Return every stage by class name, importing all of `etendue.stages`."""
    return {
        stage.__name__: stage
        for info in pkgutil.iter_modules(stages.__path__, f"{stages.__name__}.")
        if not info.ispkg
        for stage in _stages_of(importlib.import_module(info.name))
    }


def _stages_of(module: ModuleType) -> Iterator[type[Stage]]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and issubclass(value, Stage)
            and value.__module__ == module.__name__
            and value.connections
        ):
            yield value
