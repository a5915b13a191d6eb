"""Draw a simulated survey with a progress bar, before it is rendered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.app.simulate import survey_bar
from etendue.app.survey_preview import write_preview
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey


@dataclass(frozen=True)
class PreviewResult:
    """Pictures of a survey that was not rendered.

    Parameters
    ----------
    name : str
        The survey.
    pictures : tuple of Path
        PNG files.
    """

    name: str
    pictures: tuple[Path, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what was drawn."""
        return {"survey": self.name, "pictures": [str(path) for path in self.pictures]}

    def lines(self) -> list[str]:
        """Return what the terminal shows."""
        return [str(path) for path in self.pictures]


def preview_into(spec: SurveySpec, folder: Path, *, seed: int = 1, progress: bool = True) -> PreviewResult:
    """Draw pictures of a survey without writing it.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated.
    folder : Path
        Made if it does not exist; pictures of an earlier preview are replaced.
    seed : int
        Equal seeds give equal surveys.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    PreviewResult

    Raises
    ------
    InputError
        If something in the survey is wrong.
    """
    with survey_bar(progress) as bar:
        task = bar.add_task(f"planning {spec.name}", total=None)
        survey = Survey.plan(spec, seed)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"drawing {spec.name}")

        return PreviewResult(spec.name, tuple(write_preview(survey, folder, tell)))
