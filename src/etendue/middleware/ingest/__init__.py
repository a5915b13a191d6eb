"""Raw frames into a repository: headers read by several processes, entries made in batches."""
