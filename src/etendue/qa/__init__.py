"""Quality metrics and their pictures."""
