"""What every attack starts from: honest proofs, a prover that can be weakened, and verdicts."""

from __future__ import annotations

import copy
import importlib.util
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import verifier.stark
from air.field import P
from air.relation import public_sum
from octoproof.cli import main
from octoproof.trace_file import read_trace
from verifier.channel import channel as new_channel
from verifier.config import PcsConfig
from verifier.errors import VerificationError
from verifier.proof import StarkProof, proof_from_json, proof_to_json
from verifier.receipt import Part, statement_spec
from verifier.spec import Spec, spec_from_json, spec_to_json
from verifier.stark import verify_stark

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
NO_WORK = PcsConfig(pow_bits=0, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=3)


@dataclass(frozen=True)
class Case:
    """One of Stwo's proofs, with the columns it was made from."""

    spec: Spec
    proof: StarkProof
    columns: tuple[list[Any], list[Any]]


@cache
def _case(name: str) -> Case:
    spec = spec_from_json((FIXTURES / f"{name}.spec.json").read_bytes())
    proof = proof_from_json((FIXTURES / f"{name}.proof.json").read_bytes(), spec.channel)
    trace = FIXTURES / f"{name}.trace.bin"
    columns: Any = ([], [])
    if spec.native is not None:
        columns = (spec.native.preprocessed(), spec.native.main())
    elif trace.exists():
        columns = read_trace(trace, spec.air)
    return Case(spec, proof, columns)


@pytest.fixture
def case() -> Callable[[str], Case]:
    """case(name): immutable parts, except for the columns, which are copied."""
    return lambda name: copy.deepcopy(_case(name))


def _module(name: str) -> ModuleType:
    """A file beside this one. Tests are not packages: they import it by the name that it is registered under here."""
    description = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    sys.modules[name] = module
    description.loader.exec_module(module)
    return module


_reference, _topk_world = _module("reference_prover"), _module("topk_world")
Prover = _reference.ReferenceProver


@pytest.fixture
def reference() -> ModuleType:
    """The module `reference_prover`."""
    return _reference


class FalseSamples(Prover):
    """Lies about one sampled value so that the out-of-domain check holds: the quotients are no polynomial then."""

    def sample(self) -> Any:
        from verifier.sampling import composition_at, composition_claim

        honest = super().sample()
        wanted = composition_at(
            self.air, honest, self.elements, self.claimed_sums, self.coefficient, self.oods, self.degree
        )
        lie = honest[-1][0][0] + wanted - composition_claim(honest, self.oods, self.degree)
        return (*honest[:-1], ((lie,), *honest[-1][1:]))


@pytest.fixture
def liar() -> type:
    return FalseSamples


class FreeSums(Prover):
    """Lies about the first claimed sum so that all of them balance."""

    def interaction(self) -> Any:
        columns, sums = super().interaction()
        surplus = sum(sums, public_sum(self.spec.balancing_terms, self.elements))
        return columns, [sums[0] - surplus, *sums[1:]]


@pytest.fixture
def part() -> Callable[..., Part]:
    """part(statement, segment, columns, free): a proof of top-k; with `free`, its claimed sums are made to balance."""

    def prove(claim: Any, segment: Any, columns: list[Any] | None = None, free: bool = False) -> Part:
        spec = statement_spec(claim, _topk_world.KEY.channel, _topk_world.CONFIG)
        made = _topk_world.witness(segment, claim) if columns is None else columns
        spec, proof = (FreeSums if free else Prover)(spec, segment.tree0(), made).prove()
        return Part(tuple(claim.encode()), spec.channel, spec.claimed_sums, proof)

    return prove


class Deaf:
    """A channel that does not hear some mixes: (operation, its running number). What weak Fiat-Shamir is."""

    def __init__(self, inner: Any, skip: Sequence[tuple[str, int]]) -> None:
        self._inner, self._skip, self._seen = inner, set(skip), Counter()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("mix_"):
            return getattr(self._inner, name)

        def mix(value: Any) -> None:
            number = self._seen[name]
            self._seen[name] += 1
            if (name, number) not in self._skip:
                getattr(self._inner, name)(value)

        return mix

    def __deepcopy__(self, memo: Any) -> Deaf:
        twin = Deaf(copy.deepcopy(self._inner), tuple(self._skip))
        twin._seen = Counter(self._seen)
        return twin


@pytest.fixture
def deaf() -> Callable[..., Callable[[str], Any]]:
    """deaf(("mix_root", 3), ...): a factory of channels to give to a prover."""
    return lambda *skip: lambda name: Deaf(new_channel(name), skip)


@pytest.fixture
def weak_verifier(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Verifies with the same deaf channel: shows that a forgery works where the check it attacks is missing."""

    def verify(factory: Callable[[str], Any], spec: Spec, proof: StarkProof) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(verifier.stark, "channel", factory)
            verify_stark(spec, proof)

    return verify


@pytest.fixture
def refused() -> Callable[..., None]:
    """refused(error, spec, proof): the verifier raises exactly this class."""

    def check(error: type[VerificationError], spec: Spec, proof: StarkProof) -> None:
        with pytest.raises(VerificationError) as caught:
            verify_stark(spec, proof)
        assert caught.type is error, f"{caught.type.__name__}: {caught.value}"

    return check


@pytest.fixture
def command(tmp_path: Path) -> Callable[[Spec, StarkProof], int]:
    """Exit code of `octoproof stark verify`, inside this process: starting one takes longer than all else here."""

    def run(spec: Spec, proof: StarkProof) -> int:
        files = [tmp_path / "spec.json", tmp_path / "proof.json"]
        files[0].write_text(json.dumps(spec_to_json(spec)))
        files[1].write_text(proof_to_json(proof, spec.channel))
        interrupt = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as end:
                main(["stark", "verify", *map(str, files)])
        finally:
            signal.signal(signal.SIGINT, interrupt)
        return end.value.code or 0

    return run


@pytest.fixture
def oracle_accepts(oracle: Path, tmp_path: Path) -> Callable[[Spec, StarkProof], bool]:
    """Verdict of Stwo itself."""

    def run(spec: Spec, proof: StarkProof) -> bool:
        files = [tmp_path / "oracle.spec.json", tmp_path / "oracle.proof.json"]
        files[0].write_text(json.dumps(spec_to_json(spec)))
        files[1].write_text(proof_to_json(proof, spec.channel))
        return subprocess.run([oracle, "verify", *map(str, files)], capture_output=True).returncode == 0

    return run


@pytest.fixture
def without_work() -> Callable[..., Spec]:
    """The same statement with a config of 3 queries and no proof of work, so that errors after it are seen."""
    return lambda spec, **changes: replace(spec, config=replace(NO_WORK, **changes))


def solve(rows: Sequence[Sequence[int]], target: Sequence[int]) -> list[int]:
    """One solution of rows * x = target over M31, by elimination."""
    system = [[*row, value] for row, value in zip(rows, target, strict=True)]
    pivots = []
    for column in range(len(rows[0])):
        top = len(pivots)
        found = next((k for k in range(top, len(system)) if system[k][column] % P), None)
        if found is None:
            continue
        system[top], system[found] = system[found], system[top]
        scale = pow(system[top][column], P - 2, P)
        system[top] = [v * scale % P for v in system[top]]
        for k, row in enumerate(system):
            if k != top and row[column]:
                system[k] = [(v - row[column] * w) % P for v, w in zip(row, system[top], strict=True)]
        pivots.append(column)
        if len(pivots) == len(system):
            break
    assert not any(row[-1] for row in system[len(pivots) :]), "no solution"
    out = [0] * len(rows[0])
    for row, column in zip(system, pivots, strict=False):
        out[column] = row[-1]
    return out


@pytest.fixture
def linear() -> Callable[..., list[int]]:
    return solve
