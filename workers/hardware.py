"""The name and the processor of this machine."""

import platform
import socket
from functools import cache
from pathlib import Path


def host() -> str:
    """The name by which this machine is known to the platform."""
    return socket.gethostname()


@cache
def processor() -> str:
    """The model of the processor, or its architecture where the system does not say more."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0][:200]
