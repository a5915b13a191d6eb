"""Commands that look at the alert log."""

from pathlib import Path
from typing import Any

import click

from etendue.cli.output import print_json, print_table
from etendue.cli.repository import AS_JSON

_PLACE = click.argument("place", metavar="REPO", type=click.Path(path_type=Path))


@click.group(short_help="Look at the alerts of a repository.")
def alerts() -> None:
    """Look at the alerts of a repository (or an alert log)."""


@alerts.command("list")
@_PLACE
@click.option("-w", "--where", help='SQL on the detections: "snr > 20 AND NOT isDipole".')
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows printed.")
@AS_JSON
def list_alerts(place: Path, where: str | None, limit: int, as_json: bool) -> None:
    """List the published alerts, the latest first; superseded ones are left out (see "alerts batches")."""
    log = _open(place)
    found = log.select(where) if where else log.dia_sources()
    order = sorted(range(len(found)), key=lambda k: (-float(found["midpointMjdTai"][k]), -float(found["snr"][k])))
    versions = {batch.key: batch.version for batch in log.history()}  # the latest of each key comes last
    rows = [_facts(found, k, versions) for k in order[:limit]]
    if as_json:
        print_json({"alerts": rows, "total": len(found)})
        return
    print_table(rows)
    click.echo(f"{len(rows)} of {len(found)} alerts")


def _facts(found: Any, k: int, versions: dict[str, int]) -> dict[str, Any]:
    return {
        "diaSourceId": str(found["diaSourceId"][k]),
        "MJD": round(float(found["midpointMjdTai"][k]), 5),
        "band": str(found["band"][k]),
        "RA [deg]": round(float(found["ra"][k]), 6),
        "Dec [deg]": round(float(found["dec"][k]), 6),
        "flux [nJy]": round(float(found["psfFlux"][k]), 1),
        "S/N": round(float(found["snr"][k]), 1),
        "version": versions.get(f"{found['visit'][k]}/{found['detector'][k]}", 1),
    }


@alerts.command()
@_PLACE
@AS_JSON
def batches(place: Path, as_json: bool) -> None:
    """List every batch that was sent, and which of them a later version superseded."""
    rows = [
        {
            "batch": batch.key,
            "version": batch.version,
            "alerts": batch.alerts,
            "status": "superseded" if batch.superseded else "current",
            "content": batch.digest[:16],
        }
        for batch in _open(place).history()
    ]
    if as_json:
        print_json({"batches": rows})
    else:
        print_table(rows)


@alerts.command()
@_PLACE
@click.argument("alert_id")
@click.option("--version", type=click.IntRange(1), help="As it was sent in this version of its batch.")
def show(place: Path, alert_id: str, version: int | None) -> None:
    """Print the alert ALERT_ID (a diaSourceId) as JSON; of its cutouts only their size."""
    from etendue.errors import InputError

    log = _open(place)
    for entry in log.history():
        if not (entry.superseded if version is None else entry.version != version):
            batch = log.batch(entry.key, version=entry.version)
            if alert_id in map(str, batch.ids):
                print_json(_packet(batch, alert_id))
                return
    raise InputError("no such alert", source=place, value=alert_id, remedy="see 'etendue alerts list' and 'batches'")


def _packet(batch: Any, alert_id: str) -> Any:
    from etendue.alerts.decode import decode_alert

    place = [str(number) for number in batch.ids].index(alert_id)
    return _readable(decode_alert(batch.packets[place]))


def _readable(value: Any) -> Any:
    """Return a packet as text: bytes as their number, wide integers and dates as strings, nulls left out."""
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, bool | float | str):
        return value
    return str(value) if not isinstance(value, int) or abs(value) >= 2**53 else value


def _open(place: Path) -> Any:
    from etendue.alerts.alert_log import AlertLog
    from etendue.errors import InputError

    folder = place / "alerts" if (place / "butler.yaml").is_file() else place
    if not any(folder.glob("*.segment")):
        raise InputError("holds no alerts", source=place, remedy="give a repository after quickstart, or an alert log")
    return AlertLog(folder)
