"""Runs that ended early: a kill, Ctrl-C, a full disk."""

from etendue.middleware.journal import FINISHED, Journal
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals, latest
from etendue.middleware.signatures import RunSignatures


def unfinished_run(repository: Repository, output: str) -> dict[str, str] | None:
    """Return the latest run of an output if it left quanta, or products that the repository does not know yet.

    Parameters
    ----------
    repository : Repository
        The repository.
    output : str
        Chain of the runs.

    Returns
    -------
    dict of str to str or None
        Its ``pipeline``, ``inputs``, ``where`` and so on; None where there is nothing to finish.
    """
    journal = latest(repository.runs_folder, output)
    return None if journal is None or not is_unfinished(journal) else journal.description()


def is_unfinished(journal: Journal) -> bool:
    """Return whether a run left quanta, or products that the repository does not know yet.

    Parameters
    ----------
    journal : Journal
        Of the run.
    """
    outcomes = journal.outcomes().values()
    written = {made for outcome in outcomes if outcome.status in FINISHED for made in outcome.outputs}
    return len(outcomes) < len(RunSignatures.load(journal.folder).quanta) or not written <= journal.registered()


def resumable_runs(repository: Repository) -> list[str]:
    """Return the runs that can still be finished: the latest of each output, where it is unfinished.

    Parameters
    ----------
    repository : Repository
        The repository.
    """
    newest: dict[str, Journal] = {}
    for journal in journals(repository.runs_folder):  # the latest first
        newest.setdefault(str(journal.description()["output"]), journal)
    return [str(journal.description()["run"]) for journal in newest.values() if is_unfinished(journal)]
