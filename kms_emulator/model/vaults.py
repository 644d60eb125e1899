"""Vaults: what holds for all keys of one place. A vault that nobody described has the defaults."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

SETTING_PREFIX = "azure/vault/"
RETENTION_DAYS_DEFAULT = 90
TENANT_DEFAULT = "72f7c1de-0000-4000-8000-000000000001"
SUBSCRIPTION_DEFAULT = "5b5c7a52-0000-4000-8000-000000000002"
GROUP_DEFAULT = "local-group"


@dataclass(frozen=True, slots=True)
class Vault:
    """One vault.

    Attributes:
        retention_days: how long deleted keys can be recovered.
        purge_protection: whether they cannot be purged before.
        networks: from where it may be asked, such as ``10.0.0.0/8``; None: from everywhere.
        access: permissions by application; they hold for applications that are known.
        by_roles: whether roles decide about keys, and not `access`.
        roles: names of roles by application.
    """

    name: str
    tenant: str = TENANT_DEFAULT
    subscription: str = SUBSCRIPTION_DEFAULT
    resource_group: str = GROUP_DEFAULT
    retention_days: int = RETENTION_DAYS_DEFAULT
    purge_protection: bool = False
    networks: tuple[str, ...] | None = None
    access: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_roles: bool = False
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SettingStore(Protocol):
    """What vaults need of a store; see `store.Store`."""

    def put_setting(self, name: str, value: str) -> None:
        """Write a setting."""


class Vaults:
    """All vaults that were described, over the store, which has a change before memory has it."""

    def __init__(self, store: SettingStore, settings: Mapping[str, str]) -> None:
        self._store = store
        found = (_decode(text) for name, text in settings.items() if name.startswith(SETTING_PREFIX))
        self._vaults = {vault.name: vault for vault in found}

    def get(self, name: str) -> Vault:
        """Return the vault of that name."""
        return self._vaults.get(name) or Vault(name)

    def all(self) -> Iterable[Vault]:
        """Return the vaults that were described, by name."""
        return sorted(self._vaults.values(), key=lambda vault: vault.name)

    def put(self, vault: Vault) -> Vault:
        """Store a vault, new or changed; return it."""
        self._store.put_setting(SETTING_PREFIX + vault.name, json.dumps(asdict(vault), sort_keys=True))
        self._vaults[vault.name] = vault
        return vault

    def clear(self) -> None:
        """Drop everything, after the store did."""
        self._vaults.clear()


def _decode(text: str) -> Vault:
    document = json.loads(text)
    networks = document["networks"]
    return Vault(
        **document
        | {
            "networks": None if networks is None else tuple(networks),
            "access": {name: tuple(granted) for name, granted in document["access"].items()},
            "roles": {name: tuple(held) for name, held in document.get("roles", {}).items()},
        }
    )
