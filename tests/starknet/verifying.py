"""Proofs of the AIRs that the Cairo verifier has, ours and the oracle's, and Cairo packages that verify them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from struct import unpack

import numpy as np

from air.circle import Column, to_rows, to_storage
from air.component import build
from air.export import air_to_json
from air.layout import Air
from air.relation import PublicTerm
from air.statements import plonk
from air.statements.range_check import RangeTable, RangeUser
from air.statements.topk import TopK, id_limbs, topk_air, topk_public_terms, topk_trace
from air.statements.wide_fib import WideFib
from octoproof.starknet.build import CONTRACTS, BuildError, run_tests
from octoproof.starknet.calldata import proof_to_felts
from prover.cpu import CpuBackend
from prover.prove import prove
from verifier.config import PcsConfig
from verifier.proof import StarkProof, proof_from_json
from verifier.spec import Spec, spec_from_json, spec_to_json

_MANIFEST = f"""\
[package]
name = "cases"
version = "0.1.0"
edition = "2024_07"

[dependencies]
octoproof_stark = {{ path = "{CONTRACTS / "stark"}" }}
starknet = "2.19.4"
"""
_RESULT = re.compile(r"^test \S*::(\w+) \.\.\. \S*?(ok|fail)\S* \(gas usage est\.: (\d+)\)", re.MULTILINE)
_PANIC = re.compile(r"::(\w+) - Panicked with [^(\n]*\(?'?([^')\n]*)")
PASSED = ""


@dataclass(frozen=True)
class Claim:
    """An AIR with its trace, and the same AIR as Cairo names it."""

    name: str
    cairo: str
    air: Air
    tree0: tuple[Column, ...]
    main: tuple[Column, ...]
    statement_u64: tuple[int, ...]
    public_terms: tuple[PublicTerm, ...] = ()


@dataclass(frozen=True)
class Case:
    """A proof and what it is verified against."""

    name: str
    cairo: str
    spec: Spec
    proof: StarkProof

    @property
    def felts(self) -> tuple[int, ...]:
        return proof_to_felts(self.spec, self.proof)


@dataclass(frozen=True)
class Outcome:
    """Why a Cairo test panicked, PASSED if it did not, and its Sierra gas."""

    panic: str
    gas: int


def wide_fib(log_size: int) -> Claim:
    component = WideFib(log_size, 24)
    cairo = f"wide_fib_24::WideFib24 {{ log_size: {log_size} }}"
    return Claim("wide_fib", cairo, build([component]), (), tuple(component.trace()), (log_size,))


def range_check(table_log: int, log_size: int) -> Claim:
    table, user = RangeTable(table_log), RangeUser(log_size, 3)
    used = user.trace(table_log, 0)
    cairo = f"range_check::RangeCheck {{ table_log: {table_log}, log_size: {log_size} }}"
    air, main = build([table, user]), (*table.trace(used), *used)
    return Claim("range_check", cairo, air, tuple(table.tree0()), main, (table_log, log_size))


def plonk_circuit(log_size: int) -> Claim:
    circuit = plonk.Plonk(log_size)
    main, terms = tuple(circuit.trace(3, 5)), plonk.public_terms(3, 5)
    cairo = f"plonk::Plonk {{ log_size: {log_size} }}"
    return Claim("plonk", cairo, build([circuit]), tuple(circuit.tree0()), main, (log_size, 3, 5), terms)


def topk(metric: str, log_size: int, dimension: int = 8) -> Claim:
    """The best rows of a random segment; its last two rows are dead."""
    rng = np.random.default_rng(log_size)
    rows = 1 << log_size
    x = rng.integers(-20, 21, (dimension, rows))
    query = tuple(int(v) for v in rng.integers(-20, 21, dimension))
    norm, live = (x * x).sum(axis=0), np.arange(rows) < rows - 2
    score = np.array(query) @ x if metric == "ip" else 2 * (np.array(query) @ x) - norm
    threshold = int(np.sort(score[live])[-3])
    ids = [1000 + (k << 30) for k in range(rows)]
    limbs = np.array([id_limbs(id) for id in ids]).T
    component = TopK(log_size, metric, query, threshold)
    columns = [*x, norm, *limbs, live]
    tree0 = tuple(to_storage((column % (2**31 - 1)).astype(np.uint32)) for column in columns)
    codes = np.zeros((0, rows), dtype=np.uint32)
    main = topk_trace(component, to_storage(score.astype(np.int32)), to_storage(live), codes)
    results = [(ids[k], int(score[k])) for k in range(rows) if live[k] and score[k] >= threshold]
    air = topk_air(component)
    parameters = ", ".join(str(v) for v in air.components[0].parameters)
    name = f"topk_{metric}_dim{dimension}"
    struct = "".join(part.capitalize() for part in name.split("_"))
    cairo = f"{name}::{struct} {{ log_size: {log_size}, parameters: array![{parameters}].span() }}"
    return Claim(name, cairo, air, tree0, tuple(main), (2**64 - 1, log_size), topk_public_terms(results))


def proven(claim: Claim, config: PcsConfig, name: str | None = None) -> Case:
    """By our prover on the CPU."""
    made = prove(
        claim.air,
        claim.tree0,
        [column.copy() for column in claim.main],
        config=config,
        statement_u64=claim.statement_u64,
        backend=CpuBackend(),
    )
    spec = _spec(claim, config)
    spec = replace(spec, claimed_sums=made.claimed_sums, preprocessed_root=made.preprocessed_root)
    return Case(name or claim.name, claim.cairo, spec, made.proof)


def proven_by_oracle(oracle: Path, folder: Path, claim: Claim, config: PcsConfig, name: str) -> Case:
    """By StarkWare's prover."""
    folder.mkdir()
    trace = np.concatenate([to_rows(column) for column in (*claim.tree0, *claim.main)])
    (folder / "trace.bin").write_bytes(trace.astype("<u4").tobytes())
    document = spec_to_json(_spec(claim, config)) | {"air": {"name": "expr", "json": air_to_json(claim.air)}}
    document["claimed_sums"] = [[0, 0, 0, 0] for _ in claim.air.with_fractions]
    (folder / "spec.json").write_text(json.dumps(document))
    files = {"--spec": "spec.json", "--trace": "trace.bin", "--out": "proof.json", "--out-spec": "made.json"}
    options = [part for option, file in files.items() for part in (option, str(folder / file))]
    subprocess.run([str(oracle), "prove", *options], check=True, capture_output=True)
    proof = proof_from_json((folder / "proof.json").read_text(), "blake2s")
    return Case(name, claim.cairo, spec_from_json((folder / "made.json").read_text()), proof)


def _spec(claim: Claim, config: PcsConfig) -> Spec:
    return Spec(
        air=claim.air,
        channel="blake2s",
        config=config,
        mix_config=True,
        statement_u64=claim.statement_u64,
        public_terms=claim.public_terms,
    )


def run(folder: Path, body: str) -> dict[str, Outcome]:
    """What became of each #[test] of `body`, by name."""
    sources = folder / "cases" / "src"
    sources.mkdir(parents=True)
    (folder / "cases" / "Scarb.toml").write_text(_MANIFEST)
    (sources / "lib.cairo").write_text(body)
    try:
        printed = run_tests(folder / "cases")
    except BuildError as error:  # a test that panics, or code that does not compile
        printed = str(error)
    panics = dict(_PANIC.findall(printed))
    found = {
        name: Outcome(PASSED if verdict == "ok" else panics[name], int(gas))
        for name, verdict, gas in _RESULT.findall(printed)
    }
    assert found, printed
    return found


def verify_cases(folder: Path, cases: Iterable[Case]) -> dict[str, Outcome]:
    """The Cairo verifier on each case."""
    return run(folder, IMPORTS + "".join(test_of(case.name, case, case.felts) for case in cases))


IMPORTS = """\
use octoproof_stark::airs;
use octoproof_stark::config::Config;
use octoproof_stark::verifier::{Claim, PublicTerm, verify};
"""


def test_of(name: str, case: Case, felts: Sequence[int]) -> str:
    """A test that verifies these felts."""
    return f"""
{constant(name.upper(), felts)}
#[test]
fn {name}() {{
    {call(case.cairo, case.spec, f"{name.upper()}.span()")}
}}
"""


test_of.__test__ = False  # type: ignore[attr-defined]


def constant(name: str, felts: Sequence[int]) -> str:
    return f"const {name}: [felt252; {len(felts)}] = [{', '.join(map(hex, felts))}];"


def call(cairo: str, spec: Spec, felts: str) -> str:
    """The statement that verifies `felts`, an expression."""
    c = spec.config
    root = ", ".join(map(str, unpack("<8I", spec.tree0_root)))  # type: ignore[arg-type]
    terms = ", ".join(
        f"PublicTerm {{ relation: {t.relation}, multiplicity: {t.multiplicity}, values: {_span(t.values)} }}"
        for t in spec.balancing_terms
    )
    return f"""verify(
        @airs::{cairo},
        Claim {{
            preprocessed_root: [{root}],
            statement_u64: {_span(spec.statement_u64)},
            public_terms: array![{terms}].span(),
        }},
        Config {{
            pow_bits: {c.pow_bits},
            log_blowup_factor: {c.log_blowup_factor},
            log_last_layer_degree_bound: {c.log_last_layer_degree_bound},
            n_queries: {c.n_queries},
            fold_step: {c.fold_step},
            lifting_log_size: {c.lifting_log_size or 0},
        }},
        {felts},
    );"""


def _span(values: Iterable[int]) -> str:
    return f"array![{', '.join(map(str, values))}].span()"
