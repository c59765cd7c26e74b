"""What a worker says of its machine, so that pages can recommend encoders that suit it."""

import os

import psutil

from mekiki.config import env
from mekiki.learning.services import report_worker
from workers.hardware import host


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
