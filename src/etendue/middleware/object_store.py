"""A datastore in an object store (S3), whose checksums are the tags that the store itself computes."""

from typing import Any

from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath

ETAG = "etag:"
"""Beginning of a checksum that is an entity tag; any other is the BLAKE2b digest of the file."""


class ObjectStoreDatastore(FileDatastore):
    """Rubin's file datastore, which records no checksum of remote files, with one.

    The tag of an object costs one small request where reading the object back would cost its size, and a listing of
    the store has the tags of all objects.
    """

    @classmethod
    def _create_from_config(cls, *args: Any, **kwargs: Any) -> "ObjectStoreDatastore":
        return cls._of(super()._create_from_config(*args, **kwargs))

    def clone(self, bridgeManager: Any) -> "ObjectStoreDatastore":
        """Return a datastore of the same files for another connection to the database."""
        return self._of(super().clone(bridgeManager))

    @classmethod
    def _of(cls, made: FileDatastore) -> "ObjectStoreDatastore":
        made.__class__ = cls  # Rubin's code makes its own class, whatever class it is asked of
        return made

    @staticmethod
    def computeChecksum(  # noqa: N802 (Rubin's name)
        uri: ResourcePath, algorithm: str = "blake2b", block_size: int = 8192
    ) -> str | None:
        """Return the digest of a local file, or the tag of an object.

        Parameters
        ----------
        uri : ResourcePath
            File or object.
        algorithm : str
            Of `hashlib`, for local files.
        block_size : int
            For local files [bytes].

        Returns
        -------
        str or None
            ``etag:<tag>`` of an object; None where the store has no tags.
        """
        if uri.scheme != "s3":
            return FileDatastore.computeChecksum(uri, algorithm=algorithm, block_size=block_size)
        bucket, client = bucket_of(uri)
        return tag_of(client.head_object(Bucket=bucket, Key=uri.relativeToPathRoot))


def bucket_of(uri: ResourcePath) -> tuple[str, Any]:
    """Return the bucket of an object, and the client that reaches it.

    Parameters
    ----------
    uri : ResourcePath
        ``s3://...``.
    """
    return uri._bucket, uri.client  # names with a profile or a tenant are taken apart there


def tag_of(entry: dict[str, Any]) -> str | None:
    """Return the checksum that an answer of the store holds.

    Parameters
    ----------
    entry : dict
        Answer to HEAD, or an entry of a listing.
    """
    tag = str(entry.get("ETag", "")).strip('"')
    return f"{ETAG}{tag}" if tag else None
