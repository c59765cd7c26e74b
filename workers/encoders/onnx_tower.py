"""The image tower run by ONNX Runtime on a CPU: fp32 (`+onnx`) or 8 bits (`+int8`).

The tower is exported once from the torch model, including scaling and normalisation, so that it takes the
pixels as bytes. Its file name is the digest of the source and the recipe. A JSON file beside it stores its
hash and the distance of its vectors to torch's vectors on a set of drawn images. A file with another hash is
built again.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from .errors import EncoderError, wrap_encoder_errors
from .identity import derived_digest
from .probes import probe_images
from .saturation import LIMIT, largest_pair_sum

if TYPE_CHECKING:
    from .encoder import Encoder

# Increase a version when the file would give other vectors: another exporter, other 8-bit layers, other
# calibration. Version 1 of int8 had 8-bit weights: their products overflow on processors without VNNI
# (saturation.py).
RECIPES = {"onnx": "onnx 1", "int8": "int8 2"}
_OPSET = 17
_CALIBRATION, _PROBES = 64, 16  # numbers of images
# Smallest accepted (mean, minimum) cosine to torch's vectors on the drawn images.
_MIN_COSINE = {"onnx": (0.9999, 0.9999), "int8": (0.97, 0.9)}
_LARGEST = 1_900_000_000  # bytes of weights: the limit of protobuf is 2 GiB


@dataclass(frozen=True)
class OnnxTower:
    """A function of (b, h, w, 3) uint8 that returns (b, d) float32 unit vectors. It is thread-safe.

    ``cosine_min`` and ``cosine_mean`` compare it with torch's fp32 vectors on the drawn images, on this
    machine. ``file`` is its ONNX file.
    """

    file: Path
    cosine_min: float
    cosine_mean: float
    session: Any = field(repr=False)
    one_by_one: bool  # see _embed

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with wrap_encoder_errors("embedding images"):
            return _embed(self.session, pixels, one_by_one=self.one_by_one)


def _embed(session: Any, pixels: np.ndarray, *, one_by_one: bool) -> np.ndarray:
    """Map (b, h, w, 3) uint8 to (b, d).

    Dynamic quantisation takes the range of a layer's input over the whole batch, so the vector of an image
    would depend on the other images of the batch. One image per call costs nothing on one thread (measured:
    146 images/s both ways).
    """
    parts = [pixels[at : at + 1] for at in range(len(pixels))] if one_by_one else [pixels]
    return np.concatenate([session.run(None, {"pixels": part})[0] for part in parts])


def identity(source_digest: str, variant: str) -> str:
    """Return the digest of a variant of an encoder, from its source and the recipe."""
    return derived_digest(source_digest, RECIPES[variant])


def tower_for(encoder: "Encoder", variant: str, cache_dir: Path | None) -> OnnxTower:
    """Return the tower of a loaded fp32 encoder, from the folder or built now.

    Raises EncoderError.
    """
    try:
        import onnx  # noqa: F401

        onnxruntime = _onnxruntime()
    except ImportError as error:
        raise EncoderError(
            f"This machine lacks the packages that run encoders (extra «workers»): {error}",
            "packages_missing",
            reason=str(error),
        ) from error
    onnxruntime.set_default_logger_severity(3)
    folder = _folder(cache_dir)
    file = folder / f"{identity(encoder.digest, variant)}.onnx"
    with _alone(file):
        about = _load_record(file) or _make(encoder, variant, file)
    session = _session(file)
    # The file may come from another machine: the vectors of this processor are compared.
    smallest, mean = _cosines(encoder, session, one_by_one=about["one_by_one"])
    _refuse_distance(encoder.name, variant, smallest, mean)
    return OnnxTower(file, smallest, mean, session, about["one_by_one"])


def _folder(cache_dir: Path | None) -> Path:
    """Return the folder of the towers.

    Without a folder from the caller, it is a folder of this user among the temporary files.
    """
    folder = (
        cache_dir / "towers" if cache_dir else Path(tempfile.gettempdir()) / f"mekiki-towers-{os.getuid()}"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if cache_dir is None and folder.stat().st_uid != os.getuid():  # another user created it
            folder = Path(tempfile.mkdtemp(prefix="mekiki-towers-"))
    except OSError as error:
        raise _failed(str(folder), str(error)) from error
    return folder


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Lock a tower's file: one process builds it, the others wait and use it."""
    with FileLock(file.with_suffix(".lock"), fallback_to_soft=False):
        yield


def _load_record(file: Path) -> dict[str, Any] | None:
    """Return the record of a tower if its file is complete, else None."""
    try:
        about = json.loads(file.with_suffix(".json").read_text())
        if about["sha256"] == _sha256(file) and isinstance(about["one_by_one"], bool):
            return about
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _onnxruntime() -> Any:
    """Return the library with telemetry disabled.

    Since version 1.29 its builds for Linux send names and hashes of models and facts about the machine to
    their maker, unless this variable is set before the library is loaded.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _session(file: Path) -> Any:
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    # One thread per call and many calls at once: see pipeline.py.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _make(encoder: "Encoder", variant: str, file: Path) -> dict[str, Any]:
    """Export and, for int8, quantise the tower; move it to its name only after the comparison."""
    weights = sum(p.numel() * p.element_size() for p in encoder.model.visual.parameters())
    if weights > _LARGEST:
        raise _failed(encoder.name, "its image tower is larger than an ONNX file may be (2 GB)")
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=file.parent))
    try:
        made = work / "fp32.onnx"
        # Exporter and quantiser print their progress, which would go into the worker's log.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            _export(encoder, made)
            if variant == "int8":
                made = _quantised(encoder, made, work)
                _refuse_overflow(encoder.name, made)
        one_by_one = _quantises_while_running(made)
        smallest, mean = _cosines(encoder, _session(made), one_by_one=one_by_one)
        about: dict[str, Any] = {
            "sha256": _sha256(made),
            "variant": variant,
            "source": encoder.digest,
            "cosine_min": smallest,
            "cosine_mean": mean,
            "one_by_one": one_by_one,
        }
        _refuse_distance(encoder.name, variant, smallest, mean)
        note = work / "about.json"
        note.write_text(json.dumps(about))
        file.with_suffix(".json").unlink(missing_ok=True)
        made.replace(file)
        note.replace(file.with_suffix(".json"))
        return about
    except (EncoderError, MemoryError):
        raise
    except Exception as error:
        # The exporter and the quantiser raise many types of errors.
        raise _failed(
            encoder.name, (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _quantises_while_running(file: Path) -> bool:
    import onnx

    return any("DynamicQuantize" in node.op_type for node in onnx.load(file).graph.node)


def _cosines(encoder: "Encoder", session: Any, *, one_by_one: bool) -> tuple[float, float]:
    """Return the (smallest, mean) cosine of a tower's vectors to torch's fp32 vectors on this machine."""
    probes = probe_images(_PROBES, encoder.image_side, seed=1)
    cosines = (_embed(session, probes, one_by_one=one_by_one) * encoder.embed_pixels(probes)).sum(1)
    return float(cosines.min()), float(cosines.mean())


def _refuse_distance(name: str, variant: str, smallest: float, mean: float) -> None:
    least_mean, least = _MIN_COSINE[variant]
    if mean >= least_mean and smallest >= least:  # false also for NaN
        return
    raise EncoderError(
        f"The {variant} form of «{name}» gives vectors too far from the original's on this machine (cosine "
        f"{mean:.3f} on average, {smallest:.3f} at worst): use the encoder without it.",
        "variant_differs",
        name=name,
        cosine=f"{mean:.3f}",
        smallest=f"{smallest:.3f}",
    )


def _refuse_overflow(name: str, file: Path) -> None:
    import onnx

    worst = largest_pair_sum(onnx.load(file).graph)
    if worst is not None and worst.overflows:
        raise EncoderError(
            f"The int8 form of «{name}» would give other vectors on processors without VNNI: two products of "
            f"the layer {worst.layer} can add up to {worst.value:,}, and {LIMIT:,} fit. Use the encoder "
            "without it.",
            "variant_overflows",
            name=name,
            layer=worst.layer,
        )


def _failed(name: str, reason: str) -> EncoderError:
    return EncoderError(
        f"The ONNX form of «{name}» could not be made: {reason}", "variant_failed", name=name, reason=reason
    )


def _export(encoder: "Encoder", file: Path) -> None:
    import torch

    mean, std = torch.tensor(encoder.mean) * 255, torch.tensor(encoder.std) * 255

    class Whole(torch.nn.Module):
        """Module that maps (b, h, w, 3) uint8 to (b, d) unit vectors."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = encoder.model.visual

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            scaled = (pixels.float() - mean) / std
            features = self.visual(scaled.permute(0, 3, 1, 2))
            features = features[0] if isinstance(features, tuple) else features
            return torch.nn.functional.normalize(features, dim=-1)

    side = encoder.image_side
    example = torch.from_numpy(probe_images(2, side))
    fused = torch.backends.mha.get_fastpath_enabled()
    # ONNX has no operator for torch's fused attention.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        torch.onnx.export(
            Whole().eval(),
            (example,),
            str(file),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["pixels"],
            output_names=["vectors"],
            dynamic_axes={"pixels": {0: "batch"}, "vectors": {0: "batch"}},
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _quantised(encoder: "Encoder", source: Path, work: Path) -> Path:
    """Quantise the weights to 8 bits, by the kind of layers in the tower.

    A transformer spends its time in matrix products. Their inputs have outliers that a fixed scale would cut
    off, so their weights are quantised per output channel and their inputs at run time. A convolutional
    network gains nothing from that (ONNX Runtime has no fast dynamic convolution): its activations get fixed
    scales, measured on drawn images.

    `reduce_range` keeps weights to 7 of their 8 bits, so no sum of two products overflows 16 bits on any
    processor.
    """
    import onnx
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready, made = work / "ready.onnx", work / "int8.onnx"
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(ready).graph.node)
    if convolutions <= 2:  # a transformer has one convolution, for its patches
        q.quantize_dynamic(
            str(ready),
            str(made),
            per_channel=True,
            reduce_range=True,
            weight_type=q.QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
        return made
    # The calibrator keeps all activations of all images in memory, so larger images need a smaller number.
    count = _CALIBRATION if encoder.image_side <= 128 else _CALIBRATION // 4
    q.quantize_static(
        str(ready),
        str(made),
        _reader(probe_images(count, encoder.image_side)),
        quant_format=q.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=q.QuantType.QUInt8,
        weight_type=q.QuantType.QInt8,
        calibrate_method=q.CalibrationMethod.Percentile,
    )
    return made


def _reader(pictures: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(range(0, len(pictures), 8))

        def get_next(self) -> dict[str, np.ndarray] | None:
            start = next(self._left, None)
            return None if start is None else {"pixels": pictures[start : start + 8]}

    return Pictures()
