"""botocore's model of AWS KMS, and the program that takes its facts into the tree, loaded from where it lies."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


def _generator() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "proto" / "aws_kms_model.py"
    found = importlib.util.spec_from_file_location("aws_kms_model", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


aws_kms_model: Any = _generator()
FOUND: Mapping[str, Any] = aws_kms_model.facts(aws_kms_model.read_model())
"""What the installed botocore says."""
