"""Users, credentials, sessions and grants survive a restart, and end where they must."""

from dataclasses import replace
from pathlib import Path

import pytest

from kms_emulator.core import Core
from kms_emulator.model.grants import Grant
from kms_emulator.model.identities import Credential, Identity, IdentityKind
from kms_emulator.model.keys import Key, KeyKind
from kms_emulator.storage.directory import DataDir

USER = Identity("arn:u", IdentityKind.USER, "111122223333", "AIDA", 5, {"inline": "{}"})
ROLE = replace(USER, name="arn:r", kind=IdentityKind.ROLE, trust="{}", session_max_s=7200)
ACCESS_KEY = Credential("AKIA1", "the secret", USER.name, USER.name, USER.account, 5)
SESSION = replace(ACCESS_KEY, id="ASIA1", identity=ROLE.name, principal="arn:s", token="t", expires_ns=9, policy="{}")
SECRETS = [None, b"a passphrase of some length"]


def add_key(core: Core) -> Key:
    empty = core.registry.create("aws", "us-east-1/key", KeyKind.AES_256, 1)
    return core.registry.add_version(empty, core.registry.new_material(KeyKind.AES_256), 1)


def grant_on(key: Key, number: int) -> Grant:
    return Grant(f"{number:064x}", key.uid, 7, "arn:u", ("Decrypt", "Encrypt"), "n", "arn:r", None, {"a": "1"})


@pytest.mark.parametrize("secret", SECRETS)
def test_all_of_it_survives_a_restart(tmp_path: Path, secret: bytes | None) -> None:
    with DataDir(tmp_path, secret) as opened:
        core = Core(opened.store)
        for identity in (USER, ROLE):
            core.identities.put(identity)
        for credential in (ACCESS_KEY, SESSION):
            core.identities.issue(credential)
        core.identities.revoke(ACCESS_KEY)
        key = add_key(core)
        kept, ended = grant_on(key, 1), grant_on(key, 2)
        core.registry.grants.put(kept)
        core.registry.grants.put(ended)
        core.registry.grants.remove(ended)
    with DataDir(tmp_path, secret) as opened:
        core = Core(opened.store)
        assert core.identities.all() == [ROLE, USER]
        assert core.identities.credential("AKIA1") == replace(ACCESS_KEY, active=False)
        assert core.identities.credential("ASIA1") == SESSION
        assert core.registry.grants.of_key(key.uid) == [kept]


def test_grants_are_removed_with_their_key(tmp_path: Path) -> None:
    with DataDir(tmp_path) as opened:
        core = Core(opened.store)
        key = add_key(core)
        core.registry.grants.put(grant_on(key, 1))
        core.registry.remove(key)
        assert core.registry.grants.of_key(key.uid) == []
        assert opened.store.load().grants == []


def test_removed_identity_leaves_its_credentials_known_and_refused(tmp_path: Path) -> None:
    with DataDir(tmp_path) as opened:
        core = Core(opened.store)
        core.identities.put(USER)
        core.identities.issue(ACCESS_KEY)
        core.identities.remove(USER.name)
        state = opened.store.load()
        assert (state.identities, state.credentials) == ([], [replace(ACCESS_KEY, active=False)])


def test_reset_forgets_everybody(tmp_path: Path) -> None:
    with DataDir(tmp_path) as opened:
        core = Core(opened.store)
        core.identities.put(USER)
        core.identities.issue(SESSION)
        core.registry.grants.put(grant_on(add_key(core), 1))
        core.reset()
        state = opened.store.load()
        assert (state.identities, state.credentials, state.grants) == ([], [], [])
        assert core.identities.credential(SESSION.id) is None


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_in_the_clear_only_without_a_key(tmp_path: Path, secret: bytes | None) -> None:
    with DataDir(tmp_path, secret) as opened:
        Core(opened.store).identities.issue(ACCESS_KEY)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (ACCESS_KEY.secret.encode() in written) is (secret is None)
    assert ACCESS_KEY.secret not in repr(ACCESS_KEY)
