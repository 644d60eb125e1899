"""What an alert can be about: names of the Atlas API, the event that closes each, and its words."""

from dataclasses import dataclass

PROVIDERS = ("AWS", "AZURE", "GCP")

NETWORK_ACCESS_DENIED = "ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_DENIED"
CONFIG_NO_LONGER_VALID = "ENCRYPTION_AT_REST_CONFIG_NO_LONGER_VALID"


def needs_rotation(provider: str) -> str:
    """Return the type of the alert that the key of a provider should be changed."""
    return f"{provider}_ENCRYPTION_KEY_NEEDS_ROTATION"


def key_invalid(provider: str) -> str:
    """Return the type of the alert that the key of a provider cannot be used."""
    return f"{provider}_ENCRYPTION_KEY_INVALID"


@dataclass(frozen=True)
class AlertType:
    """A type of alert.

    Attributes:
        closed_by: type of the event with which it closes.
        text: what it says; `{}` stands for the threshold in days, where it has one.
        has_threshold: whether it opens above a number of days.
        by_mail: whether owners are told by mail unless they want it otherwise. Where clusters are stopped they get a
            mail about that, and need no second one.
    """

    name: str
    closed_by: str
    text: str
    has_threshold: bool = False
    by_mail: bool = True


def _of(provider: str) -> list[AlertType]:
    elapsed = f"{provider} encryption key elapsed time since last rotation is above {{}} days"
    invalid = f"{provider} encryption key is invalid"
    return [
        AlertType(needs_rotation(provider), f"{provider}_ENCRYPTION_KEY_ROTATED", elapsed, has_threshold=True),
        AlertType(key_invalid(provider), f"{provider}_ENCRYPTION_KEY_VALID", invalid, by_mail=False),
    ]


ALERT_TYPES = {
    kind.name: kind
    for kind in (
        *(kind for provider in PROVIDERS for kind in _of(provider)),
        AlertType(
            NETWORK_ACCESS_DENIED,
            "ENCRYPTION_AT_REST_KMS_NETWORK_ACCESS_RESTORED",
            "The key management service cannot be reached from the control plane",
        ),
        AlertType(
            CONFIG_NO_LONGER_VALID,
            "ENCRYPTION_AT_REST_CONFIG_IS_VALID",
            "The encryption at rest configuration is no longer valid",
            by_mail=False,
        ),
    )
}
"""All types, by name."""
