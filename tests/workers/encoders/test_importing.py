"""open_clip is imported without torch's compiler and transformers, and code that needs them gets them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHECK = """
import gc, sys
from workers.encoders import load_encoder

load_encoder("pocket", device="cpu")
assert not {"torch._dynamo", "transformers"} & set(sys.modules)
assert gc.isenabled()

import torch

double = torch.compile(lambda x: x * 2, backend="eager")
print("doubled", double(torch.ones(1)).item(), sys.modules["torch._dynamo"].__file__)
"""


def test_compiler_is_loaded_on_demand() -> None:
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert process.stdout.startswith("doubled 2.0 /"), process.stderr
