"""Azure's backup of a key, and its way back: the key with all its versions, sealed under a key of the emulator itself.

A backup can be restored into any vault of the emulator that made it, also after the key was purged; a reset ends that.
"""

import base64
import json
from dataclasses import replace

from keystore_api.azure_keyvault.v1 import azure_keyvault_pb2 as pb

from kms_emulator.model.errors import CiphertextError, KeyMissingError
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.model.material import Material
from kms_emulator.model.registry import SERVICE_REALM
from kms_emulator.storage.documents import decode_key, encode_key
from kms_emulator.wire.azure import names
from kms_emulator.wire.azure.errors import bad_parameter, name_deleted, name_taken
from kms_emulator.wire.azure.keys import answer
from kms_emulator.wire.azure.lookup import find_any, find_live
from kms_emulator.wire.call import Call

BACKUP_KEY = "azure/backup"
_CONTEXT = b"azure key backup"


def backup_key(call: Call, request: pb.BackupKeyRequest) -> pb.KeyBackup:
    """Return a key with all its versions as an opaque value."""
    key = find_live(call, request.vault, request.name)
    materials = {
        str(number): base64.b64encode(material.to_stored()).decode()
        for number, material in call.registry.copies(key).items()
    }
    document = json.dumps({"key": encode_key(key), "materials": materials}).encode()
    return pb.KeyBackup(value=call.registry.seal(_service_key(call), 1, document, _CONTEXT))


def restore_key(call: Call, request: pb.RestoreKeyRequest) -> pb.KeyBundle:
    """Bring a key back under its old name, with the key versions that it had; the name must be free."""
    try:
        document = json.loads(call.registry.open(_service_key(call), 1, request.value, _CONTEXT))
    except CiphertextError:
        raise bad_parameter("The key backup is not one of this service, or was changed.") from None
    saved = decode_key(document["key"])
    given = names.given_name(saved)
    found = find_any(call, request.vault, given)
    if found is not None:
        raise name_deleted(given) if found.delete_at_ns is not None else name_taken(given)
    name = names.key_name(request.vault, given)
    key = replace(saved, uid=call.registry.new_uid(), name=name, updated_ns=call.now_ns)
    materials = {
        int(number): Material(key.kind, base64.b64decode(text)) for number, text in document["materials"].items()
    }
    call.registry.put(key, materials)
    return answer(call, key, key.versions[-1])


def _service_key(call: Call) -> Key:
    try:
        return call.registry.key(SERVICE_REALM, BACKUP_KEY)
    except KeyMissingError:
        empty = call.registry.create(SERVICE_REALM, BACKUP_KEY, KeyKind.AES_256, call.now_ns)
        return call.registry.add_version(empty, call.registry.new_aes(), call.now_ns)
