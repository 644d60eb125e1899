"""docs/CLOUD_KEYS.md: its tables name what there is."""

import re
from pathlib import Path

from keystore.kms import azure_codes, endpoints, gcp_codes

GUIDE = (Path(__file__).parents[2] / "docs" / "CLOUD_KEYS.md").read_text(encoding="utf-8")
PROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")


def test_tables_name_every_type_of_the_clients() -> None:
    named = set(re.findall(r"`(\w+Error)`", GUIDE))
    tables = (azure_codes.DECRYPT_CODES, azure_codes.SIGN_IN, gcp_codes.STATES, gcp_codes.SIGN_IN)
    used = {kind.__name__ for table in tables for kind in table.values()}
    assert used == named


def test_codes_that_are_named_are_listed() -> None:
    azure, _, google = GUIDE.partition("| Azure's answer")[2].partition("| Google's answer")
    for code in re.findall(r"AADSTS\d+|(?:Key|Forbidden)[A-Z]\w+|Throttled|BadParameter", azure.replace("`", "")):
        if not code.endswith("Error"):
            assert code in {**azure_codes.DECRYPT_CODES, **azure_codes.SIGN_IN}, code
    for code in re.findall(r"\b(?:invalid|unauthorized)_\w+|\bDESTROY\w+|\bDISABLED\b", google):
        assert code in {**gcp_codes.STATES, **gcp_codes.SIGN_IN}, code


def test_settings_are_named_as_they_are_read() -> None:
    for name in (endpoints.ENDPOINT_ENVIRONMENT, endpoints.CA_ENVIRONMENT, *endpoints.ENDPOINT_ENVIRONMENTS.values()):
        assert f"`{name}`" in GUIDE


def test_extras_are_there() -> None:
    extras = re.findall(r"^\| \w+ +\| `(\w+)` +\| ([\w, -]+?) +\|$", GUIDE, re.MULTILINE)
    assert len(extras) == 3
    for extra, packages in extras:
        (line,) = re.findall(rf"^{extra} = \[(.*)\]$", PROJECT, re.MULTILINE)
        assert re.findall(r'"([\w-]+)>', line) == packages.split(", ")
