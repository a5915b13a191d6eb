"""The hollow stages as PipelineTasks: ``class: hollow_steps.CalibrateImage``."""

from typing import Any

from hollow_stages import hollow

from etendue.middleware.derive import derive_task


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    task = derive_task(hollow(name.removesuffix("Config")), __name__)
    globals()[task.__name__] = task
    globals()[f"{task.__name__}Config"] = task.ConfigClass
    return globals()[name]
