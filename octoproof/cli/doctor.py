"""`octoproof doctor`: the machine, the installation, and what is likely to go wrong with either."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from octoproof.cli.console import JSON_OPTION, application, print_json
from octoproof.device import card, usable_cores

app = application("Report on this machine and this installation.")

OURS = ("air", "verifier", "prover", "gpu", "octoproof")
PACKAGES = ("numpy", "numba", "llvmlite", "blake3", "poseidon_py", "typer", "rich")


@app.command()
def doctor(as_json: Annotated[bool, JSON_OPTION] = False) -> None:
    """Report on this machine and this installation."""
    found = report()
    if as_json:
        print_json(found)
        return
    machine, kernels = found["machine"], found["kernels"]
    lines = [
        ("octoproof", found["octoproof"]),
        ("python", found["python"]),
        ("machine", f"{machine['system']}, {machine['cpu']}"),
        ("cores", f"{machine['cores']} usable, AVX-512 {'yes' if machine['avx512'] else 'no'}"),
        ("memory", _memory(machine)),
        ("GPU", found["gpu"]),
        ("packages", ", ".join(f"{name} {version}" for name, version in found["packages"].items())),
        ("kernels", f"{'warm' if kernels['files'] else 'cold'}, {kernels['files']} files in {kernels['folder']}"),
        ("names", found["clashes"] or "no other distribution installs a package of the same name"),
    ]
    for name, text in lines:
        print(f"{name:<11}{text}")


def report() -> dict[str, Any]:
    """Everything as one document."""
    from octoproof import __version__

    return {
        "octoproof": __version__,
        "python": platform.python_version(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpu": _cpu_field("model name") or platform.processor() or "unknown processor",
            "cores": usable_cores(),
            "avx512": "avx512f" in (_cpu_field("flags") or "").split(),
            "memory_bytes": _meminfo("MemTotal"),
            "memory_free_bytes": _meminfo("MemAvailable"),
        },
        "gpu": gpu(),
        "packages": {name: _version(name) for name in PACKAGES},
        "kernels": kernels(),
        "clashes": clashes(metadata.packages_distributions()),
    }


def clashes(installed: Any) -> str | None:
    """One sentence about import names of ours that another distribution installs too, or None.

    `installed` maps import names to distributions, as `importlib.metadata.packages_distributions` does."""
    others = {name: sorted({d for d in installed.get(name, ()) if d != "octoproof"}) for name in OURS}
    parts = [f"{name} (from {', '.join(found)})" for name, found in others.items() if found]
    if not parts:
        return None
    return f"these import names also belong to other distributions, use a fresh virtual environment: {'; '.join(parts)}"


def gpu() -> str:
    """The card that `--device auto` takes, or what is missing for one."""
    found = card()
    if isinstance(found, str):
        return found
    return f"{found.name}, {found.free_memory() / 2**30:.1f} GiB free"


def kernels() -> dict[str, Any]:
    """The folder of compiled kernels and how many files it holds."""
    from prover.cache import folder

    place = folder()
    return {"folder": str(place), "files": sum(1 for p in place.rglob("*") if p.is_file()) if place.is_dir() else 0}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _cpu_field(name: str) -> str | None:
    return _proc("/proc/cpuinfo", name)


def _meminfo(name: str) -> int | None:
    text = _proc("/proc/meminfo", name)
    return int(text.split()[0]) * 1024 if text else None


def _proc(path: str, name: str) -> str | None:
    """The first `name : value` line of a file that only Linux has."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == name), None)


def _memory(machine: dict[str, Any]) -> str:
    total, free = machine["memory_bytes"], machine["memory_free_bytes"]
    return "unknown" if total is None else f"{total / 2**30:.1f} GiB, {(free or 0) / 2**30:.1f} GiB free"
