"""Buckets for tests: S3 at moto's server, Azure Blob at azurite, Google Cloud Storage at a server of ours.

One server a process, and a bucket of its own for every test.
"""

import base64
import hashlib
import hmac
import re
import subprocess
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gcs_server import TOKEN, Bucket, gcs_server

S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
_NUMBERS = count(1)
AZURITE = Path(__file__).parents[1] / ".venv" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
"""Where `.ci/system-packages` installs it."""
ACCOUNT = "devstoreaccount1"
# The key that azurite's documentation publishes.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server that answers as S3 does, conditional writes included."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket, set what the environment has to say about it, and return its URL."""
    import boto3

    for name, value in S3_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    bucket = f"bucket-{next(_NUMBERS)}"
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="session")
def azure_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--silent"]
    with subprocess.Popen(
        [*command, "--disableTelemetry"], stdout=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("azurite")
    ) as server:
        try:
            assert server.stdout is not None
            lines = (re.search(r"listens on (http://\S+)", line) for line in server.stdout)
            yield next(f"{found[1]}/{ACCOUNT}" for found in lines if found)
        finally:
            server.terminate()


@pytest.fixture
def azure_container(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a container, set what the environment has to say about it, and return its URL."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_ENDPOINT", azure_endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    container = f"bucket-{next(_NUMBERS)}"
    parts, date, version = urlsplit(azure_endpoint), formatdate(usegmt=True), "2021-12-02"
    resource = f"/{ACCOUNT}{parts.path}/{container}\nrestype:container"
    to_sign = "\n".join(["PUT", *[""] * 11, f"x-ms-date:{date}\nx-ms-version:{version}", resource])
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256)).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "authorization": f"SharedKey {ACCOUNT}:{signature}"}
    connection = HTTPConnection(parts.netloc, timeout=30)
    connection.request("PUT", f"{parts.path}/{container}?restype=container", headers=headers)
    assert connection.getresponse().status == 201
    connection.close()
    return f"az://{container}"


@pytest.fixture(scope="session")
def gcs_buckets() -> dict[str, Bucket]:
    return {}


@pytest.fixture(scope="session")
def gcs_endpoint(gcs_buckets: dict[str, Bucket]) -> Iterator[str]:
    with gcs_server(gcs_buckets) as address:
        yield address


@pytest.fixture
def gcs_bucket(gcs_endpoint: str, gcs_buckets: dict[str, Bucket], monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket, set what the environment has to say about it, and return its URL."""
    monkeypatch.setenv("GOOGLE_BASE_URL", gcs_endpoint)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", TOKEN)
    monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
    bucket = f"bucket-{next(_NUMBERS)}"
    gcs_buckets[bucket] = Bucket()
    return f"gs://{bucket}"


@pytest.fixture(params=["directory", "s3", pytest.param("azure", marks=pytest.mark.system), "google"])
def place_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What a person would type for a place of each kind; none of them is a live service."""
    urls: dict[str, Callable[[], str]] = {
        "directory": lambda: str(tmp_path / "place"),
        "s3": lambda: str(request.getfixturevalue("s3_bucket")) + "/backups/of us",
        "azure": lambda: str(request.getfixturevalue("azure_container")) + "/backups/of us",
        "google": lambda: str(request.getfixturevalue("gcs_bucket")) + "/backups/of us",
    }
    return urls[request.param]()
