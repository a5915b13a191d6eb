"""A stage that computes nothing: what remains is the cost of the machinery."""

from dataclasses import dataclass

from etendue.stages.stage import Input, Output, Stage, StageConfig


@dataclass(frozen=True)
class EmptyResult:
    echo: int


class Empty(Stage[StageConfig]):
    """Hand a number on."""

    dimensions = ("instrument", "exposure", "detector")
    number = Input("number", ("instrument", "exposure", "detector"), "EtendueJson")
    echo = Output("echo", ("instrument", "exposure", "detector"), "EtendueJson")

    def run(self, *, number: int) -> EmptyResult:
        return EmptyResult(number)
