"""What a worker says of its machine, so that pages can recommend encoders that suit it."""

import os
import platform
import socket
from functools import cache
from pathlib import Path

import psutil

from mekiki.config import env
from mekiki.learning.services import report_worker


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


def report_machine(device: str = "") -> None:
    """Keep the machine's device, GPU, memory and cores under its host name.

    device: what an encoder was loaded on. Empty as the worker begins: told from the driver's files then, because
    torch must not come into the parent of the worker processes.
    """
    gpu = ""
    if device.startswith("cuda"):
        import torch

        gpu = torch.cuda.get_device_name(torch.device(device))
    report_worker(
        host=host(),
        device=device or ("cuda" if env.visible_gpu() else "cpu"),
        gpu=gpu,
        memory=psutil.virtual_memory().total,
        cpus=os.cpu_count() or 1,
    )
