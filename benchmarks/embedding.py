"""Speed of embedding: our pipeline against the plain open_clip loop and the bare network.

    python benchmarks/embedding.py [--quick] [--images N] [--photos FOLDER] [--encoder NAME] [--json PATH]
    python benchmarks/embedding.py --detail [--quick] [--images N] [--json PATH]

Without `--encoder`, two encoders are measured: `pocket`, and the architecture ViT-B-32 with random weights
(ViT-B-16 on a GPU). Both use the same 200×200 JPEG files, drawn here or taken from `--photos`. The variants
run in turns in one run, so that all meet the same load:

- `loop`: open_clip's usual code, one image at a time: open, preprocess, encode;
- `batched_loop`: the same through a DataLoader with one worker per core, batches of 32;
- `forward`: the network alone on prepared tensors, batches of 32 (256 on a GPU);
- `pipeline`: Encoder.encode_stream, decoding included;
- `onnx` and `int8`: the pipeline with these variants of the encoder.

With `--detail`, only `pocket` and the local detail are measured, on files of 200 × 200 and 512 × 512 pixels
in turns: `pipeline` alone, `pipeline_detail` with the descriptor of every image, and `descriptor` alone, on
decoded images, in one thread per core.

`…_cosine_min` and `…_cosine_mean` compare the vectors of a variant with those of fp32 on these images. The
keys of the first encoder have no prefix; those of the second begin with its architecture.
`stream_early_rss_mb` and `stream_end_rss_mb` are this process's memory after a tenth of a stream of
`stream_images` and at its end.

Budget (design, section 8): the pipeline is at least 1.5 times as fast as the loop on a CPU, and reaches 90 %
of the bare forward pass on a GPU; pocket embeds at least 150 images/s on two cores.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

SIDE, BATCH = 200, 32


def draw(count: int, folder: Path, side: int = SIDE) -> list[Path]:
    """Write JPEG files of side × side, all different, and return their paths."""
    from PIL import Image

    from workers.encoders.probes import probe_images

    folder.mkdir(parents=True, exist_ok=True)
    base = probe_images(64, side)
    files = []
    for number in range(count):
        pixels = base[number % 64]
        turned = (pixels, pixels[::-1], pixels[:, ::-1], pixels.swapaxes(0, 1))[number // 64 % 4]
        path = folder / f"{number:06d}.jpg"
        Image.fromarray(turned).save(path, quality=88)
        files.append(path)
    return files


def random_encoder(architecture: str, folder: Path, device: str) -> Any:
    """Return an encoder of this architecture with random weights, loaded like any model in a folder."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    from workers.encoders import load_encoder

    place = folder / architecture
    place.mkdir()
    torch.manual_seed(0)
    model = open_clip.create_model(architecture)
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        place / "open_clip_model.safetensors",
    )
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    (place / "open_clip_config.json").write_text(json.dumps(config))
    return load_encoder(f"local-dir:{place}", device=device, cache_dir=folder / "cache")


def whole_preprocess(encoder: Any) -> Callable[[Any], Any]:
    """Return open_clip's transform as its users call it: PIL image → normalised tensor."""
    from torchvision.transforms import Compose, Normalize, ToTensor

    return Compose([encoder.geometry, ToTensor(), Normalize(encoder.mean, encoder.std)])


def loop(encoder: Any, files: list[Path]) -> None:
    """Embed one image at a time, as in open_clip's README."""
    import torch
    from PIL import Image

    preprocess = whole_preprocess(encoder)
    with torch.no_grad(), encoder.autocast():
        for file in files:
            image = preprocess(Image.open(file).convert("RGB")).unsqueeze(0).to(encoder.device)
            features = encoder.model.encode_image(image)
            (features / features.norm(dim=-1, keepdim=True)).float().cpu().numpy()


class Files:
    """A map-style dataset of preprocessed images."""

    def __init__(self, files: list[Path], preprocess: Callable[[Any], Any]) -> None:
        self.files, self.preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self.preprocess(Image.open(self.files[index]).convert("RGB"))


def batched_loop(encoder: Any, files: list[Path]) -> None:
    """Embed batches from a DataLoader with one worker process per core.

    A batch has 32 images, 256 on a GPU.
    """
    import torch

    from workers.encoders.pipeline import core_count

    on_gpu = encoder.device != "cpu"
    loader = torch.utils.data.DataLoader(
        Files(files, whole_preprocess(encoder)),  # type: ignore[arg-type]
        batch_size=256 if on_gpu else BATCH,
        num_workers=min(16, core_count()),
        pin_memory=on_gpu,
    )
    with torch.no_grad(), encoder.autocast():
        for images in loader:
            features = encoder.model.encode_image(images.to(encoder.device, non_blocking=True))
            (features / features.norm(dim=-1, keepdim=True)).float().cpu().numpy()


def forward(encoder: Any, ready: Any) -> None:
    """Run the network alone, on normalised tensors already on the device."""
    import torch

    size = 256 if encoder.device != "cpu" else BATCH
    with torch.inference_mode(), encoder.autocast():
        for start in range(0, len(ready), size):
            encoder.model.encode_image(ready[start : start + size])
    if encoder.device != "cpu":
        torch.cuda.synchronize()


def pipeline(encoder: Any, files: Iterable[Path]) -> Any:
    """Return all vectors, in the order of the files."""
    import numpy as np

    return np.concatenate([chunk.vectors for chunk in encoder.encode_stream(enumerate(files))])


def measure_detail(encoder: Any, folder: Path, count: int, rounds: int) -> dict[str, float]:
    """Return the images per second with and without the local detail, the best of the rounds."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from PIL import Image

    from workers.encoders import detail_vector
    from workers.encoders.pipeline import core_count

    def with_detail(files: list[Path]) -> None:
        for _chunk in encoder.encode_stream(enumerate(files), needs_detail=lambda _key: True):
            pass

    def descriptor(pictures: list[Any]) -> None:
        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(detail_vector, pictures))

    ways: dict[str, tuple[Callable[[], Any], int]] = {}
    for side, number in ((SIDE, count), (512, count // 4)):
        files = draw(number, folder / f"of-{side}", side)
        pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files[:256]]
        ways[f"pipeline_{side}"] = (lambda f=files: pipeline(encoder, f)), number
        ways[f"pipeline_detail_{side}"] = (lambda f=files: with_detail(f)), number
        ways[f"descriptor_{side}"] = (lambda p=pictures: descriptor(p)), len(pictures)
    pipeline(encoder, files[:BATCH])
    best = dict.fromkeys(ways, 0.0)
    processor = dict.fromkeys(ways, float("inf"))
    for _round, (name, (run, number)) in itertools.product(range(rounds), ways.items()):
        begun, cpu = time.perf_counter(), time.process_time()
        run()
        best[name] = max(best[name], number / (time.perf_counter() - begun))
        processor[name] = min(processor[name], (time.process_time() - cpu) / number * 1000)
    return {f"{name}_ips": round(value, 1) for name, value in best.items()} | {
        f"{name}_cpu_ms": round(value, 2) for name, value in processor.items()
    }


def memory(encoder: Any, files: list[Path], count: int) -> dict[str, float]:
    """Return this process's memory in MB after a tenth of a stream of ``count`` images, and at its end."""
    import psutil

    me, seen, early = psutil.Process(), 0, 0.0
    stream = ((number, files[number % len(files)]) for number in range(count))
    for chunk in encoder.encode_stream(stream):
        seen += len(chunk)
        if not early and seen >= count / 10:
            early = me.memory_info().rss / 2**20
    return {
        "stream_images": seen,
        "stream_early_rss_mb": round(early),
        "stream_end_rss_mb": round(me.memory_info().rss / 2**20),
    }


def cosines(vectors: Any, reference: Any) -> dict[str, float]:
    """Return the cosines of a variant's vectors to those of fp32: {cosine_min, cosine_mean}."""
    cosines = (vectors * reference).sum(1)
    return {"cosine_min": round(float(cosines.min()), 5), "cosine_mean": round(float(cosines.mean()), 5)}


def measure(encoder: Any, files: list[Path], rounds: int, cache: Path, slow: int) -> dict[str, float]:
    """Return the images per second of each variant, the best of the rounds, and the variants' cosines.

    ``slow`` is the number of images for the two loops.
    """
    import numpy as np
    import torch

    from workers.encoders.loading import _variant

    variants = {}
    if encoder.device == "cpu":
        variants = {v: _variant(encoder, f"{encoder.name}+{v}", v, cache) for v in ("onnx", "int8")}
    pixels = torch.from_numpy(np.stack([encoder.prepared(file) for file in files[:256]]))
    mean, std = torch.tensor(encoder.mean) * 255, torch.tensor(encoder.std) * 255
    ready = ((pixels.float() - mean) / std).permute(0, 3, 1, 2).contiguous().to(encoder.device)
    few = files[:slow]
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "loop": (lambda: loop(encoder, few), len(few)),
        "batched_loop": (lambda: batched_loop(encoder, few), len(few)),
        "forward": (lambda: forward(encoder, ready), len(ready)),
        "pipeline": (lambda: pipeline(encoder, files), len(files)),
        **{v: (lambda e=e: pipeline(e, files), len(files)) for v, e in variants.items()},
    }
    best = dict.fromkeys(ways, 0.0)
    vectors: dict[str, Any] = {}
    pipeline(encoder, files[:BATCH])
    for _round, (name, (run, count)) in itertools.product(range(rounds), ways.items()):
        begun = time.perf_counter()
        vectors[name] = run()
        best[name] = max(best[name], count / (time.perf_counter() - begun))
    figures = {f"{name}_ips": round(value, 1) for name, value in best.items()}
    figures["pipeline_to_loop"] = round(best["pipeline"] / best["loop"], 2)
    figures["pipeline_to_forward"] = round(best["pipeline"] / best["forward"], 2)
    for name in variants:
        for kind, value in cosines(vectors[name], vectors["pipeline"]).items():
            figures[f"{name}_{kind}"] = value
    return figures


def main() -> None:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few images, one round")
    parser.add_argument(
        "--images", type=int, default=0, help="how many (pocket; an eighth of it for the larger)"
    )
    parser.add_argument("--photos", type=Path, help="use the JPEG files under this folder")
    parser.add_argument("--detail", action="store_true", help="measure the local detail")
    parser.add_argument("--encoder", help="measure this one alone; an architecture without weights is random")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    count = arguments.images or (192 if arguments.quick else 2_048)
    rounds = 1 if arguments.quick else 3

    from workers.encoders import load_encoder
    from workers.encoders.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    import torch

    from workers.encoders.pipeline import core_count

    device = "cuda" if torch.cuda.is_available() else "cpu"
    figures: dict[str, Any]
    with tempfile.TemporaryDirectory(prefix="mekiki-embedding-") as temporary:
        folder = Path(temporary)
        if arguments.detail:
            encoder = load_encoder("pocket", device="cpu", cache_dir=folder / "cache")
            figures = {"device": f"CPU, {core_count()} cores", "images": count}
            figures |= measure_detail(encoder, folder, count, rounds)
            for key, value in figures.items():
                print(f"{key:>28}  {value}")
            write_figures(arguments.json, figures)
            return
        if arguments.photos:
            files = sorted(p for p in arguments.photos.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})[
                :count
            ]
        else:
            files = draw(count, folder / "pictures")
        if not files:
            raise SystemExit(f"There is no JPEG file in {arguments.photos}.")
        figures = {
            "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {core_count()} cores",
            "images": len(files),
        }
        large = "ViT-B-16" if device == "cuda" else "ViT-B-32"
        for name in [arguments.encoder] if arguments.encoder else ["pocket", large]:
            if name == "pocket" or "/" in name or ":" in name:
                encoder = load_encoder(name, device=device, cache_dir=folder / "cache")
            else:
                encoder = random_encoder(name, folder, device)
            heavy = name != "pocket" and device == "cpu"
            some = files[: max(64, len(files) // 8)] if heavy else files
            slow = len(some) if heavy else min(len(some), 512)
            measured = measure(
                encoder, some, 1 if heavy and arguments.quick else rounds, folder / "cache", slow
            )
            if name == "pocket":
                measured |= memory(encoder, some, 2_000 if arguments.quick else 20_000)
            prefix = "" if "pipeline_ips" not in figures else f"{name}_"
            figures |= {"encoder": name} if not prefix else {}
            figures |= {f"{prefix}{key}": value for key, value in measured.items()}
            print(f"\n{name}: {len(some)} images on {figures['device']}")
            for key, value in measured.items():
                print(f"{key:>22}  {value:,}")
    write_figures(arguments.json, figures)


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures to a JSON file, if there is a path."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
