"""What a deployment may be, over every tier, provider and type of backup, and every change of them."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import product

import pytest

from keystore.errors import ApiError
from keystore.projects.shapes import (
    CLOUDS,
    DEDICATED_TIERS,
    FIELDS,
    KEY_PROVIDERS,
    SHARED_TIERS,
    TIERS,
    Shape,
    changed,
    difference,
    require_change,
    require_name,
    require_sound,
)

SHAPE = Shape("AWS", "US_EAST_1", "M10")
ENCRYPTED = replace(SHAPE, provider="AWS")
PROVIDERS = KEY_PROVIDERS[1:]


def refused(rule: Callable[..., object], *arguments: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        rule(*arguments)
    assert caught.value.status in (400, 409)
    return caught.value


def code(rule: Callable[..., object], *arguments: object) -> str | None:
    """Return the error code of a refusal, or None."""
    try:
        rule(*arguments)
    except ApiError as error:
        return error.code
    return None


@pytest.mark.row("R1", "R2", "R3")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_customer_keys_need_a_dedicated_tier(provider: str) -> None:
    for tier in TIERS:
        wanted = replace(SHAPE, tier=tier, provider=provider)
        expected = "CANNOT_USE_ENCRYPTION_AT_REST_TENANT" if tier in SHARED_TIERS else None
        assert code(require_sound, wanted) == expected
        assert code(require_sound, replace(SHAPE, tier=tier)) is None
        assert code(require_change, replace(SHAPE, tier=tier), wanted) == expected
        encrypted = replace(SHAPE, provider=provider)
        assert code(require_change, encrypted, replace(encrypted, tier=tier)) == expected
    assert set(SHARED_TIERS) == {"M0", "M2", "M5", "SERVERLESS"}
    assert DEDICATED_TIERS[0] == "M10"


@pytest.mark.row("R13")
def test_keys_may_be_at_any_cloud_whatever_the_clusters_own() -> None:
    for cloud, provider in product(CLOUDS, PROVIDERS):
        require_sound(replace(SHAPE, cloud=cloud, provider=provider))
    assert len(list(product(CLOUDS, PROVIDERS))) == 9


@pytest.mark.row("R98", "R100")
def test_legacy_backups_and_customer_keys_exclude_each_other_in_both_orders() -> None:
    legacy = changed(SHAPE, {"backup_enabled": True, "backup_type": "LEGACY"})
    require_sound(legacy)
    for provider in PROVIDERS:
        for before, change in (
            (legacy, {"provider": provider}),
            (replace(SHAPE, provider=provider), {"backup_enabled": True, "backup_type": "LEGACY"}),
        ):
            error = refused(require_change, before, changed(before, change))
            assert error.code == "CANNOT_USE_ENCRYPTION_AT_REST_BACKUP_TYPE"
        on = changed(replace(SHAPE, provider=provider), {"backup_enabled": True})
        require_sound(on)
        assert on.backup_type == "CLOUD"
    error = refused(require_change, on, changed(on, {"backup_type": "LEGACY", "provider": "NONE"}))
    assert error.code == "CANNOT_SWITCH_CPS_BACKUP_TO_CONTINUOUS"


def test_point_in_time_needs_cloud_backups() -> None:
    assert code(require_sound, changed(SHAPE, {"pit_enabled": True})) == "INVALID_ATTRIBUTE"
    on = changed(SHAPE, {"backup_enabled": True, "pit_enabled": True})
    require_sound(on)
    off = changed(on, {"backup_enabled": False})
    assert (off.backup_type, off.pit_enabled) == ("NONE", False)


@pytest.mark.row("R23")
def test_keys_go_on_and_off_and_never_from_one_provider_to_another() -> None:
    for before, after in product(KEY_PROVIDERS, KEY_PROVIDERS):
        found = code(require_change, replace(SHAPE, provider=before), replace(SHAPE, provider=after))
        is_other = before != after and "NONE" not in (before, after)
        assert found == ("CANNOT_CHANGE_ENCRYPTION_AT_REST_PROVIDER" if is_other else None)
    moved = refused(require_change, ENCRYPTED, replace(ENCRYPTED, provider="GCP"))
    assert (moved.status, moved.field) == (409, "encryptionAtRestProvider")


WRONG = [
    ({"cloud": "IBM"}, "INVALID_ATTRIBUTE", "providerName"),
    ({"region": "us-east-1"}, "INVALID_ATTRIBUTE", "regionName"),
    ({"tier": "M11"}, "INVALID_ATTRIBUTE", "instanceSize"),
    ({"disk_gb": 9}, "INVALID_ATTRIBUTE", "diskSizeGB"),
    ({"disk_gb": 4097}, "INVALID_ATTRIBUTE", "diskSizeGB"),
    ({"version": "7.0"}, "INVALID_ATTRIBUTE", "mongoDBVersion"),
    ({"size": 0}, "INVALID_ATTRIBUTE", "nodeCount"),
    ({"size": 51}, "INVALID_ATTRIBUTE", "nodeCount"),
    ({"provider": "HASHICORP"}, "INVALID_ENCRYPTION_AT_REST_PROVIDER", "encryptionAtRestProvider"),
    ({"backup_enabled": True, "backup_type": "TAPE"}, "INVALID_ATTRIBUTE", "backupType"),
]


@pytest.mark.row("R11")
@pytest.mark.parametrize(("values", "expected", "field"), WRONG)
def test_what_no_deployment_can_be_is_refused_by_field(values: dict[str, object], expected: str, field: str) -> None:
    error = refused(require_sound, replace(SHAPE, **values))  # type: ignore[arg-type]
    assert (error.status, error.code, error.field) == (400, expected, field)


def test_place_and_age_of_a_deployment_do_not_go_back() -> None:
    for values, expected in (
        ({"cloud": "GCP"}, "INVALID_ATTRIBUTE"),
        ({"region": "US_WEST_1"}, "INVALID_ATTRIBUTE"),
        ({"version": "6.0.9"}, "INVALID_ATTRIBUTE"),
        ({"version": "7.0.10"}, None),
    ):
        assert code(require_change, SHAPE, changed(SHAPE, values)) == expected


def test_the_difference_has_the_names_of_the_api_and_is_what_a_change_leads_to() -> None:
    after = changed(SHAPE, {"tier": "M30", "provider": "AZURE"})
    assert difference(SHAPE, after) == {
        "instanceSize": ("M10", "M30"),
        "encryptionAtRestProvider": ("NONE", "AZURE"),
    }
    assert difference(SHAPE, changed(SHAPE, {})) == {}
    assert set(FIELDS) == set(asdict(SHAPE))


@pytest.mark.parametrize("name", ["", "-a", "a-", "a" * 65, "a b", "ä", "a/b", "a.b"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    assert refused(require_name, name).field == "name"
    require_name("Orders-1")
    require_name("a" * 64)
