"""Make the signals of the amplifiers linear."""

from etendue.camera.segments import Segments
from etendue.errors import InputError
from etendue.image.linearizer import Linearizer
from etendue.kernels.linearity import apply_factors
from etendue.tasks.task import Task, TaskConfig


class LinearizeConfig(TaskConfig):
    """Configuration of `LinearizeTask`; it has none."""


class LinearizeTask(Task[LinearizeConfig]):
    """Multiply every pixel by the factor that belongs to its value, from a table of 1,025 entries."""

    def run(self, segments: Segments, linearizer: Linearizer) -> None:
        """Correct whole segments, prescan and overscan included.

        Parameters
        ----------
        segments : Segments
            Pixels above bias [ADU], changed in place; NaN stays.
        linearizer : Linearizer
            Of the same detector.

        Raises
        ------
        InputError
            If the linearizer lacks an amplifier.
        """
        names = [amplifier.name for amplifier in segments.detector.amplifiers]
        missing = sorted(set(names) - {amplifier.name for amplifier in linearizer.amplifiers})
        if missing:
            raise InputError("linearizer lacks amplifiers of the detector", source=segments.detector.name,
                             value=missing, remedy="build it from flats of this detector")  # fmt: skip
        for name, segment in zip(names, segments.array, strict=True):
            apply_factors(segment, *linearizer[name].table())
