"""Regions, key ids, ARNs and aliases. In the registry a key is named ``REGION/ID``, an alias ``REGION/alias/NAME``."""

import re
from functools import lru_cache

from kms_emulator.model.keys import Alias, Key

REALM = "aws"
ACCOUNT_ID = "111122223333"
"""The account of all keys: the one that AWS's documentation uses in examples."""

DEFAULT_REGION = "us-east-1"
REGION_PATTERN = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
ALIAS_PATTERN = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")
KEY_ID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")
ARN_PATTERN = re.compile(r"arn:aws:kms:(?P<region>[^:]*):(?P<account>[^:]*):(?P<kind>key|alias)/(?P<id>.+)")


def key_id(key: Key) -> str:
    """Return the key's id; all keys of a multi-Region family have the same."""
    return key.name.partition("/")[2]


def identifier(uid: bytes) -> str:
    """Return a uid written as a UUID."""
    text = uid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid4(random: bytes) -> bytes:
    """Return 16 random bytes with version and variant set, so that they are a UUID of the random kind (RFC 9562)."""
    return random[:6] + bytes([random[6] & 0x0F | 0x40, random[7], random[8] & 0x3F | 0x80]) + random[9:]


def family_identifier(family: bytes) -> str:
    """Return the id of the keys of a multi-Region family."""
    return f"mrk-{family.hex()}"


def region_of(name: str) -> str:
    """Return the region of a name in the registry."""
    return name.partition("/")[0]


def key_name(region: str, resource: str) -> str:
    """Return the registry's name of a key id or alias."""
    return f"{region}/{resource}"


def key_arn(key: Key) -> str:
    """Return the key's ARN."""
    return _key_arn(key.name)


@lru_cache(maxsize=4096)
def _key_arn(name: str) -> str:
    """Every call needs it, and the call log keeps it: one text for all calls."""
    region, _, identity = name.partition("/")
    return arn(region, f"key/{identity}")


def alias_arn(alias: Alias) -> str:
    """Return the alias's ARN."""
    region, _, name = alias.name.partition("/")
    return arn(region, name)


def arn(region: str, resource: str) -> str:
    """Return the ARN of a resource of the one account."""
    return f"arn:aws:kms:{region}:{ACCOUNT_ID}:{resource}"
