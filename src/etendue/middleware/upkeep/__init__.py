"""Upkeep of repositories: checks and repairs, pruning, copies between repositories, backups."""
