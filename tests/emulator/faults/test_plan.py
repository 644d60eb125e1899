"""Which calls meet which faults: scopes, schedules, windows, several at once; and rules that make no sense."""

from typing import Any

import pytest

from kms_emulator.model.faults import FAULTS_MAX, NOTHING, Facts, Fault, FaultKind, FaultPlan, Scope, Verdict

KEY = "arn:aws:kms:us-east-1:111122223333:key/1234"
ALIAS = "arn:aws:kms:us-east-1:111122223333:alias/app"
ALICE = ("arn:aws:iam::111122223333:user/alice", "AKIAALICE")


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "provider": "aws",
        "operation": "Encrypt",
        "now_ns": 100,
        "keys": lambda: (KEY, ALIAS),
        "callers": ALICE,
        "address": "127.0.0.1",
    }
    return Facts(**known | changed)


def plan_of(*faults: Fault) -> FaultPlan:
    plan = FaultPlan()
    for fault in faults:
        plan.add(fault)
    return plan


def meets(plan: FaultPlan, calls: int, **changed: Any) -> list[int]:
    """Return the numbers of the calls, from 1, that meet a fault."""
    return [number for number in range(1, calls + 1) if plan.decide(facts(**changed)).fault]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"first": 3}, [3, 4, 5, 6, 7, 8]),
        ({"first": 3, "count": 1}, [3]),
        ({"first": 3, "count": 2}, [3, 4]),
        ({"every": 2}, [1, 3, 5, 7]),
        ({"first": 2, "every": 3, "count": 2}, [2, 5]),
    ],
)
def test_schedule(schedule: dict[str, int], expected: list[int]) -> None:
    plan = plan_of(Fault(FaultKind.CLOSE, **schedule))  # type: ignore[arg-type]
    assert meets(plan, 8) == expected
    [planned] = plan.planned()
    assert (planned.seen, planned.met) == (8, len(expected))
    assert planned.spent is bool(schedule.get("count"))


@pytest.mark.parametrize(
    ("scope", "taken"),
    [
        (Scope(), True),
        (Scope(provider="aws", operation="Encrypt", key="1234", caller="user/alice", from_ns=100, until_ns=101), True),
        (Scope(provider="gcp"), False),
        (Scope(operation="Decrypt"), False),
        (Scope(key=KEY), True),
        (Scope(key="alias/app"), True),
        (Scope(key="app"), True),
        (Scope(key="pp"), False),
        (Scope(key="234"), False),
        (Scope(caller="alice"), True),
        (Scope(caller="AKIAALICE"), True),
        (Scope(caller="lice"), False),
        (Scope(from_ns=101), False),
        (Scope(until_ns=100), False),
    ],
)
def test_scope(scope: Scope, taken: bool) -> None:
    plan = plan_of(Fault(FaultKind.CLOSE, scope))
    assert meets(plan, 1) == [1] * taken
    assert plan.planned()[0].seen == taken


def test_only_calls_in_the_scope_are_counted() -> None:
    plan = plan_of(Fault(FaultKind.THROTTLE, Scope(operation="Decrypt"), first=2, count=1))
    outcomes = [bool(plan.decide(facts(operation=name)).fault) for name in ("Decrypt", "Encrypt", "Decrypt", "Decrypt")]
    assert outcomes == [False, False, True, False]


def test_delays_add_up_and_the_oldest_fault_decides() -> None:
    plan = plan_of(
        Fault(FaultKind.LATENCY, delay_ns=5),
        Fault(FaultKind.THROTTLE, first=2),
        Fault(FaultKind.LATENCY, delay_ns=7),
        Fault(FaultKind.CLOSE),
    )
    first, second = plan.decide(facts()), plan.decide(facts())
    assert (first.delay_ns, first.fault and first.fault.number) == (12, 4)
    assert (second.delay_ns, second.fault and second.fault.number) == (12, 2)
    assert [(planned.seen, planned.met) for planned in plan.planned()] == [(2, 2), (2, 1), (2, 2), (2, 1)]


def test_a_fault_behind_another_keeps_its_count() -> None:
    plan = plan_of(Fault(FaultKind.THROTTLE, count=2), Fault(FaultKind.CLOSE, count=2))
    met = [plan.decide(facts()).fault for _ in range(5)]
    assert [fault and fault.number for fault in met] == [1, 1, 2, 2, None]
    assert [(planned.seen, planned.met) for planned in plan.planned()] == [(5, 2), (5, 2)]


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("::ffff:10.1.2.3", False),
        ("11.0.0.1", True),
        ("::1", True),
        ("", True),
    ],
)
def test_address_list(address: str, refused: bool) -> None:
    plan = plan_of(Fault(FaultKind.ADDRESSES, networks=("127.0.0.1", "10.0.0.0/8")))
    assert meets(plan, 1, address=address) == [1] * refused


def test_keys_are_asked_for_only_if_a_fault_is_for_a_key() -> None:
    def never() -> tuple[str, ...]:
        raise AssertionError

    assert meets(plan_of(Fault(FaultKind.CLOSE)), 1, keys=never) == [1]
    assert meets(plan_of(Fault(FaultKind.CLOSE, Scope(operation="Sign", key="1234"))), 1, keys=never) == []


def test_removed_and_cleared_faults_meet_nothing() -> None:
    plan = plan_of(Fault(FaultKind.CLOSE), Fault(FaultKind.HANG))
    assert plan.remove(1) is True
    assert plan.remove(1) is False
    assert len(plan) == 1
    verdict = plan.decide(facts())
    assert verdict == Verdict(0, plan.planned()[0].fault)
    released: list[int] = []
    plan.when_removed(2, lambda: released.append(2))
    plan.when_removed(1, lambda: released.append(1))
    assert released == [1]
    plan.clear()
    assert released == [1, 2]
    assert plan.decide(facts()) is NOTHING
    assert plan.add(Fault(FaultKind.CLOSE)).number == 1


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(FaultKind.CLOSE, Scope(provider="oracle")), "provider must be aws, azure, gcp"),
        (Fault(FaultKind.CLOSE, first=0), "1 or more"),
        (Fault(FaultKind.CLOSE, every=0), "1 or more"),
        (Fault(FaultKind.CLOSE, count=-1), "count"),
        (Fault(FaultKind.THROTTLE, retry_after_s=-1), "retry_after"),
        (Fault(FaultKind.CLOSE, Scope(from_ns=5, until_ns=5)), "end after it begins"),
        (Fault(FaultKind.LATENCY), "needs a delay"),
        (Fault(FaultKind.LATENCY, delay_ns=-1), "0 to 600 seconds"),
        (Fault(FaultKind.LATENCY, delay_ns=601 * 10**9), "0 to 600 seconds"),
        (Fault(FaultKind.CLOSE, delay_ns=5), "only for faults of kind latency"),
        (Fault(FaultKind.ERROR), "needs the cloud's error code"),
        (Fault(FaultKind.THROTTLE, code="X"), "only for faults of kind error"),
        (Fault(FaultKind.ADDRESSES), "needs the networks"),
        (Fault(FaultKind.ADDRESSES, networks=("nowhere",)), "nowhere"),
    ],
)
def test_nonsense_is_refused(fault: Fault, text: str) -> None:
    plan = FaultPlan()
    with pytest.raises(ValueError, match=text):
        plan.add(fault)
    assert len(plan) == 0


def test_faults_are_bounded() -> None:
    plan = plan_of(*[Fault(FaultKind.CLOSE)] * FAULTS_MAX)
    with pytest.raises(ValueError, match="remove some"):
        plan.add(Fault(FaultKind.CLOSE))
