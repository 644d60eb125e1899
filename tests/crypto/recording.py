"""Tells of the seals of commits that the kernel writes itself: they go through nothing else that a test can see."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keystore.crypto import kernel
from keystore.crypto.secret import SecretKey
from keystore.format.record import CHANGE


def record_commits(monkeypatch: pytest.MonkeyPatch, note: Callable[[SecretKey, bytes], object]) -> None:
    """Have `note` told key and nonce of every page and record that `CommitWriter` seals, where there is one."""
    write = kernel.KERNEL.write_commit
    if write is None:
        return

    def recording(fd: int, page_key: SecretKey, record_key: SecretKey, *rest: Any) -> tuple[bytes, bytes, int, int]:
        done = write(fd, page_key, record_key, *rest)
        for nonce in np.frombuffer(done[0], CHANGE)["entry"]["nonce"]:
            note(page_key, nonce.tobytes())
        *_, clear, _, _ = rest
        note(record_key, clear[112:124])
        return done

    monkeypatch.setattr(kernel.KERNEL, "write_commit", recording)
