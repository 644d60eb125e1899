"""What this machine and installation are like: what a bug report or a benchmark needs, and what is missing."""

import os
import platform
import socket
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keystore.crypto.locked import MEMORY, MemoryStatus
from keystore.kms.endpoints import endpoint_of, is_url

LIBRARIES = (
    "cmk-keystore",
    "cmk-keystore-native",
    "cryptography",
    "pynacl",
    "grpcio",
    "protobuf",
    "numpy",
    "click",
    "rich-click",
    "boto3",
    "azure-identity",
    "azure-keyvault-keys",
    "google-cloud-kms",
    "obstore",
    "apsw",
    "fsspec",
)
SDKS = {
    "aws": ("AWS", "boto3"),
    "azure": ("Azure", "azure-keyvault-keys"),
    "gcp": ("Google", "google-cloud-kms"),
}
"""What a cloud is called, and the package that its keys need unless they are reached over an emulator's gRPC."""

CPU_FLAGS = ("aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx512f", "sha_ni", "pmull", "sha2")
"""The first six of x86, the last two (with `aes`) of ARM: what AES-GCM and SHA-256 are fast with."""

CONNECT_TIMEOUT_S = 2.0
PORTABLE = "pages are sealed by the portable kernel, which is slower; `make native` builds the native one"


def examine(kms_endpoint: str | None) -> dict[str, Any]:
    """Return the state of this installation; `problems` lists what should be changed, `notes` what may be known."""
    kernel_name, problem = _try_kernel()
    flags = _cpu_flags()
    problems = [problem] if problem else []
    notes = []
    memory = MEMORY.status()
    if memory.locked < memory.size:
        notes.append("memory for keys cannot be locked: keys may be swapped out; raise RLIMIT_MEMLOCK (ulimit -l)")
    if kernel_name == "portable":
        notes.append(PORTABLE)
    if "aes" not in flags:
        notes.append("the processor shows no AES instructions: sealing will be slow")
    places = {provider: endpoint_of(provider, kms_endpoint) for provider in SDKS}
    for provider, where in places.items():
        name, package = SDKS[provider]
        if (where is None or is_url(where)) and _version(package) is None:
            text = f"keys at {name} need {package}, which is not installed: pip install 'cmk-keystore[{provider}]'"
            (notes if where is None else problems).append(text)
    named = dict.fromkeys(where for where in places.values() if where is not None)
    problems += [f"nothing answers at the KMS endpoint {where}" for where in named if not _reachable(where)]
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cpu_flags": flags,
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "page_kernel": kernel_name,
        "key_memory": _describe_memory(memory),
        "temporary_files": file_system(Path(tempfile.gettempdir())),
        "openssl": _openssl(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        **{f"{provider}_keys": _way_to(provider, where) for provider, where in places.items()},
        "notes": notes,
        "problems": problems,
    }


def _try_kernel() -> tuple[str, str]:
    """Seal and open one page; return the kernel's name and what went wrong, if anything."""
    try:
        import numpy as np

        from keystore.crypto.kernel import KERNEL
        from keystore.crypto.secret import SecretKey

        page, sealed = os.urandom(4096), np.zeros(4096 + 16, np.uint8)
        nonces, aads, tags = np.zeros((1, 12), np.uint8), np.zeros((1, 40), np.uint8), np.zeros((1, 16), np.uint8)
        opened = np.zeros(4096 + 16, np.uint8)
        with SecretKey.generate() as key:
            KERNEL.seal_pages(key, page, 4096, nonces, aads, sealed, tags)
            KERNEL.open_pages(key, sealed[:4096], 4096, nonces, aads, tags, opened)
            KERNEL.forget(key)
        right = opened[:4096].tobytes() == page
        return KERNEL.name, "" if right else "the page kernel does not open what it sealed"
    except ImportError as error:
        return "none", f"the page kernel cannot be loaded: {error}"


def _describe_memory(status: MemoryStatus) -> str:
    swapped = "locked" if status.locked == status.size else "not locked"
    return f"{swapped}, {'in no core dump' if status.undumped == status.size else 'dumped'}"


def _cpu_info(*names: str) -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in names:
                return value.strip()
    except OSError:
        pass
    return ""


def _cpu_name() -> str:
    return _cpu_info("model name") or platform.processor() or "unknown"


def _cpu_flags() -> list[str]:
    present = set(_cpu_info("flags", "Features").split())
    return [flag for flag in CPU_FLAGS if flag in present]


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the file system that a path is on, such as ext4."""
    best, kind = "", "unknown"
    try:
        for line in mounts.read_text().splitlines():
            _, where, found, *_ = line.split()
            if path.is_relative_to(where) and len(where) >= len(best):
                best, kind = where, found
    except OSError:
        pass
    return kind


def _openssl() -> str:
    try:
        from cryptography.hazmat.backends.openssl import backend
    except ImportError:
        return "none"
    return backend.openssl_version_text()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _way_to(provider: str, endpoint: str | None) -> str:
    """Tell where a cloud's keys are looked for, and how."""
    name, package = SDKS[provider]
    missing = "" if _version(package) else ", which is not installed"
    if endpoint is None:
        return f"at {name} by {package}{missing or ', or where its own settings lead'}"
    return f"{endpoint}, {f'by {package}{missing}' if is_url(endpoint) else 'gRPC, no SDK'}"


def _reachable(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint if is_url(endpoint) else f"grpc://{endpoint}")
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        with socket.create_connection((parts.hostname or "", port), timeout=CONNECT_TIMEOUT_S):
            return True
    except (OSError, ValueError, KeyError):
        return False
