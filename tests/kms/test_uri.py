"""Key URIs: what is taken, and that everything else is refused with the right form shown."""

import pytest

from keystore.errors import KeyUriError, KmsEndpointError
from keystore.kms.channel import open_channel
from keystore.kms.uri import parse

KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:eu-west-1:111122223333:key/{KEY_ID}"
VERSION = "0123456789abcdef0123456789abcdef"
GCP = "projects/p-1/locations/global/keyRings/ring/cryptoKeys/key"

ACCEPTED = [
    (f"aws://us-east-1/{KEY_ID}", "aws", "us-east-1", KEY_ID, ""),
    ("aws://us-east-1/alias/prod/db", "aws", "us-east-1", "alias/prod/db", ""),
    (f"aws://eu-west-1/{ARN}", "aws", "eu-west-1", ARN, ""),
    (f"azure://contoso/cmk/{VERSION}", "azure", "contoso.vault.azure.net", "cmk", VERSION),
    ("https://Contoso.vault.azure.net/keys/cmk/0a", "azure", "contoso.vault.azure.net", "cmk", "0a"),
    ("https://contoso.vault.usgovcloudapi.net/keys/cmk/0a", "azure", "contoso.vault.usgovcloudapi.net", "cmk", "0a"),
    (f"gcp://{GCP}", "gcp", "", GCP, ""),
    (f"gcp://{GCP}/cryptoKeyVersions/3", "gcp", "", GCP, "3"),
    ("local:///etc/keystore/key", "local", "", "/etc/keystore/key", ""),
    ("local+passphrase:///laptop", "local", "", "/laptop", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "provider", "place", "key", "version"), ACCEPTED)
def test_uri_is_taken_apart_and_kept_as_given(text: str, provider: str, place: str, key: str, version: str) -> None:
    uri = parse(text)
    assert (uri.provider, uri.place, uri.key, uri.version) == (provider, place, key, version)
    assert uri.text == str(uri) == text
    assert uri.passphrase == text.startswith("local+passphrase")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "aws://"),
        ("plain", "aws://"),
        ("vault://x/y", "gcp://"),
        ("aws://us-east-1", "aws://REGION/KEY"),
        ("aws://us-east-1/", "aws://REGION/KEY"),
        ("aws:///key", "aws://REGION/KEY"),
        ("aws://us-east-1/key with space", "aws://REGION/KEY"),
        (f"aws://us-east-1/{ARN}", "aws://eu-west-1/"),
        ("aws://us-east-1/arn:aws:s3:us-east-1:111122223333:bucket", "arn:aws:kms"),
        ("azure://contoso/cmk", "azure://VAULT/KEY/VERSION"),
        ("azure://c/cmk/1", "azure://VAULT/KEY/VERSION"),
        ("https://contoso.vault.azure.net/keys/cmk", "/keys/KEY/VERSION"),
        ("https://contoso.vault.azure.net/secrets/cmk/1", "/keys/KEY/VERSION"),
        ("https://contoso.example.com/keys/cmk/1", "/keys/KEY/VERSION"),
        ("gcp://projects/p/locations/l/keyRings/r", "cryptoKeys/K"),
        (f"gcp://{GCP}/cryptoKeyVersions/", "cryptoKeyVersions/N"),
        (f"gcp://{GCP}/cryptoKeyVersions/one", "cryptoKeyVersions/N"),
        ("local://relative/path", "three slashes"),
        ("local:/one", "local://"),
        (f"arn:aws:kms:us-east-1:111122223333:key/{'0' * 36}", "aws://REGION/ARN"),
        ("local:///tmp/a\x00b", "printable"),
        ("aws://us-east-1/key\n", "printable"),
        ("aws://us-east-1/" + "k" * 2048, "2048"),
    ],
)
def test_other_text_is_refused_and_the_right_form_shown(text: str, hint: str) -> None:
    with pytest.raises(KeyUriError, match="Nothing was changed") as caught:
        parse(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "localhost:65535", "[::1]:443", "127.8.8.8:9"])
def test_endpoint_on_this_machine_is_taken(endpoint: str) -> None:
    open_channel(endpoint).close()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "http://127.0.0.1:1"),
        *("10.0.0.1:443", "0.0.0.0:1", "[::2]:1", "unix:/tmp/s:1"),
        *("kms.eu-west-1.amazonaws.com:443", "localhost.example.com:1"),
    ],
)
def test_endpoint_elsewhere_is_refused(endpoint: str) -> None:
    with pytest.raises(KmsEndpointError, match="Nothing was sent"):
        open_channel(endpoint)
