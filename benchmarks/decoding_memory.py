"""Memory that the decoder needs for one image of each kind, and for all of them in turn.

    python benchmarks/decoding_memory.py [--quick] [--json PATH] [--kinds NAME…]

Each file is created in one process and examined in another: it is decoded, and a thumbnail and a display file
are rendered.

- `peak_mb`: the growth of the process's resident memory during the examination, without the bytes of the
  file;
- `kept_mb`: the part of the growth that remains;
- `estimated_mb`: the memory that the decoder reserved of its budget (MEKIKI_DECODE_MEMORY_MB).

The table also shows the size of the file in kB. `in turn` is one process that examines all files twice.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
MEGAPIXELS, QUICK_MEGAPIXELS = 100, 9
BUDGET_MB = 8192  # far above the default, so that the need is measured and not the budget


def _colour(side: int, channels: int, kind: str = "uint8") -> Any:
    """Return (side, side, channels) values: a gradient, with half transparent pixels in a fourth channel."""
    import numpy as np

    values = np.zeros((side, side, channels), kind)
    top = np.iinfo(kind).max if kind[0] == "u" else 1
    values[...] = (np.arange(side) * (top / side)).astype(kind)[:, None, None]
    if channels == 4:
        values[..., 3] = top // 2
    return values[..., 0] if channels == 1 else values


def _pillow(kind: str, mode: str, **options: Any) -> Callable[[int], bytes]:
    def make(side: int) -> bytes:
        from PIL import Image

        image = Image.linear_gradient("L").resize((side, side)).convert(mode)
        if mode == "RGBA":
            image.putalpha(127)
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    return make


def _palette(side: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("P").save(out, "PNG", transparency=0)
    return out.getvalue()


def _png(channels: int) -> Callable[[int], bytes]:
    def make(side: int) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.png_encode(_colour(side, channels, "uint16")))

    return make


def _tiff(channels: int, kind: str, **options: Any) -> Callable[[int], bytes]:
    def make(side: int) -> bytes:
        import tifffile

        out = io.BytesIO()
        photometric = "minisblack" if channels == 1 else "rgb"
        extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        tifffile.imwrite(
            out,
            _colour(side, channels, kind),
            photometric=photometric,
            rowsperstrip=64,
            **extra,
            **options,
        )
        return out.getvalue()

    return make


def _turned(side: int) -> bytes:
    from PIL import Image

    tags = Image.Exif()
    tags[0x0112] = 6
    return _pillow("PNG", "RGB", exif=tags)(side)


def _animated(kind: str) -> Callable[[int], bytes]:
    def make(side: int) -> bytes:
        from PIL import Image

        frames = [Image.new("RGB", (side, side), (shade, 90, 30)) for shade in (10, 200)]
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=100, lossless=True)
        return out.getvalue()

    return make


KINDS: dict[str, Callable[[int], bytes]] = {
    "JPEG": _pillow("JPEG", "RGB"),
    "JPEG, progressive": _pillow("JPEG", "RGB", progressive=True, subsampling=0),
    "JPEG, CMYK": _pillow("JPEG", "CMYK"),
    "PNG, grey": _pillow("PNG", "L"),
    "PNG, RGB": _pillow("PNG", "RGB"),
    "PNG, RGB, turned": _turned,
    "PNG, RGBA": _pillow("PNG", "RGBA"),
    "PNG, palette with transparency": _palette,
    "PNG, 16 bits, grey": _png(1),
    "PNG, 16 bits, RGB": _png(3),
    "PNG, 16 bits, RGBA": _png(4),
    "PNG, animated": _animated("PNG"),
    "TIFF, RGB": _tiff(3, "uint8", compression="zlib"),
    "TIFF, RGBA": _tiff(4, "uint8", compression="zlib"),
    "TIFF, 16 bits, RGB": _tiff(3, "uint16", compression="zlib"),
    "TIFF, float": _tiff(1, "float32", compression="zlib"),
    "TIFF, double": _tiff(1, "float64", compression="zlib"),
    "WebP": _pillow("WEBP", "RGB", quality=50, method=0),
    "WebP, lossless, RGBA": _pillow("WEBP", "RGBA", lossless=True, quality=0, method=0),
    "WebP, animated": _animated("WEBP"),
    "GIF": _pillow("GIF", "P"),
    "BMP": _pillow("BMP", "RGB"),
}


def _resident() -> dict[str, int]:
    """Return the current and the highest resident memory of this process, in kB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}


def examine(groups: list[list[str]]) -> None:
    """Examine each group of files in turn and print its figures, one JSON line per group (child process)."""
    import imaging
    from mekiki.datasets.importing import pictures

    small = [make(64) for make in KINDS.values()]
    for data in small:  # load the libraries before the measurement
        pictures.read_picture(data, max_pixels=10_000)
    budget = getattr(imaging, "memory_budget", None)
    if budget is not None:
        budget.set_limit(BUDGET_MB << 20)
    for paths in groups:
        if budget is not None:
            budget.peak = 0
        before = _resident()["VmRSS"]
        Path("/proc/self/clear_refs").write_text("5")  # reset the highest value
        for path in paths:
            pictures.read_picture(Path(path).read_bytes(), max_pixels=1 << 40)
        after = _resident()
        files = max(Path(path).stat().st_size for path in paths)
        figures = {
            "peak_mb": round((after["VmHWM"] - before - files / 1024) / 1024),
            "kept_mb": round((after["VmRSS"] - before) / 1024),
            "estimated_mb": round(getattr(budget, "peak", 0) / (1 << 20)),
        }
        print(json.dumps(figures), flush=True)


def _child(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout


def main() -> None:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_MEGAPIXELS} million pixels instead of {MEGAPIXELS}"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), help="only these")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--examine", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--examine-each", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        name, side, path = arguments.make
        Path(path).write_bytes(KINDS[name](int(side)))
        return
    if arguments.examine or arguments.examine_each:
        examine([arguments.examine] if arguments.examine else [[path] for path in arguments.examine_each])
        return
    megapixels = QUICK_MEGAPIXELS if arguments.quick else MEGAPIXELS
    side = round((megapixels * 1e6) ** 0.5)
    figures: dict[str, float] = {"megapixels": megapixels}
    print(f"{'kind':<32}{'file':>12}{'peak':>10}{'kept':>10}{'estimate':>10}")
    with tempfile.TemporaryDirectory(prefix="mekiki-decoding-") as folder:
        files = []
        for number, name in enumerate(arguments.kinds):
            path = str(Path(folder) / str(number))
            _child("--make", name, str(side), path)
            files.append(path)
            memory = json.loads(_child("--examine", path))
            size = Path(path).stat().st_size
            print(
                f"{name:<32}{size / 1024:>9,.0f} kB{memory['peak_mb']:>7,} MB{memory['kept_mb']:>7,} MB"
                f"{memory['estimated_mb']:>7,} MB",
                flush=True,
            )
            figures |= {f"{name}: {key}": value for key, value in memory.items()}
        memory = json.loads(_child("--examine", *files, *files))
        print(f"{'all in turn, twice':<32}{'':>12}{memory['peak_mb']:>7,} MB{memory['kept_mb']:>7,} MB")
        figures |= {f"in turn: {key}": memory[key] for key in ("peak_mb", "kept_mb")}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
