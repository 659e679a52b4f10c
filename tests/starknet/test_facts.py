"""The fact contracts with real proofs, in the Cairo runner: what becomes a fact, for whom, and what never does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from air.statements.native import native
from air.statements.snapshot import PlacedSegment, snapshot_root
from air.statements.topk_statement import TOPK, TopkStatement
from octoproof.device import backend
from octoproof.starknet import presets
from octoproof.starknet.calldata import proof_to_felts
from octoproof.starknet.limits import MAX_CALLDATA_FELTS
from octoproof.starknet.statements import (
    PLONK,
    RANGE_CHECK,
    WIDE_FIB,
    native_digest,
    topk_answer_felts,
    topk_felts,
    topk_result_digest,
)
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import ask, quantise_query
from prover.prove import prove
from tests.starknet.cairo import constant, need_compiler, run_cairo
from verifier.config import PRESETS
from verifier.receipt import Part, read_receipt, statement_spec
from verifier.security import security
from verifier.spec import Spec

LOG_SIZE = 10
pytestmark = pytest.mark.slow  # half a minute: all contracts are compiled into the test
IMPORTS = (
    "octoproof_facts::contracts::plonk::{IPlonkFactsDispatcher, IPlonkFactsDispatcherTrait, PlonkFacts}",
    "octoproof_facts::contracts::range_check::{IRangeCheckFactsDispatcher, IRangeCheckFactsDispatcherTrait}",
    "octoproof_facts::contracts::range_check::RangeCheckFacts",
    "octoproof_facts::contracts::topk::{ITopkFactsDispatcher, ITopkFactsDispatcherTrait, TopkFacts}",
    "octoproof_facts::contracts::wide_fib::{IWideFibFactsDispatcher, IWideFibFactsDispatcherTrait, WideFibFacts}",
    "octoproof_facts::native::{Plonk, RangeCheck, WideFib}",
    "octoproof_facts::store::{IFactsDispatcher, IFactsDispatcherTrait, Security}",
    "octoproof_facts::topk_result::TopkAnswer",
    "octoproof_facts::topk_statement::TopkStatement",
    "starknet::{ClassHash, ContractAddress}",
    "starknet::syscalls::deploy_syscall",
    "starknet::testing::pop_log",
)
HELPERS = """
fn deployed(class: ClassHash) -> ContractAddress {
    let (address, _) = deploy_syscall(class, 0, array![].span(), false).unwrap();
    address
}

fn topk() -> ITopkFactsDispatcher {
    ITopkFactsDispatcher { contract_address: deployed(TopkFacts::TEST_CLASS_HASH) }
}

fn held(address: ContractAddress) -> IFactsDispatcher {
    IFactsDispatcher { contract_address: address }
}

fn statement(mut felts: Span<felt252>) -> TopkStatement {
    Serde::deserialize(ref felts).unwrap()
}

fn answer(mut felts: Span<felt252>) -> TopkAnswer {
    Serde::deserialize(ref felts).unwrap()
}

fn changed(felts: Span<felt252>, place: u32) -> Span<felt252> {
    let mut out = array![];
    out.append_span(felts.slice(0, place));
    out.append(*felts[place] + 1);
    out.append_span(felts.slice(place + 1, felts.len() - place - 1));
    out.span()
}
"""


@dataclass(frozen=True)
class World:
    """The parts of one answer, and by preset the proof of each as felts."""

    parts: tuple[TopkStatement, ...]
    proofs: dict[str, tuple[tuple[int, ...], ...]]

    @property
    def body(self) -> str:
        """Statements S0, S1, proofs P0, P1 (cheap) and Q0, Q1 (proven), the answer A."""
        body = HELPERS + constant("A", topk_answer_felts(self.parts))
        for k, claim in enumerate(self.parts):
            body += constant(f"S{k}", topk_felts(claim))
            for letter, preset in zip("PQ", presets.ONCHAIN, strict=True):
                body += constant(f"{letter}{k}", self.proofs[preset][k])
        return body


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A query over two segments of 100 dimensions, proven under both presets."""
    need_compiler()
    vectors = np.random.default_rng(4).standard_normal((1900, 100)).astype(np.float32)
    folder = tmp_path_factory.mktemp("world") / "snapshot"
    snapshot = build_snapshot(vectors, folder, segment_rows=1 << LOG_SIZE, presets=("onchain",))
    answer, proofs = ask(snapshot, quantise_query(snapshot, vectors[1500]), 5, "l2"), {}
    with backend() as device:
        for preset in presets.ONCHAIN:
            parts = read_receipt(prove_answer(answer, preset, backend=device)).parts
            proofs[preset] = tuple(_felts(part) for part in parts if isinstance(part, Part))
    return World(tuple(TOPK.decode(part.statement) for part in parts), proofs)


def _felts(part: Part) -> tuple[int, ...]:
    spec = statement_spec(TOPK.decode(part.statement), part.channel, part.proof.config, part.claimed_sums)
    return proof_to_felts(spec, part.proof)


def number(value: bytes) -> str:
    return f"{int.from_bytes(value, 'big'):#x}_u256"


def tenths(worth: dict[str, Any]) -> tuple[int, int]:
    return round(worth["conjectured"] * 10), round(worth["proven"] * 10)


def accepted(world: World) -> str:
    """Each part by its proof, the result from the parts; both know their bits, and a second time nothing happens."""
    cheap, proven = (security(PRESETS[name], presets.topk(LOG_SIZE)) for name in presets.ONCHAIN)
    (c, p), (cc, pp) = tenths(cheap), tenths(proven)
    rows = len(TOPK.result(world.parts))
    first, result = number(world.parts[0].digest()), number(topk_result_digest(world.parts))
    return f"""
fn told(address: ContractAddress) -> Option<TopkFacts::Event> {{
    pop_log(address)
}}

#[test]
fn topk_parts_and_result() {{
    let topk = topk();
    let (address, held) = (topk.contract_address, held(topk.contract_address));
    assert(!held.is_fact({first}, 0, 0), 'not yet');
    assert(topk.verify_topk('onchain', statement(S0.span()), P0.span()) == {first}, 'digest');
    assert(held.is_fact({first}, {c}, {p}), 'a fact');
    assert(!held.is_fact({first}, {c + 1}, 0) && !held.is_fact({first}, 0, {p + 1}), 'no better');
    topk.verify_topk('onchain', statement(S1.span()), P1.span());
    assert(topk.combine_topk(answer(A.span())) == {result}, 'result');
    assert(held.security_of({result}) == Security {{ conjectured: {c - 10}, proven: {p - 10} }}, 'two parts');
    for _ in 0..3_u32 {{
        let _ = told(address).unwrap();
    }}
    let event = TopkFacts::Event::ResultStored(
        TopkFacts::ResultStored {{
            digest: {result}, snapshot_root: {number(world.parts[0].snapshot_root)}, rows: {rows},
        }},
    );
    assert(told(address) == Some(event), 'event');
    topk.verify_topk('onchain', statement(S0.span()), P0.span());
    topk.combine_topk(answer(A.span()));
    assert(told(address).is_none(), 'told twice');
    topk.verify_topk('onchain-proven', statement(S0.span()), Q0.span());
    assert(held.security_of({first}) == Security {{ conjectured: {max(c, cc)}, proven: {max(p, pp)} }}, 'better');
    assert(told(address).is_some() && told(address).is_none(), 'told of the better proof');
}}
"""


# By name: preset, statement and proof of a call, and the panic.
REFUSED = {
    "another_threshold": ("'onchain'", "changed(S0.span(), THRESHOLD)", "P0.span()", "'logup: not balanced'"),
    "another_proof": ("'onchain'", "S0.span()", "P1.span()", "'logup: not balanced'"),
    "another_preset": ("'onchain-proven'", "S0.span()", "P0.span()", "'logup: not balanced'"),
    "a_weaker_preset": ("'onchain'", "S0.span()", "Q0.span()", "'logup: not balanced'"),
    "no_preset": ("'bench'", "S0.span()", "P0.span()", "'preset', 'unknown'"),
    "no_proof": ("'onchain'", "S0.span()", "array![].span()", "'proof: too short'"),
    "half_a_proof": ("'onchain'", "S0.span()", "P0.span().slice(0, 700)", "'proof: too short'"),
    "changed_proof": ("'onchain'", "S0.span()", "changed(P0.span(), 300)", "'merkle: root'"),
    "another_root": ("'onchain'", "changed(S0.span(), 9)", "P0.span()", "'snapshot_root', 'not of header and segment'"),
    "more_dimensions": (
        "'onchain'",
        "changed(S0.span(), 0)",
        "P0.span()",
        "'snapshot.limit', 'scores could wrap around'",
    ),
}


def refused(world: World) -> str:
    threshold = len(topk_felts(world.parts[0])) - 2 - 2 * len(world.parts[0].emitted)
    body = f"const THRESHOLD: u32 = {threshold};\n"
    for name, (preset, felts, proof, panic) in REFUSED.items():
        body += refusal(f"topk_{name}", panic, f"topk().verify_topk({preset}, statement({felts}), {proof});")
    leaf = replace(world.parts[0].leaf, column_roots=())
    header = replace(world.parts[0].header, segments=1, rows=leaf.rows, live=leaf.live)
    placed, root = PlacedSegment(0, leaf, ()), snapshot_root(header, [leaf])
    bare = replace(world.parts[0], header=header, snapshot_root=root, segment=placed)
    body += constant("BARE", topk_felts(bare))
    call = "topk().verify_topk('onchain', statement(BARE.span()), P0.span());"
    return body + refusal("topk_no_column_root", "'segment.column_roots', 'none for this preset'", call)


def refusal(name: str, panic: str, code: str) -> str:
    """A test that the code panics with these data, inside a contract."""
    return f"#[test]\n#[should_panic(expected: ({panic}, 'ENTRYPOINT_FAILED'))]\nfn {name}() {{ {code} }}\n"


def incomplete(world: World) -> str:
    """A segment that is left out, told twice or told with other rows: the parts that are facts are not the whole."""
    one, two = world.parts
    cases = {
        "alone": ((one,), "'parts', 'a segment is missing'"),
        "twice": ((one, one), "'parts', 'not the segments asked for'"),
        "reversed": ((two, one), "'parts', 'not the segments asked for'"),
        "hidden": ((one, replace(two, emitted=two.emitted[1:])), "'threshold', 'not what the rows make it'"),
        "unproven": (
            (one, replace(two, segment=replace(two.segment, leaf=replace(two.leaf, version=9)))),
            "'parts', 'not a fact'",
        ),
    }
    body = ""
    for name, (parts, panic) in cases.items():
        body += constant(f"A_{name.upper()}", topk_answer_felts(parts))
        code = "let topk = topk(); topk.verify_topk('onchain', statement(S0.span()), P0.span());"
        code += " topk.verify_topk('onchain', statement(S1.span()), P1.span());"
        body += refusal(f"combine_{name}", panic, f"{code} topk.combine_topk(answer(A_{name.upper()}.span()));")
    return body


NATIVE: dict[str, tuple[dict[str, Any], str, bytes]] = {
    "wide_fib": (
        {"name": "wide_fib", "components": [{"log_size": LOG_SIZE, "n_cols": 24}]},
        f"WideFib {{ log_size: {LOG_SIZE}, columns: 24 }}",
        native_digest(WIDE_FIB, LOG_SIZE, 24),
    ),
    "range_check": (
        {"name": "range_check", "table_log": 10, "users": [{"log_size": LOG_SIZE, "n_cols": 3, "batch": 2}]},
        f"RangeCheck {{ table_log: 10, log_size: {LOG_SIZE}, columns: 3 }}",
        native_digest(RANGE_CHECK, 10, LOG_SIZE, 3),
    ),
    "plonk": (
        {"name": "plonk", "log_size": LOG_SIZE, "a0": 7, "b0": 2147483646},
        f"Plonk {{ log_size: {LOG_SIZE}, a0: 7, b0: 2147483646 }}",
        native_digest(PLONK, LOG_SIZE, 7, 2147483646),
    ),
}
CLASSES = {"wide_fib": "WideFibFacts", "range_check": "RangeCheckFacts", "plonk": "PlonkFacts"}
WRONG = {
    "wide_fib": [
        ("columns: 24", "columns: 25", "'columns', 'not 24'"),
        ("log_size: 10", "log_size: 11", "'oods: constraints'"),
        ("log_size: 10", "log_size: 21", "'log_size', 'out of bounds'"),
    ],
    "range_check": [
        ("columns: 3", "columns: 2", "'columns', 'not 3'"),
        ("table_log: 10", "table_log: 11", "'oods: constraints'"),
        ("log_size: 10,", "log_size: 11,", "'log_size', 'out of bounds'"),
    ],
    "plonk": [
        ("a0: 7", "a0: 8", "'logup: not balanced'"),
        ("b0: 2147483646", "b0: 2147483647", "'b0', 'not below 2^31 - 1'"),
        ("log_size: 10", "log_size: 11", "'logup: not balanced'"),
    ],
}


def textbook(name: str) -> str:
    """A textbook statement becomes a fact under both presets, and no other does by its proof."""
    document, claim, named = NATIVE[name]
    made, body, calls = native(document), "", []
    with backend() as device:
        for preset in presets.ONCHAIN:
            config, words, terms = PRESETS[preset], made.statement_u64, made.public_terms
            columns = made.preprocessed(), made.main()
            proved = prove(made.air, *columns, config=config, backend=device, statement_u64=words)
            root, sums = proved.proof.commitments[0], proved.claimed_sums
            spec = Spec(made.air, "blake2s", config, True, words, sums, terms, preprocessed_root=root)
            proof = f"{name}_{preset}".upper().replace("-", "_")
            body += constant(proof, proof_to_felts(spec, proved.proof))
            c, p = tenths(security(config, made.air))
            call = f"facts.verify_{name}('{preset}', {claim}, {proof}.span())"
            calls.append(f"assert({call} == {number(named)}, 'digest');")
            calls.append(f"assert(held(facts.contract_address).is_fact({number(named)}, {c}, {p}), '{preset}');")
    kind = CLASSES[name]
    deploy = f"let facts = I{kind}Dispatcher {{ contract_address: deployed({kind}::TEST_CLASS_HASH) }};"
    body += f"#[test]\nfn {name}_becomes_a_fact() {{ {deploy} {' '.join(calls)} }}\n"
    for case, (right, wrong, panic) in enumerate(WRONG[name]):
        call = f"facts.verify_{name}('onchain', {claim.replace(right, wrong)}, {name.upper()}_ONCHAIN.span());"
        body += refusal(f"{name}_wrong_{case}", panic, f"{deploy} {call}")
    return body


@pytest.fixture(scope="module")
def verdicts(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """All cases in one run: most of its time is the compiler's."""
    body = world.body + accepted(world) + refused(world) + incomplete(world) + "".join(map(textbook, NATIVE))
    found = run_cairo(tmp_path_factory.mktemp("facts"), IMPORTS, body, contracts=True)
    assert len(found) == body.count("#[test]")
    return found


@pytest.mark.parametrize("kind", ["topk", "combine", *CLASSES])
def test_facts(kind: str, verdicts: dict[str, bool]) -> None:
    own = {name: ok for name, ok in verdicts.items() if name.startswith(kind)}
    assert own
    assert [name for name, ok in own.items() if not ok] == []


def test_proofs_fit_in_a_transaction(world: World) -> None:
    for proofs in world.proofs.values():
        for claim, proof in zip(world.parts, proofs, strict=True):
            assert len(topk_felts(claim)) + len(proof) + 2 <= MAX_CALLDATA_FELTS
