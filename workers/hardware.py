"""Name and processor of this machine."""

import platform
import socket
from functools import cache
from pathlib import Path


def host() -> str:
    """Return the name of this machine in the platform."""
    return socket.gethostname()


# Instruction sets that decide which kernels compute vectors: name → flags of /proc/cpuinfo, any of them.
_INSTRUCTIONS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "AMX": {"amx_int8"},
}


@cache
def processor() -> str:
    """Return the processor's model with the relevant instruction sets.

    Return only its architecture if nothing else is known.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = {name.strip(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
    model = facts.get("model name") or platform.processor() or platform.machine()
    flags = set(facts.get("flags", "").split())
    known = [name for name, any_of in _INSTRUCTIONS.items() if any_of & flags]
    return f"{model[:150]} ({', '.join(known)})" if known else model[:150]
