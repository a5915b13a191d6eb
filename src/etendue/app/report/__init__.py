"""One page, and one dictionary of numbers, about everything in a repository."""
