"""Policies and conditions by themselves: what is understood, what is refused, and what each decides."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kms_emulator.model.conditions import epoch_s, parse_condition
from kms_emulator.model.policy import AccessRequest, Decision, PolicyError, PolicyKind, parse_policy

ALICE = "arn:aws:iam::111122223333:user/alice"
ROLE = "arn:aws:iam::111122223333:role/app"
ROOT = "arn:aws:iam::111122223333:root"
KEY = "arn:aws:kms:us-east-1:111122223333:key/0000"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": ALICE}, "Action": "kms:Decrypt", "Resource": "*"}


def decide(
    *statements: dict[str, Any], action: str = "kms:Decrypt", version: str = "2012-10-17", **values: str
) -> Decision:
    document = json.dumps({"Version": version, "Statement": list(statements)})
    given_values = {"aws:username": ("alice",), **{name: (value,) for name, value in values.items()}}
    request = AccessRequest(action, KEY, frozenset({ALICE}), frozenset({ROOT, "111122223333"}), given_values)
    return parse_policy(document, PolicyKind.RESOURCE).decide(request)


DECISIONS: list[tuple[str, list[dict[str, Any]], Decision]] = [
    ("nothing said", [{**ALLOW, "Action": "kms:Encrypt"}], Decision.SILENT),
    ("allowed", [ALLOW], Decision.ALLOWED),
    ("any action", [{**ALLOW, "Action": "*"}], Decision.ALLOWED),
    ("wildcard", [{**ALLOW, "Action": "kms:De*"}], Decision.ALLOWED),
    ("question mark", [{**ALLOW, "Action": "kms:Decryp?"}], Decision.ALLOWED),
    ("case of an action", [{**ALLOW, "Action": "KMS:decrypt"}], Decision.ALLOWED),
    ("one of several", [{**ALLOW, "Action": ["kms:Encrypt", "kms:Decrypt"]}], Decision.ALLOWED),
    ("everybody", [{**ALLOW, "Principal": "*"}], Decision.ALLOWED),
    ("everybody of AWS", [{**ALLOW, "Principal": {"AWS": "*"}}], Decision.ALLOWED),
    ("somebody else", [{**ALLOW, "Principal": {"AWS": ROLE}}], Decision.SILENT),
    ("a service", [{**ALLOW, "Principal": {"Service": "s3.amazonaws.com"}}], Decision.SILENT),
    ("the account", [{**ALLOW, "Principal": {"AWS": ROOT}}], Decision.DELEGATED),
    ("the account's number", [{**ALLOW, "Principal": {"AWS": "111122223333"}}], Decision.DELEGATED),
    ("deny wins", [ALLOW, {**ALLOW, "Effect": "Deny"}], Decision.DENIED),
    ("deny first", [{**ALLOW, "Effect": "Deny"}, ALLOW], Decision.DENIED),
    ("deny for the account", [ALLOW, {**ALLOW, "Effect": "Deny", "Principal": {"AWS": ROOT}}], Decision.DENIED),
    ("this key", [{**ALLOW, "Resource": KEY}], Decision.ALLOWED),
    ("keys like it", [{**ALLOW, "Resource": "arn:aws:kms:us-east-1:*:key/*"}], Decision.ALLOWED),
    ("another key", [{**ALLOW, "Resource": KEY + "1"}], Decision.SILENT),
    ("case of a resource", [{**ALLOW, "Resource": KEY.upper().replace("ARN", "arn")}], Decision.SILENT),
]


@pytest.mark.parametrize(("name", "statements", "expected"), DECISIONS, ids=lambda value: str(value))
def test_decisions(name: str, statements: list[dict[str, Any]], expected: Decision) -> None:
    assert decide(*statements) is expected


def test_not_action_not_resource_and_not_principal() -> None:
    base = {key: ALLOW[key] for key in ("Effect", "Resource", "Principal")}
    assert decide({**base, "NotAction": "kms:Decrypt"}) is Decision.SILENT
    assert decide({**base, "NotAction": "kms:Encrypt"}) is Decision.ALLOWED
    plain = {"Effect": "Allow", "Action": "kms:*"}
    assert decide({**plain, "Principal": "*", "NotResource": KEY}) is Decision.SILENT
    assert decide({**plain, "NotPrincipal": {"AWS": ALICE}, "Resource": "*"}) is Decision.SILENT
    assert decide({**plain, "NotPrincipal": {"AWS": ROLE}, "Resource": "*"}) is Decision.ALLOWED


def test_variables_stand_for_values_in_the_newer_version_only() -> None:
    named = {**ALLOW, "Resource": "arn:aws:kms:*:*:key/${aws:username}"}
    wanted = {**ALLOW, "Condition": {"StringEquals": {"kms:x": "${aws:username}"}}}
    assert decide(named) is Decision.SILENT
    assert decide(wanted, **{"kms:x": "alice"}) is Decision.ALLOWED
    assert decide(wanted, version="2008-10-17", **{"kms:x": "alice"}) is Decision.SILENT
    assert decide(wanted, version="2008-10-17", **{"kms:x": "${aws:username}"}) is Decision.ALLOWED
    unknown = {**ALLOW, "Condition": {"StringEquals": {"kms:x": "${aws:nobody}"}}}
    assert decide(unknown, **{"kms:x": "${aws:nobody}"}) is Decision.SILENT
    default = {**ALLOW, "Condition": {"StringEquals": {"kms:x": "${aws:nobody, 'someone'}"}}}
    assert decide(default, **{"kms:x": "someone"}) is Decision.ALLOWED


# operator, what the policy wants, the request's values, what holds
CONDITIONS: list[tuple[str, tuple[str, ...], tuple[str, ...], bool]] = [
    ("StringEquals", ("a",), ("a",), True),
    ("StringEquals", ("a",), ("A",), False),
    ("StringEquals", ("a", "b"), ("b",), True),
    ("StringEquals", ("a",), (), False),
    ("StringEqualsIfExists", ("a",), (), True),
    ("StringEqualsIfExists", ("a",), ("b",), False),
    ("StringEqualsIgnoreCase", ("a",), ("A",), True),
    ("StringNotEquals", ("a", "b"), ("c",), True),
    ("StringNotEquals", ("a", "b"), ("b",), False),
    ("StringNotEquals", ("a",), (), True),
    ("StringLike", ("a*z",), ("abcz",), True),
    ("StringLike", ("a?z",), ("abcz",), False),
    ("StringNotLike", ("a*",), ("abc",), False),
    ("NumericEquals", ("7",), ("7.0",), True),
    ("NumericLessThan", ("7",), ("6",), True),
    ("NumericLessThan", ("7",), ("7",), False),
    ("NumericLessThanEquals", ("7",), ("7",), True),
    ("NumericGreaterThan", ("7",), ("10",), True),
    ("NumericGreaterThanEquals", ("7",), ("six",), False),
    ("NumericNotEquals", ("7",), ("8",), True),
    ("DateGreaterThan", ("2026-01-01T00:00:00Z",), ("2026-06-01T00:00:00Z",), True),
    ("DateLessThan", ("2026-01-01",), ("2026-06-01T00:00:00Z",), False),
    ("DateEquals", ("1767225600",), ("2026-01-01T00:00:00Z",), True),
    ("DateEquals", ("2026-01-01T02:00:00+02:00",), ("2026-01-01T00:00:00Z",), True),
    ("Bool", ("true",), ("True",), True),
    ("Bool", ("false",), ("true",), False),
    ("BinaryEquals", ("AQI=",), ("AQI=",), True),
    ("IpAddress", ("10.0.0.0/8",), ("10.1.2.3",), True),
    ("IpAddress", ("10.0.0.1",), ("10.0.0.1",), True),
    ("IpAddress", ("2001:db8::/32",), ("2001:db8::1",), True),
    ("IpAddress", ("10.0.0.0/8",), ("2001:db8::1",), False),
    ("NotIpAddress", ("10.0.0.0/8",), ("11.1.2.3",), True),
    ("ArnLike", ("arn:aws:iam::*:role/a*",), ("arn:aws:iam::1:role/abc",), True),
    ("ArnLike", ("arn:*",), ("arn:aws:iam::1:role/abc",), False),
    ("ArnEquals", ("arn:aws:iam::1:role/a*",), ("arn:aws:iam::1:role/abc",), True),
    ("ArnNotLike", ("arn:aws:iam::*:role/b*",), ("arn:aws:iam::1:role/abc",), True),
    ("Null", ("true",), (), True),
    ("Null", ("true",), ("a",), False),
    ("Null", ("false",), ("a",), True),
    ("ForAllValues:StringEquals", ("a", "b"), ("a", "b"), True),
    ("ForAllValues:StringEquals", ("a", "b"), ("a", "c"), False),
    ("ForAllValues:StringEquals", ("a",), (), True),
    ("ForAnyValue:StringEquals", ("a",), ("b", "a"), True),
    ("ForAnyValue:StringEquals", ("a",), (), False),
    ("ForAnyValue:StringNotEquals", ("a",), ("a", "b"), True),
    ("ForAnyValue:StringNotEquals", ("a",), (), False),
    ("ForAllValues:StringNotEquals", ("a",), ("b", "a"), False),
]


@pytest.mark.parametrize(("operator", "wanted", "present", "expected"), CONDITIONS)
def test_conditions(operator: str, wanted: tuple[str, ...], present: tuple[str, ...], expected: bool) -> None:
    condition = parse_condition(operator, "kms:X", wanted, variables=True)
    assert condition.holds({"kms:x": present} if present else {}) is expected


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = {**ALLOW, "Condition": {"StringEquals": {"kms:a": "1"}, "Bool": {"kms:b": True}}}
    assert decide(both, **{"kms:a": "1", "kms:b": "true"}) is Decision.ALLOWED
    assert decide(both, **{"kms:a": "1", "kms:b": "false"}) is Decision.SILENT
    assert decide(both, **{"kms:b": "true"}) is Decision.SILENT


MALFORMED = [
    ("{", "not valid JSON"),
    ("[]", "not a JSON object"),
    ('{"Statement":[]}', "one statement or more"),
    ('{"Statement":[1]}', "one statement or more"),
    ('{"Statement":{},"Statement":{}}', "given twice"),
    ('{"Statement":{},"Author":"me"}', "no element Author"),
    (json.dumps({"Version": "2020-01-01", "Statement": ALLOW}), "Version must be"),
    (json.dumps({"Statement": {**ALLOW, "Effect": "Maybe"}}), "Effect must be"),
    (json.dumps({"Statement": {**ALLOW, "NotAction": "kms:Encrypt"}}), "either Action or NotAction"),
    (json.dumps({"Statement": {**ALLOW, "Action": "Decrypt"}}), "Action holds"),
    (json.dumps({"Statement": {**ALLOW, "Action": []}}), "Action holds"),
    (json.dumps({"Statement": {**ALLOW, "Resource": "key"}}), "Resource holds"),
    (json.dumps({"Statement": {**ALLOW, "Principal": {"Human": "me"}}}), "no principal of the kind"),
    (json.dumps({"Statement": {**ALLOW, "Principal": []}}), "Principal must be"),
    (json.dumps({"Statement": {key: ALLOW[key] for key in ("Effect", "Action", "Resource")}}), "either Principal"),
    (json.dumps({"Statement": {key: ALLOW[key] for key in ("Effect", "Action", "Principal")}}), "either Resource"),
    (json.dumps({"Statement": {**ALLOW, "Condition": {"StringIs": {"a": "b"}}}}), "no condition operator StringIs"),
    (json.dumps({"Statement": {**ALLOW, "Condition": {"IpAddress": {"a": "home"}}}}), "cannot compare"),
    (json.dumps({"Statement": {**ALLOW, "Condition": {"ForSome:StringLike": {"a": "b"}}}}), "no condition operator"),
    (json.dumps({"Statement": {**ALLOW, "Condition": "always"}}), "Condition must be"),
    (json.dumps({"Statement": {**ALLOW, "Sid": 1}}), "Sid must be"),
    (json.dumps({"Statement": [{**ALLOW, "Sid": "a"}, {**ALLOW, "Sid": "a"}]}), "same Sid"),
]


@pytest.mark.parametrize(("text", "expected"), MALFORMED)
def test_malformed_is_refused_and_says_why(text: str, expected: str) -> None:
    with pytest.raises(PolicyError, match=expected):
        parse_policy(text, PolicyKind.RESOURCE)


def test_each_kind_has_its_elements() -> None:
    document = json.dumps({"Statement": ALLOW})
    with pytest.raises(PolicyError, match="no Principal"):
        parse_policy(document, PolicyKind.IDENTITY)
    with pytest.raises(PolicyError, match="no Resource"):
        parse_policy(document, PolicyKind.TRUST)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Statement", "Effect", "Action", "Principal", "Resource", "Condition"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_document_breaks_it(value: object) -> None:
    with pytest.raises(PolicyError):
        parse_policy(json.dumps(value), PolicyKind.RESOURCE)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(text, PolicyKind.RESOURCE)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(PolicyError, match="not valid JSON"):
        parse_policy("[" * 100_000, PolicyKind.RESOURCE)


@pytest.mark.parametrize("text", ["", "2026", "yesterday", "2026-1-1"])
def test_what_is_no_date_is_none_or_a_number(text: str) -> None:
    assert epoch_s(text) == (2026.0 if text == "2026" else None)
