"""Turns what the model keeps into JSON documents and back. No key material passes through here."""

import json
from dataclasses import asdict
from typing import Any

from kms_emulator.model.grants import Grant
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.keys import (
    Alias,
    Folder,
    Key,
    KeyKind,
    KeyState,
    KeyUsage,
    Role,
    Schedule,
    Version,
    VersionState,
)


def encode_key(key: Key) -> str:
    """Return the document of a key."""
    document = asdict(key)
    document.update(uid=key.uid.hex(), family=key.family.hex() if key.family is not None else None)
    document.update(kind=key.kind.value, state=key.state.value, usage=key.usage.value, role=key.role.value)
    for version in document["versions"]:
        version["state"] = version["state"].value
    return json.dumps(document, sort_keys=True)


def decode_key(text: str) -> Key:
    """Return the key of a document; ValueError, KeyError or TypeError if it is not one."""
    document: dict[str, Any] = json.loads(text)
    document["uid"] = bytes.fromhex(document["uid"])
    document["family"] = bytes.fromhex(document["family"]) if document["family"] is not None else None
    document["kind"], document["state"] = KeyKind(document["kind"]), KeyState(document["state"])
    document["usage"], document["role"] = KeyUsage(document["usage"]), Role(document["role"])
    if document["schedule"] is not None:
        document["schedule"] = Schedule(**document["schedule"])
    document["versions"] = tuple(_decode_version(version) for version in document["versions"])
    return Key(**document)


def encode_alias(alias: Alias) -> str:
    """Return the document of an alias."""
    return json.dumps(asdict(alias) | {"target": alias.target.hex()}, sort_keys=True)


def decode_alias(text: str) -> Alias:
    """Return the alias of a document."""
    document = json.loads(text)
    return Alias(**document | {"target": bytes.fromhex(document["target"])})


def encode_folder(folder: Folder) -> str:
    """Return the document of a folder."""
    return json.dumps(asdict(folder), sort_keys=True)


def decode_folder(text: str) -> Folder:
    """Return the folder of a document."""
    return Folder(**json.loads(text))


def encode_grant(grant: Grant) -> str:
    """Return the document of a grant."""
    return json.dumps(asdict(grant) | {"key_uid": grant.key_uid.hex()}, sort_keys=True)


def decode_grant(text: str) -> Grant:
    """Return the grant of a document."""
    document = json.loads(text)
    document |= {"key_uid": bytes.fromhex(document["key_uid"]), "operations": tuple(document["operations"])}
    return Grant(**document)


def encode_identity(identity: Identity) -> str:
    """Return the document of an identity."""
    return json.dumps(asdict(identity) | {"kind": identity.kind.value}, sort_keys=True)


def decode_identity(text: str) -> Identity:
    """Return the identity of a document."""
    document = json.loads(text)
    return Identity(**document | {"kind": IdentityKind(document["kind"])})


def encode_credential(credential: Credential) -> str:
    """Return the document of a credential, with its secret: it opens nothing but this emulator."""
    return json.dumps(asdict(credential), sort_keys=True)


def decode_credential(text: str) -> Credential:
    """Return the credential of a document."""
    return Credential(**json.loads(text))


def _decode_version(document: dict[str, Any]) -> Version:
    return Version(**document | {"state": VersionState(document["state"])})
