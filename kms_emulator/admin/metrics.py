"""The counters in Prometheus' text form (exposition format 0.0.4)."""

from collections.abc import Iterable, Mapping

from kms_emulator.core import Core
from kms_emulator.model.faults import PROVIDERS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def metrics_text(core: Core) -> str:
    """Return all counters and gauges; they begin at zero when the process starts and at every reset."""
    calls = [
        ({"provider": provider, "operation": operation, "outcome": outcome}, count)
        for (provider, operation, outcome), count in sorted(core.calls.counts.items())
    ]
    families: tuple[tuple[str, str, str, list[tuple[dict[str, str], int]]], ...] = (
        ("kms_emulator_calls_total", "counter", "Calls, by how they ended.", calls),
        (
            "kms_emulator_calls_with_fault_total",
            "counter",
            "Calls that met a fault on command.",
            [({"provider": name}, core.calls.faults[name]) for name in PROVIDERS],
        ),
        ("kms_emulator_calls_dropped_total", "counter", "Calls the log no longer has.", [({}, core.calls.dropped)]),
        (
            "kms_emulator_keys",
            "gauge",
            "Keys, in any state.",
            [({"provider": name}, len(core.registry.keys(name))) for name in PROVIDERS],
        ),
        ("kms_emulator_faults", "gauge", "Faults that are planned.", [({}, len(core.faults))]),
        ("kms_emulator_clock_seconds", "gauge", "The virtual time.", [({}, core.now_ns() // 1_000_000_000)]),
    )
    return "".join(_family(*family) for family in families)


def _family(name: str, kind: str, about: str, samples: Iterable[tuple[Mapping[str, str], int]]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"
