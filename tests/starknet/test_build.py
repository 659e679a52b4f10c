"""The build step: what it makes, that it makes it once, and the one line that says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from octoproof.starknet import build
from octoproof.starknet.build import BuildError, compile_folder, compile_package, find_builder, find_corelib, run_tests
from tests.starknet.cairo import need_compiler

CONTRACT = """
#[starknet::contract]
pub mod Tiny {
    #[storage]
    struct Storage {}

    #[external(v0)]
    fn twice(self: @ContractState, value: felt252) -> felt252 {
        %s
    }
}
"""


def package(folder: Path, source: str) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "Scarb.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2024_07"\n')
    (folder / "src" / "lib.cairo").write_text(source)
    return folder


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compiled contracts of this test go to a folder of their own; compiler and core library are the user's."""
    need_compiler()
    builder, corelib = find_builder(), find_corelib()
    monkeypatch.setattr(build, "find_builder", lambda: builder)
    monkeypatch.setattr(build, "find_corelib", lambda: corelib)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("own_cache")
def test_a_package_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = package(tmp_path / "tiny", CONTRACT % "value * 2")
    made = compile_folder(folder)["Tiny"]
    casm = json.loads(made.casm.read_text())
    assert len(casm["bytecode"]) == made.bytecode_felts > 0
    assert made.sierra.stat().st_size == made.class_bytes
    assert len(json.loads(made.sierra.read_text())["sierra_program"]) == made.sierra_felts

    def no_compiler(*_: object) -> str:
        raise AssertionError("compiled again")

    with monkeypatch.context() as patch:
        patch.setattr(build, "_run", no_compiler)
        assert compile_folder(folder) == {"Tiny": made}
    (folder / "src" / "lib.cairo").write_text(CONTRACT % "value + value + 1")
    assert compile_folder(folder)["Tiny"].compiled_class_hash != made.compiled_class_hash


@pytest.mark.usefixtures("own_cache")
def test_the_compiled_class_hash_is_the_one_that_starknet_py_computes(tmp_path: Path) -> None:
    casm_class_hash = pytest.importorskip("starknet_py.hash.casm_class_hash")
    common, method = pytest.importorskip("starknet_py.common"), pytest.importorskip("starknet_py.hash.hash_method")
    made = compile_folder(package(tmp_path / "tiny", CONTRACT % "value * 2"))["Tiny"]
    casm = common.create_casm_class(made.casm.read_text())
    found = casm_class_hash.compute_casm_class_hash(casm, method.HashMethod.BLAKE2S)
    assert found == made.compiled_class_hash


@pytest.mark.usefixtures("own_cache")
def test_an_unaudited_libfunc_is_an_error(tmp_path: Path) -> None:
    # Cairo's own QM31 operations: Starknet runs them only once they have been audited.
    body = (
        "let [low, _, _, _] = core::qm31::QM31Trait::unpack(core::qm31::QM31Trait::new(1, 2, 3, 4)); low.into() * value"
    )
    with pytest.raises(BuildError, match=r"Libfunc qm31_\w+ is not allowed in the libfuncs list 'audited'"):
        compile_folder(package(tmp_path / "tiny", CONTRACT % body))
    assert list((tmp_path / "cache" / "octoproof" / "contracts").iterdir()) == []


@pytest.mark.usefixtures("own_cache")
def test_errors_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"lib\.cairo:9:9"):
        compile_folder(package(tmp_path / "tiny", CONTRACT % "missing"))


@pytest.mark.usefixtures("own_cache")
def test_a_failing_cairo_test_fails(tmp_path: Path) -> None:
    folder = package(tmp_path / "tiny", "#[test]\nfn wrong() { assert(1 == 2, 'not equal'); }")
    with pytest.raises(BuildError, match="not equal"):
        run_tests(folder)
    (folder / "src" / "lib.cairo").write_text("#[test]\nfn right() { assert(1 + 1 == 2, 'not equal'); }")
    assert "1 passed" in run_tests(folder, filter="right")


def test_an_unknown_package() -> None:
    with pytest.raises(BuildError, match="package: 'nothing' is not one of facts, "):
        compile_package("nothing")


def test_no_core_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAIRO_CORELIB", str(tmp_path))
    with pytest.raises(BuildError, match=r"^Cairo's core library: .* has no lib\.cairo$"):
        find_corelib()
    monkeypatch.delenv("CAIRO_CORELIB")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BuildError, match=r"^Cairo's core library: install Scarb 2\.19\.4, or set CAIRO_CORELIB"):
        find_corelib()


def test_a_core_library_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.cairo").touch()
    (tmp_path / "Scarb.toml").write_text('[package]\nname = "core"\nversion = "2.18.0"\n')
    monkeypatch.setenv("CAIRO_CORELIB", str(tmp_path / "src"))
    with pytest.raises(BuildError, match=r"is version 2\.18\.0, 2\.19\.4 is needed"):
        find_corelib()


def test_scarbs_core_library_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "scarb" / "registry" / "std" / "v2.19.4" / "core" / "src"
    place.mkdir(parents=True)
    (place / "lib.cairo").touch()
    monkeypatch.delenv("CAIRO_CORELIB", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_corelib() == place


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_builder.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"^Cairo compiler: needs cargo to be built; install Rust from rustup\.rs$"):
        find_builder()
    monkeypatch.setattr(build, "CONTRACTS", tmp_path)
    with pytest.raises(BuildError, match=r"^contracts: not in this installation; use a checkout of the project$"):
        find_builder()
    find_builder.cache_clear()
