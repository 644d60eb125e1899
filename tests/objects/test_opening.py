"""What a person may type for a place, and what is said where it is none."""

import sys

import pytest

from keystore.errors import InputError, PlaceError, PlaceUnreachableError
from keystore.objects.opening import open_place

SECRET = "sv=2024&sig=abcdef0123456789"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host/bucket", "http:// names no place"),
        ("memory://", "memory:// names no place"),
        ("S4://bucket/x", "s4:// names no place"),
        ("s3://", "names no bucket"),
        ("gs:///prefix", "names no bucket"),
        (f"az://container/prefix?{SECRET}", "AZURE_"),
        (f"s3://key:{SECRET}@bucket", "AWS_"),
        (f"gs://bucket#{SECRET}", "GOOGLE_"),
        ("s3://host:9000/bucket", "AWS_"),
    ],
)
def test_what_names_no_place_is_refused_without_what_may_be_secret(text: str, expected: str) -> None:
    with pytest.raises(InputError, match="Nothing was changed") as caught:
        open_place(text)
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)


def test_without_the_package_a_bucket_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InputError, match="object-store"):
        open_place("s3://bucket/prefix")


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("az://container/p", {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "not base 64!"}),
        ("az://container/p", {}),
        ("gs://bucket/p", {"GOOGLE_SERVICE_ACCOUNT_KEY": '{"private_key": "secret'}),
    ],
)
def test_an_environment_that_cannot_be_used_is_told_without_its_values(
    url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="look at the environment") as caught:
        open_place(url)
    assert not any(value in str(caught.value) for value in environment.values())


def test_an_endpoint_without_tls_is_refused_with_what_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with pytest.raises(PlaceError, match="AWS_ALLOW_HTTP=true") as caught:
        list(open_place("s3://bucket/prefix").names(""))
    assert not isinstance(caught.value, PlaceUnreachableError)
