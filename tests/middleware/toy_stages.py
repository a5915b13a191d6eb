"""A survey of numbers: three stages with every kind of connection."""

import ctypes
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.stages.stage import Input, Output, Prerequisite, Stage, StageConfig
from etendue.table.table import Table
from etendue.tasks.task import TaskConfig


class ScaleConfig(TaskConfig):
    factor: float = Field(2.0, ge=0.0, le=100.0)
    """Every number is multiplied by this."""


class MeasureConfig(StageConfig):
    scale: ScaleConfig = ScaleConfig(factor=3.0)
    """How to scale."""

    defeated: tuple[int, ...] = ()
    """Exposures that defeat the method."""

    broken: tuple[int, ...] = ()
    """Exposures that raise a plain error."""

    deadly: str = ""
    """File whose presence makes exposure 3 kill its own process; the file is removed first."""

    trouble: Literal["network", "memory", "segfault", "input", "hang"] = "network"
    """What ails the troubled exposures."""

    troubled: tuple[int, ...] = ()
    """Exposures with trouble."""

    passing: str = ""
    """File that loses a byte for every trouble, which ends with the file; without one it never ends."""

    pause: float = Field(0.0, ge=0.0)
    """Seconds to sleep."""

    mode: Literal["plain", "double"] = "plain"
    """Whether to double the result."""

    limit: float | None = None
    """Largest result, if any."""


@dataclass(frozen=True)
class MeasureResult:
    measured: dict[str, float]


class Measure(Stage[MeasureConfig]):
    """Scale a number and subtract the calibration."""

    dimensions = ("instrument", "exposure", "detector")
    number = Input("number", ("instrument", "exposure", "detector"), "EtendueJson", observation_types=("science",))
    offset = Prerequisite("offset", ("instrument", "detector"), "EtendueJson", calibration=True)
    measured = Output("measured", ("instrument", "exposure", "detector"), "EtendueJson")

    def run(self, *, number: float, offset: float, data_id: Mapping[str, Any]) -> MeasureResult:
        exposure = int(data_id["exposure"])
        time.sleep(self.config.pause)
        if exposure in self.config.defeated:
            raise AlgorithmError("The number is hopeless", number=number)
        if exposure in self.config.broken:
            raise ValueError("a plain mistake")
        if exposure == 3 and self.config.deadly and Path(self.config.deadly).exists():
            Path(self.config.deadly).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if exposure in self.config.troubled and _still(self.config.passing):
            _trouble(self.config.trouble)
        value = number * self.config.scale.factor - offset
        value *= 2 if self.config.mode == "double" else 1
        return MeasureResult({"value": value if self.config.limit is None else min(value, self.config.limit)})


def _still(name: str) -> bool:
    left = Path(name).read_bytes() if name else b"x"
    if name and left:
        Path(name).write_bytes(left[1:])
    return bool(left)


def _trouble(kind: str) -> None:
    logging.getLogger("etendue.toy").info("trouble comes: %s", kind)
    if kind == "network":
        raise ConnectionResetError("the server went away")
    if kind == "memory":
        raise MemoryError("no room for 3 TiB")
    if kind == "input":
        raise InputError("makes no sense", source="number", remedy="measure it again")
    if kind == "hang":
        time.sleep(60)
    ctypes.string_at(0)


@dataclass(frozen=True)
class TotalResult:
    total: dict[str, Any]
    note: str | None


class Total(Stage[StageConfig]):
    """Add up the measurements of a detector, one at a time."""

    dimensions = ("instrument", "detector")
    measured = Input("measured", ("instrument", "exposure", "detector"), "EtendueJson", multiple=True, deferred=True)
    label = Prerequisite("label", ("instrument",), "EtendueText", minimum=0)
    total = Output("total", ("instrument", "detector"), "EtendueJson")
    note = Output("note", ("instrument", "detector"), "EtendueText")

    def run(self, *, measured: Any, label: str | None) -> TotalResult:
        exposures = [int(handle.data_id["exposure"]) for handle in measured]
        total = sum(handle.get()["value"] for handle in measured)
        return TotalResult({"total": total, "exposures": exposures}, None if label is None else f"{label}: {total}")


@dataclass(frozen=True)
class SummaryResult:
    summary: str


class Summary(Stage[StageConfig]):
    """Write one line for the whole instrument."""

    dimensions = ("instrument",)
    totals = Input("total", ("instrument", "detector"), "EtendueJson", multiple=True)
    summary = Output("summary", ("instrument",), "EtendueText")

    def run(self, *, totals: Any) -> SummaryResult:
        return SummaryResult(" ".join(str(total["total"]) for total in totals))


@dataclass(frozen=True)
class DrawResult:
    picture: Exposure
    rows: Table


class Draw(Stage[StageConfig]):
    """Make an image and a table of a number: products with files of their own formats."""

    dimensions = ("instrument", "exposure", "detector")
    measured = Input("measured", ("instrument", "exposure", "detector"), "EtendueJson")
    picture = Output("picture", ("instrument", "exposure", "detector"), "EtendueExposure")
    rows = Output("rows", ("instrument", "exposure", "detector"), "EtendueTable")

    def run(self, *, measured: dict[str, float]) -> DrawResult:
        box = Box.from_shape((64, 64))
        image = Image.full(box, measured["value"])
        exposure = Exposure(image=image, mask=Mask.empty(box), variance=Image.full(box, 1.0), unit="")
        return DrawResult(exposure, Table("refcat", {"id": np.arange(3), "ra": np.arange(3.0), "dec": np.zeros(3)}))


class CompareConfig(StageConfig):
    neighbours: bool = True
    """Whether the other detectors are read."""


@dataclass(frozen=True)
class CompareResult:
    compared: list[Any]


class Compare(Stage[CompareConfig]):
    """Put the number of a detector before those of the others in the same exposure."""

    dimensions = ("instrument", "exposure", "detector")
    number = Input("number", ("instrument", "exposure", "detector"), "EtendueJson", multiple=True)
    others = Input(
        "number", ("instrument", "exposure", "detector"), "EtendueJson", multiple=True, deferred=True, minimum=0,
        others=True, switch="neighbours",
    )  # fmt: skip
    compared = Output("compared", ("instrument", "exposure", "detector"), "EtendueJson")

    def run(self, *, number: Any, others: Any) -> CompareResult:
        return CompareResult([*number, *((handle.data_id["detector"], handle.get()) for handle in others)])
