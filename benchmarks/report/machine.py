"""What the figures depend on: the processor, the system, the libraries, the commit. Never the machine's name."""

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from keystore.cli.doctor import examine

FLAGS = ("aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx512f", "sha_ni")
PACKAGES = ("cmk-keystore", "cmk-keystore-native", "cryptography", "numpy", "pynacl", "grpcio", "uvicorn", "uvloop")
ROOT = Path(__file__).parents[2]
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe() -> dict[str, Any]:
    """Return all of it, for JSON."""
    found = examine(None)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "cpu": found["cpu"],
        "cpu_flags": [flag for flag in FLAGS if flag in found["cpu_flags"]],
        "cpus": found["cpus"],
        **_topology(),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.exists() else "not readable",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": found["system"],
        "file_system": found["temporary_files"],
        "python": platform.python_version(),
        "openssl": found["openssl"],
        "page_kernel": found["page_kernel"],
        "libraries": {name: _version(name) for name in PACKAGES},
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def slug(machine: dict[str, Any]) -> str:
    """Return the name of the directory of a report: date and processor."""
    words = "".join(each if each.isalnum() else " " for each in machine["cpu"].lower()).split()
    return "-".join([machine["date"], *words[:5]])


def commit() -> str:
    """Return the commit that is measured, and whether something differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    found = git("rev-parse", "--short=10", "HEAD")
    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", "keystore", "native", "kms_emulator", "benchmarks/*.py"
    )
    return f"{found} with changes" if found and changed else found or "unknown"


def _topology() -> dict[str, Any]:
    """Return what the system says of cores and of a hypervisor; a virtual machine may be told wrongly."""
    try:
        told = subprocess.run(
            ["lscpu"], capture_output=True, text=True, check=False, env={"LC_ALL": "C"} | os.environ
        ).stdout
    except OSError:
        return {"threads_per_core": "unknown", "hypervisor": "unknown"}
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in told.splitlines())}
    return {
        "threads_per_core": fields.get("Thread(s) per core", "unknown"),
        "hypervisor": fields.get("Hypervisor vendor", "none seen"),
        "caches": {name: fields[f"{name} cache"] for name in ("L1d", "L2", "L3") if f"{name} cache" in fields},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
