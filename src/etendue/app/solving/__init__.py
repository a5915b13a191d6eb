"""Finding frames on the sky: the search of one frame, and of many in parallel."""
