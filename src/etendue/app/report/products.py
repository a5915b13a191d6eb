"""What was published: alerts and the archive."""

from typing import Any

from etendue.alerts.alert_log import AlertLog
from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Section, absent
from etendue.archive.archive import Archive
from etendue.errors import EtendueError


def gather(reader: Reader) -> dict[str, Any]:
    """Return numbers of alerts and of the archive's rows."""
    batches = [batch for ref in reader.refs("alert_batch") if (batch := reader.get(ref)) is not None]
    return {
        "alert_batches": len(batches),
        "alerts": sum(len(batch) for batch in batches),
        "published": _published(reader),
        "archive": _archive(reader),
    }


def _published(reader: Reader) -> dict[str, Any] | None:
    folder = reader.home.path / "alerts"
    if not folder.is_dir():
        return None
    try:
        log = AlertLog(folder)
        superseded = sum(batch.superseded for batch in log.history())
        return {"batches": len(log.keys), "alerts": len(log), "superseded_batches": superseded}
    except EtendueError as error:
        reader.unreadable.append(f"alert log: {error}")
        return None


def _archive(reader: Reader) -> list[dict[str, Any]]:
    folder = reader.home.path / "archive"
    if not folder.is_dir():
        return []
    try:
        archive = Archive(folder)
        return [{"table": name, "rows": archive.count(name), "snapshot": archive.snapshot} for name in archive.tables]
    except EtendueError as error:
        reader.unreadable.append(f"archive: {error}")
        return []


def present(numbers: dict[str, Any]) -> Section:
    """Return the section of `gather`'s numbers."""
    missing = [] if numbers["alert_batches"] else [absent("alert_batch", "ap")]
    if not numbers["archive"]:
        missing.append("No archive: “etendue quickstart” publishes the tables to it.")
    published = numbers["published"]
    lead = f"{numbers['alerts']} alerts of {numbers['alert_batches']} images were packaged"
    lead += f"; {published['alerts']} are in the alert log." if published else "; none is in the alert log."
    if published and published["superseded_batches"]:
        lead += f" {published['superseded_batches']} batches sent before were superseded by a later version."
    grid = Grid("Archive", (
        Column("table", "table"), Column("rows", "rows", ",d"), Column("snapshot", "snapshot"),
    ), numbers["archive"], note="etendue archive query REPO \"SELECT …\"")  # fmt: skip
    return Section(
        "products", "Alerts and archive", lead if numbers["alert_batches"] else "", (),
        [grid] if grid.rows else [], (), missing,
    )  # fmt: skip
