"""A file to be sent by hand, with what is in it, what is not, and pictures to check it by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etendue.disk import whole_file


@dataclass(frozen=True)
class Submission:
    """What was put together.

    Parameters
    ----------
    texts : dict of str to str
        Contents by the ending of the file.
    included, left_out : tuple of dict
        Rows for the table: ``name`` and numbers; those left out with ``reason``.
    pictures : dict of str to bytes
        PNG by the name of what it shows.
    """

    texts: Mapping[str, str]
    included: tuple[dict[str, Any], ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, out: Path) -> list[Path]:
        """Write the files, each whole or not at all: ``out``, its other forms, and pictures beside it.

        Parameters
        ----------
        out : Path
            Main file; other forms get its name with their own ending.

        Returns
        -------
        list of Path
        """
        written = []
        for index, (ending, text) in enumerate(self.texts.items()):
            path = out if index == 0 else out.with_suffix(ending)
            with whole_file(path, "submission") as part:
                part.write_text(text)
            written.append(path)
        for name, png in self.pictures.items():
            path = out.with_name(f"{out.stem}.{name}.png")
            with whole_file(path, "submission-picture") as part:
                part.write_bytes(png)
            written.append(path)
        return written
