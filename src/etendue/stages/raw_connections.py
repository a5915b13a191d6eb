"""Connections that stages share which read raw frames."""

from etendue.stages.stage import Prerequisite

CAMERA = Prerequisite("camera", ("instrument",), "EtendueCamera")
"""The camera of the frames."""

FRAME_OVERRIDES = Prerequisite(
    "frame_override", ("instrument", "exposure", "detector"), "EtendueJson", multiple=True, minimum=0, follows="raws"
)
"""What people said about the frames of the input ``raws``."""
