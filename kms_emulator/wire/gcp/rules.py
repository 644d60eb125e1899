"""Which method of Google's a URL means: the HTTP rules of the published interface, for what is served here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kms_emulator.wire.call import Adapter
from kms_emulator.wire.gcp.adapter import GCP, GCP_IAM

PREFIX = "/v1/projects/"
_LOCATION = "projects/*/locations/*"
_RING = f"{_LOCATION}/keyRings/*"
_KEY = f"{_RING}/cryptoKeys/*"
_VERSION = f"{_KEY}/cryptoKeyVersions/*"
_JOB = f"{_RING}/importJobs/*"
_TEMPLATES = {
    "CreateKeyRing": f"POST {{parent={_LOCATION}}}/keyRings key_ring",
    "CreateCryptoKey": f"POST {{parent={_RING}}}/cryptoKeys crypto_key",
    "CreateCryptoKeyVersion": f"POST {{parent={_KEY}}}/cryptoKeyVersions crypto_key_version",
    "ImportCryptoKeyVersion": f"POST {{parent={_KEY}}}/cryptoKeyVersions:import *",
    "CreateImportJob": f"POST {{parent={_RING}}}/importJobs import_job",
    "ListKeyRings": f"GET {{parent={_LOCATION}}}/keyRings",
    "ListCryptoKeys": f"GET {{parent={_RING}}}/cryptoKeys",
    "ListCryptoKeyVersions": f"GET {{parent={_KEY}}}/cryptoKeyVersions",
    "ListImportJobs": f"GET {{parent={_RING}}}/importJobs",
    "GetKeyRing": f"GET {{name={_RING}}}",
    "GetCryptoKey": f"GET {{name={_KEY}}}",
    "GetCryptoKeyVersion": f"GET {{name={_VERSION}}}",
    "GetImportJob": f"GET {{name={_JOB}}}",
    "GetPublicKey": f"GET {{name={_VERSION}}}/publicKey",
    "UpdateCryptoKey": f"PATCH {{crypto_key.name={_KEY}}} crypto_key",
    "UpdateCryptoKeyVersion": f"PATCH {{crypto_key_version.name={_VERSION}}} crypto_key_version",
    "UpdateCryptoKeyPrimaryVersion": f"POST {{name={_KEY}}}:updatePrimaryVersion *",
    "DestroyCryptoKeyVersion": f"POST {{name={_VERSION}}}:destroy *",
    "RestoreCryptoKeyVersion": f"POST {{name={_VERSION}}}:restore *",
    "Encrypt": f"POST {{name={_RING}/cryptoKeys/**}}:encrypt *",
    "Decrypt": f"POST {{name={_KEY}}}:decrypt *",
    "RawEncrypt": f"POST {{name={_VERSION}}}:rawEncrypt *",
    "RawDecrypt": f"POST {{name={_VERSION}}}:rawDecrypt *",
    "AsymmetricSign": f"POST {{name={_VERSION}}}:asymmetricSign *",
    "AsymmetricDecrypt": f"POST {{name={_VERSION}}}:asymmetricDecrypt *",
    "MacSign": f"POST {{name={_VERSION}}}:macSign *",
    "MacVerify": f"POST {{name={_VERSION}}}:macVerify *",
    "GenerateRandomBytes": f"POST {{location={_LOCATION}}}:generateRandomBytes *",
}
_POLICY_TEMPLATES = {
    "GetIamPolicy": "GET {{resource={}}}:getIamPolicy",
    "SetIamPolicy": "POST {{resource={}}}:setIamPolicy *",
    "TestIamPermissions": "POST {{resource={}}}:testIamPermissions *",
}
_TEMPLATE = re.compile(r"(?P<method>\w+) \{(?P<field>[\w.]+)=(?P<name>[^}]+)\}(?P<rest>\S*)(?: (?P<body>\S+))?")


@dataclass(frozen=True, slots=True)
class Rule:
    """One method under one form of URL.

    Attributes:
        path: matches the whole path after ``/v1/``; its one group is the value of `field`.
        body: the field that the body is; ``*`` for the whole request, nothing if there is no body.
    """

    adapter: Adapter
    operation: str
    method: str
    path: re.Pattern[str]
    field: str
    body: str


def find_rule(method: str, path: str) -> tuple[Rule, str] | None:
    """Return the rule that a request means, and the name in its path."""
    for rule in RULES:
        found = rule.path.fullmatch(path) if rule.method == method else None
        if found:
            return rule, found[1]
    return None


def _rules() -> Iterator[Rule]:
    yield from (_rule(GCP, operation, template) for operation, template in _TEMPLATES.items())
    for operation, template in _POLICY_TEMPLATES.items():
        yield from (_rule(GCP_IAM, operation, template.format(name)) for name in (_RING, _KEY, _JOB))


def _rule(adapter: Adapter, operation: str, template: str) -> Rule:
    parts = _TEMPLATE.fullmatch(template)
    if parts is None:
        raise ValueError(f"not a template: {template}")
    # A verb follows a colon, which no id has but a project's.
    name = parts["name"].replace("projects/*", "projects/[^/]+").replace("**", "[^:]+").replace("/*", "/[^/:]+")
    path = re.compile(f"/v1/({name}){re.escape(parts['rest'])}")
    return Rule(adapter, operation, parts["method"], path, parts["field"], parts["body"] or "")


RULES = tuple(_rules())
