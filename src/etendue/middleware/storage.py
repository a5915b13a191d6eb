"""Storage classes of etendue's types, and the seed configuration of our repositories."""

from functools import cache
from pathlib import Path

from lsst.daf.butler import Config, StorageClassFactory

SEED_FILE = Path(__file__).with_name("repository_seed.yaml")


def seed_config() -> Config:
    """Return the configuration that a new repository is created with.

    It holds our storage classes and formatters, so that stock tools open the repository without any
    environment variable.

    Returns
    -------
    Config
    """
    return Config(str(SEED_FILE))


@cache
def register_storage_classes() -> None:
    """Make our storage classes known in this process, for pipelines looked at without a repository."""
    StorageClassFactory().addFromConfig(seed_config())
