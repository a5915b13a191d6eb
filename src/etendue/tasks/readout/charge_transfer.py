"""Give pixels back the charge that they left behind on their way to the amplifier."""

from pydantic import Field

from etendue.camera.segments import Segments
from etendue.image.charge_transfer import ChargeTransfer
from etendue.kernels.charge_restore import restore_columns, restore_rows
from etendue.tasks.task import Task, TaskConfig


class CorrectChargeTransferConfig(TaskConfig):
    """Configuration of `CorrectChargeTransferTask`."""

    serial: bool = True
    """Whether losses in the serial register are undone."""

    parallel: bool = True
    """Whether losses along the columns are undone."""

    quiet: float = Field(5.0, ge=0.0)
    """Changes from pixel to pixel below this count as noise to a trap of fixed size [read noises of the camera]; 0 for
    the exact inverse, which raises the noise where the sky does not fill the trap."""


class CorrectChargeTransferTask(Task[CorrectChargeTransferConfig]):
    """Undo deferred charge in the reverse of the order in which it arose: the register first, then the columns.

    The inverse is exact for the model of `TransferLoss`, and takes one pass. What a pixel gets is taken from the pixels
    read after it, the overscan included: charge is conserved but for what the traps still hold after the last pixel.
    """

    def run(self, segments: Segments, charge_transfer: ChargeTransfer) -> None:
        """Restore all amplifiers.

        Parameters
        ----------
        segments : Segments
            Pixels above overscan and bias, linear [e]; changed in place, overscan included.
        charge_transfer : ChargeTransfer
            Losses.

        Raises
        ------
        InputError
            If they lack an amplifier.
        """
        for segment, order in zip(segments.array, segments.orders, strict=True):
            losses = charge_transfer[order.amplifier.name]
            quiet = self.config.quiet * order.amplifier.read_noise
            if self.config.serial and losses.serial is not None:
                restore_columns(segment, *losses.serial.numbers, quiet)
            if self.config.parallel and losses.parallel is not None:
                restore_rows(segment, *losses.parallel.numbers, quiet)
