"""All targets, by name."""

from typing import Final

from tests.fuzz import emulator_targets, keystore_targets, log_targets
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (*keystore_targets.TARGETS, *log_targets.TARGETS, *emulator_targets.TARGETS)
}
