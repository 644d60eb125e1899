"""Fixtures: those of AWS's own wire."""

from tests.emulator.aws_http.conftest import kms as kms
from tests.emulator.aws_http.conftest import raw_kms as raw_kms
from tests.emulator.aws_http.conftest import running as running
