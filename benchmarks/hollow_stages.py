"""The stages of a pipeline with their dimensions and datasets, that compute nothing: what remains is the machinery.

Datasets are small JSON files, except camera and skymap; each output is the number of inputs that reached the stage.
"""

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from etendue.middleware.stage_registry import find_stage
from etendue.stages.stage import Stage, StageConfig

REAL = ("EtendueCamera", "EtendueSkyMap")  # storage classes of what every repository holds


def hollow(name: str) -> type[Stage]:
    """Return a stage of the same name, dimensions and connections that counts its inputs."""
    real = find_stage(name)
    if real is None:
        raise AttributeError(name)
    connections = {
        key: value if value.storage in REAL else replace(value, storage="EtendueJson")
        for key, value in real.connections.items()
    }

    def run(self: Any, **inputs: Any) -> SimpleNamespace:
        count = sum(len(value) if isinstance(value, tuple) else 1 for value in inputs.values())
        return SimpleNamespace(**dict.fromkeys(self.outputs(), count))

    keywords = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY) for key in real.inputs()]
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *keywords]
    )
    body = {"dimensions": real.dimensions, "run": run, "__doc__": real.__doc__, "__module__": __name__} | connections
    return type(name, (Stage,), body | {"config_class": StageConfig})
