"""Report of a worker's machine, so that pages can recommend suitable encoders."""

import os

import psutil

from mekiki.config import env
from mekiki.learning.services import report_worker
from workers.hardware import host


def report_machine(device: str = "") -> None:
    """Store the machine's device, GPU, memory and cores under its host name.

    `device` is the device an encoder was loaded on. It is empty when the worker starts: the driver's files
    then show the device, because torch must not be imported into the parent of the worker processes.
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
