"""Resource names. In the registry a key ring and a key have Google's own full names."""

import re

from kms_emulator.model.keys import Key, Version

REALM = "gcp"
_ID = "[a-zA-Z0-9_-]{1,63}"
_PROJECT = "[a-z0-9:.-]{1,63}"
LOCATION_PATTERN = re.compile(f"projects/{_PROJECT}/locations/[a-z0-9-]{{1,63}}")
RING_PATTERN = re.compile(f"{LOCATION_PATTERN.pattern}/keyRings/{_ID}")
KEY_PATTERN = re.compile(f"{RING_PATTERN.pattern}/cryptoKeys/{_ID}")
VERSION_PATTERN = re.compile(f"(?P<key>{KEY_PATTERN.pattern})/cryptoKeyVersions/(?P<number>[1-9][0-9]{{0,8}})")
IMPORT_JOB_PATTERN = re.compile(f"{RING_PATTERN.pattern}/importJobs/{_ID}")
ID_PATTERN = re.compile(_ID)


def version_name(key: Key, version: Version) -> str:
    """Return the full name of a version."""
    return f"{key.name}/cryptoKeyVersions/{version.number}"
