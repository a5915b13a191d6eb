"""Stages as PipelineTasks: ``class: etendue.middleware.steps.CalibrateImage`` in a pipeline YAML.

Every stage exported by a module of `etendue.stages` is offered under its own name, its config under
``<Stage>Config``; both are made on first access.
"""

from typing import Any

from etendue.middleware.derive import derive_task
from etendue.middleware.stage_registry import find_stage


def __getattr__(name: str) -> Any:
    stage = find_stage(name.removesuffix("Config")) if not name.startswith("_") else None
    if stage is None:
        raise AttributeError(f"no stage is called {name}; stages live in the modules of etendue.stages")
    task = derive_task(stage, __name__)
    globals()[stage.__name__] = task
    globals()[f"{stage.__name__}Config"] = task.ConfigClass
    return globals()[name]
