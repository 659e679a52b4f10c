"""Contracts from source to the classes that a node takes, compiled once for every version of their sources.

The compiler is `contracts/builder`, which cargo builds from crates.io on first use. Cairo's core library comes in no
registry: it is that of an installed Scarb, or any copy that CAIRO_CORELIB names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from verifier.errors import ParseError

CAIRO_VERSION = "2.19.4"
PACKAGES = ("facts", "registry", "account", "market")
CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


class BuildError(ParseError):
    """What is missing, or what the compiler said (command line: exit 2)."""


@dataclass(frozen=True)
class ContractClass:
    """One compiled contract: its two files, and what a declare transaction and the limits of Starknet need of it."""

    name: str
    sierra: Path
    casm: Path
    compiled_class_hash: int  # Blake2s, as Starknet 0.14.1 and later want it
    bytecode_felts: int
    sierra_felts: int
    class_bytes: int


def compile_package(name: str) -> dict[str, ContractClass]:
    """The contracts of one package of `contracts/`, by name. Raises BuildError."""
    folder = CONTRACTS / name
    if name not in PACKAGES or not (folder / "Scarb.toml").is_file():
        raise BuildError(f"package: {name!r:.40} is not one of {', '.join(PACKAGES)} in contracts/")
    return compile_folder(folder)


def compile_folder(folder: Path) -> dict[str, ContractClass]:
    """The contracts of a package, by name; kept in the user's cache by the hash of all that they are made from.

    Raises BuildError, with what the compiler says: a libfunc that Starknet has not audited is an error too."""
    builder, corelib = find_builder(), find_corelib()
    key = _hash_of([builder.parent.parent / "stamp", *_sources(_closure(folder))])
    target = _cache() / "contracts" / f"{folder.name}-{key}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as aside:
            made = Path(aside) / "out"
            _run([builder, "compile", folder, "--corelib", corelib, "--out", made], folder.name)
            with suppress(OSError):  # another process was faster
                made.rename(target)
    return {item.name: item for item in map(_read, sorted(target.glob("*.casm_hash.json")))}


def run_tests(folder: Path, filter: str = "") -> str:
    """Runs the #[test] functions of a package folder, and returns what they print, gas included. Raises BuildError."""
    command = [find_builder(), "test", folder, "--corelib", find_corelib(), "--filter", filter]
    return _run(command, folder.name)


@lru_cache(maxsize=1)
def find_builder() -> Path:
    """The program of `contracts/builder`, built by cargo into the user's cache if need be. Raises BuildError."""
    source, target = CONTRACTS / "builder", _cache() / "cairo-builder"
    if not source.is_dir():
        raise BuildError("contracts: not in this installation; use a checkout of the project")
    binary, stamp = target / "release" / "octoproof-cairo", target / "stamp"
    wanted = _hash_of([source / "Cargo.toml", source / "Cargo.lock", *(source / "src").glob("*.rs")])
    if not (binary.is_file() and stamp.is_file() and stamp.read_text() == wanted):
        cargo = shutil.which("cargo")
        if cargo is None:
            raise BuildError("Cairo compiler: needs cargo to be built; install Rust from rustup.rs")
        # Several processes may come here at once; cargo itself lets one build and the others wait.
        command = [cargo, "build", "--release", "--locked", "-q", "--target-dir", target]
        done = subprocess.run([*map(str, command)], cwd=source, capture_output=True, text=True)
        if done.returncode != 0:
            raise BuildError(f"Cairo compiler: cargo cannot build it: {_last(done.stderr)}")
        stamp.write_text(wanted)
    return binary


def find_corelib() -> Path:
    """The `src` folder of Cairo's core library. Raises BuildError naming the places that were looked at."""
    named = os.environ.get("CAIRO_CORELIB")
    scarb = Path(os.environ.get("SCARB_CACHE") or _cache().parent / "scarb")
    places = [Path(named)] if named else [_cache() / f"corelib-{CAIRO_VERSION}" / "src"]
    places += [] if named else sorted(scarb.glob(f"registry/std/v{CAIRO_VERSION}*/core/src"))
    for place in places:
        if (place / "lib.cairo").is_file():
            manifest = place.parent / "Scarb.toml"
            version = tomllib.loads(manifest.read_text())["package"]["version"] if manifest.is_file() else CAIRO_VERSION
            if version != CAIRO_VERSION:
                raise BuildError(f"Cairo's core library: {place} is version {version}, {CAIRO_VERSION} is needed")
            return place
    what = f"{named} has no lib.cairo" if named else f"install Scarb {CAIRO_VERSION}, or set CAIRO_CORELIB to its src"
    raise BuildError(f"Cairo's core library: {what}")


def _read(facts: Path) -> ContractClass:
    name, told = facts.name.removesuffix(".casm_hash.json"), json.loads(facts.read_text())
    sierra, casm = (
        facts.with_name(f"{name}.contract_class.json"),
        facts.with_name(f"{name}.compiled_contract_class.json"),
    )
    sizes = (told[key] for key in ("bytecode_felts", "sierra_felts", "class_bytes"))
    return ContractClass(name, sierra, casm, int(told["blake"], 16), *sizes)


def _closure(folder: Path) -> list[Path]:
    """A package and all packages that it depends on by path."""
    found = [folder]
    for place in found:
        for value in tomllib.loads((place / "Scarb.toml").read_text()).get("dependencies", {}).values():
            path = (place / value["path"]).resolve() if isinstance(value, dict) and "path" in value else None
            if path is not None and path not in found:
                found.append(path)
    return found


def _sources(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in (folder / "Scarb.toml", *folder.glob("src/**/*.cairo"))]


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.blake2s(digest_size=8)
    for path in sorted(files):
        data = path.read_bytes()
        digest.update(path.name.encode() + len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _run(command: list[object], name: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=os.environ | {"RUST_BACKTRACE": "0"}
    )
    if done.returncode != 0:
        raise BuildError(f"contracts/{name}: {done.stderr.strip()}\n{done.stdout.strip()}".strip())
    return done.stdout


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octoproof"
