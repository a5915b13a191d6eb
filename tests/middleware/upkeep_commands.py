"""Commands of the upkeep of repositories for tests of kills, each safe to repeat, and what they have made."""

import shutil
from pathlib import Path
from typing import Any

from etendue.middleware.content_hash import content_hashes
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep import backup as backups
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.copying import transfer
from etendue.middleware.upkeep.exporting import export, import_
from etendue.middleware.upkeep.prune import PrunePolicy, plan_prune, prune
from etendue.middleware.upkeep.repair import repair


def repaired(folder: Path) -> None:
    if not (folder / "twin").exists():
        shutil.copytree(folder / "repo", folder / "twin")
        home = Repository.open(folder / "repo")
        first, second, *_ = home.query("number", collections="toy/numbers")
        Path(home.butler.getURI(first).ospath).write_text("?")
        Path(home.butler.getURI(second).ospath).unlink()
    home = Repository.open(folder / "repo")
    repair(home, check(home, workers=1), replicas=[folder / "twin"])


def pruned(folder: Path) -> None:
    home = Repository.open(folder / "repo")
    prune(home, plan_prune(home, PrunePolicy(scratch=("toy/*",))))


def copied(folder: Path) -> None:
    transfer(Repository.open(folder / "repo", writeable=False), opened(folder / "copy"))


def exported(folder: Path) -> None:
    if not (folder / "exported").exists():
        export(Repository.open(folder / "repo", writeable=False), folder / "exported")
    import_(opened(folder / "copy"), folder / "exported")


def backed_up(folder: Path) -> None:
    home = Repository.open(folder / "survey")
    home.ingest(sorted((folder / "raw").iterdir()), transfer="direct")
    backups.backup(home, folder / "backup.tar")


def restored(folder: Path) -> None:
    if not (folder / "backup.tar").exists():
        backed_up(folder)
    if not (folder / "restored").exists():
        backups.restore(folder / "backup.tar", folder / "restored")


def opened(folder: Path) -> Repository:
    return Repository.open(folder) if folder.exists() else Repository.create(folder)


def whole(folder: Path) -> Any:
    """Return the products of a repository with which nothing is wrong; fresh orphans are nothing wrong yet."""
    home = Repository.open(folder, writeable=False)
    report = check(home, depth="open", workers=1)
    assert not report.problems
    runs = sorted(info.name for info in home.butler.collections.query_info("*"))
    return runs, {name: content_hashes(home, name) for name in runs if not name.endswith("certified")}


def visible_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def backup_facts(folder: Path) -> Any:
    return backups.verify(folder / "backup.tar").datasets, visible_files(folder)


COMMANDS = {"repair": repaired, "prune": pruned, "copy": copied, "export": exported, "backup": backed_up,
            "restore": restored}  # fmt: skip
STATES = {
    "repair": lambda folder: whole(folder / "repo"),
    "prune": lambda folder: (whole(folder / "repo"), len(list((folder / "repo" / "toy").rglob("*.json")))),
    "copy": lambda folder: whole(folder / "copy"),
    "export": lambda folder: (whole(folder / "copy"), visible_files(folder)),
    "backup": backup_facts,
    "restore": lambda folder: (whole(folder / "restored"), visible_files(folder)),
}
