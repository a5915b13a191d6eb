"""Commands that run whole data releases from a YAML file."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON

_SPEC = click.argument("campaign", type=click.Path(path_type=Path, dir_okay=False))
_REPO = click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
_HISTORY = click.option("--history", type=click.Path(path_type=Path), help="Repository whose runs tell the costs.")
_SITE = click.option("--site", metavar="SITE", help="YAML file of a cluster whose jobs run the quanta, or 'local'.")
_WORKERS = click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")


@click.group(short_help="Forecast, run and resume whole data releases.")
def campaign() -> None:
    """Forecast, run and resume data releases: pipelines in steps, described in one YAML file."""


@campaign.command(short_help="Tell what CAMPAIGN will cost.")
@_SPEC
@_REPO
@_HISTORY
@_WORKERS
@AS_JSON
def forecast(campaign: Path, repo: Path, history: Path | None, workers: int, as_json: bool) -> None:
    """Count the quanta of CAMPAIGN, and tell their cost from earlier runs; nothing runs."""
    from etendue.app.campaign.run import Campaign
    from etendue.app.campaign.spec import CampaignSpec
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    other = None if history is None else Repository.open(history, writeable=False)
    result = Campaign(home, CampaignSpec.read(campaign), workers=workers).forecast(other)
    print_json(result.to_dict()) if as_json else print_lines(result.lines())


@campaign.command(short_help="Do all of CAMPAIGN that is not done yet.")
@_SPEC
@_REPO
@_HISTORY
@_SITE
@_WORKERS
@AS_JSON
def run(campaign: Path, repo: Path, history: Path | None, site: str | None, workers: int, as_json: bool) -> None:
    """Run the steps of CAMPAIGN in order; after any interruption the same command goes on where it ended.

    Steps that have been changed in the file since, and those after them, begin anew.
    """
    from etendue.app.campaign.run import Campaign
    from etendue.app.campaign.spec import CampaignSpec
    from etendue.middleware.repository import Repository
    from etendue.middleware.sites.site import Site

    place = None if site is None else Site.read(site)
    one = Campaign(Repository.open(repo), CampaignSpec.read(campaign), workers=workers, site=place)
    before = one.forecast(None if history is None else Repository.open(history, writeable=False))
    if not as_json:
        print_lines(before.lines())
    result = one.run(tell=lambda line: None if as_json else click.echo(line), progress=not as_json)
    print_json(result.to_dict()) if as_json else print_lines(result.lines())


@campaign.command(short_help="Tell how far CAMPAIGN is.")
@_SPEC
@_REPO
@_WORKERS
@AS_JSON
def status(campaign: Path, repo: Path, workers: int, as_json: bool) -> None:
    """Tell what of CAMPAIGN is done, and what it cost against the forecast."""
    from etendue.app.campaign.run import Campaign
    from etendue.app.campaign.spec import CampaignSpec
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    result = Campaign(home, CampaignSpec.read(campaign), workers=workers).status()
    print_json(result.to_dict()) if as_json else print_lines(result.lines())
