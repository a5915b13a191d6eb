"""Detection of sources on an exposure."""
