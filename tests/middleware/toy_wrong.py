"""Stages that do not fit together, each in its own way."""

from dataclasses import dataclass
from typing import Any

from etendue.middleware.derive import derive_task
from etendue.stages.stage import Input, Output, Stage, StageConfig

EACH, CHIP = ("instrument", "exposure", "detector"), ("instrument", "detector")


@dataclass(frozen=True)
class Made:
    made: Any


def stage(name: str, quantum: tuple[str, ...], read: Input, made: Output) -> type[Stage]:
    def run(self: Any, *, read: Any) -> Made:
        return Made(read)

    body = {"dimensions": quantum, "read": read, "made": made, "run": run, "__module__": __name__,
            "config_class": StageConfig}  # fmt: skip
    return type(name, (Stage,), body)


PART = Output("part", EACH, "EtendueJson")
STAGES = [
    stage("Make", EACH, Input("number", EACH, "EtendueJson"), PART),
    stage("MakeAgain", EACH, Input("number", EACH, "EtendueJson"), PART),
    stage("ReadWide", CHIP, Input("part", CHIP, "EtendueJson"), Output("wide", CHIP, "EtendueJson")),
    stage("ReadTable", EACH, Input("part", EACH, "EtendueTable"), Output("table", EACH, "EtendueJson")),
    stage("ReadComponent", EACH, Input("part.wcs", EACH, "EtenduePart"), Output("shape", EACH, "EtendueJson")),
    stage("ReadTypo", EACH, Input("partt", EACH, "EtendueJson"), Output("typo", EACH, "EtendueJson")),
    stage("ReadOne", CHIP, Input("part", EACH, "EtendueJson"), Output("one", CHIP, "EtendueJson")),
    stage("Narrow", EACH, Input("part", EACH, "EtendueJson"), Output("narrow", CHIP, "EtendueJson")),
    stage("Circle", EACH, Input("round", EACH, "EtendueJson"), Output("number", EACH, "EtendueJson")),
    stage("CircleBack", EACH, Input("number", EACH, "EtendueJson"), Output("round", EACH, "EtendueJson")),
]
for _stage in STAGES:
    _task = derive_task(_stage, __name__)
    globals()[_stage.__name__], globals()[f"{_stage.__name__}Config"] = _task, _task.ConfigClass
