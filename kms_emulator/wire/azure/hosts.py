"""Which vault a host name or address means.

``NAME.vault.localhost`` and ``NAME.vault.azure.net`` are the vault NAME, and so is any other host name whose first
label is one that a vault can have. Addresses are vaults too: 127.0.0.1 and `localhost` are ``local-vault``, 127.0.0.2
is ``local-vault-2`` and so on. 127.0.0.8 is ``local-hsm``, a managed HSM, and so is ``NAME.managedhsm.localhost``,
named NAME, or NAME-hsm if NAME does not end so. A port that was given to a vault is that vault, whatever the host. All
of them are also reached by those names over gRPC.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from kms_emulator.core import Core
from kms_emulator.wire.azure import names
from kms_emulator.wire.http.message import HttpRequest

VAULT_DEFAULT = "local-vault"
HSM_DEFAULT, HSM_ADDRESS = "local-hsm", "127.0.0.8"
RESOURCE_DEFAULT = "https://vault.azure.net"


@dataclass(frozen=True, slots=True)
class Host:
    """The Host header of a request: a name or an address, perhaps with a port; and the vaults that have a port."""

    text: str
    ports: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the host without its port, in lower case."""
        if self.text.startswith("["):
            return self.text[1:].partition("]")[0].lower()
        return self.text.partition(":")[0].lower()

    @property
    def url(self) -> str:
        """Return the base of this vault's URLs."""
        return f"https://{self.text}"

    @property
    def vault(self) -> str:
        """Return the vault's name."""
        by_port = self.ports.get(self.text.rpartition(":")[2]) if self.ports else None
        if by_port is not None:
            return by_port
        name = self.name
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            label, _, rest = name.partition(".")
            if rest.partition(".")[0] == "managedhsm" and not names.holds_aes(label):
                label = f"{label}-hsm"
            return label if label != "localhost" and names.VAULT_PATTERN.fullmatch(label) else VAULT_DEFAULT
        if name == HSM_ADDRESS:
            return HSM_DEFAULT
        number = int(address) - int(ipaddress.IPv4Address("127.0.0.0"))
        return f"{VAULT_DEFAULT}-{number}" if address.is_loopback and 1 < number < 1 << 24 else VAULT_DEFAULT

    @property
    def resource(self) -> str:
        """Return what a challenge must name: SDKs want the host's name to end with it, after a dot."""
        _, dot, rest = self.text.partition(".")
        return f"https://{rest.lower()}" if dot and rest and not self.text.startswith("[") else RESOURCE_DEFAULT


def host_of(core: Core, request: HttpRequest) -> Host:
    """Return the host that a request was sent to."""
    return Host(request.headers.get("host", ""), core.vault_ports)
