"""Reference catalogs in HEALPix shards."""
