"""Reference catalogs: any table turned into HEALPix shards, loaded by cone or polygon at an epoch."""
