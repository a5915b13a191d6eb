"""An S3 server of the tests' own: moto in a thread, reached by all processes that the test starts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
import requests

BUCKET = "survey"


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a server with one bucket until the end of the block; gives its address."""
    server_module = pytest.importorskip("moto.server", reason="no S3 server (pip install 'moto[s3,server]')")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "S3_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    try:
        requests.post(f"{address}/moto-api/reset", timeout=10)  # of the server before: they share their memory
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stop()


def objects(address: str, prefix: str = "") -> dict[str, bytes]:
    """Return all objects of the bucket below a prefix."""
    client = boto3.client("s3", endpoint_url=address)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
