"""What CONFORMANCE.md claims: each of its lines, with Stwo itself as the other side."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verifier.config import CHANNELS
from verifier.errors import ParseError, VerificationError
from verifier.proof import proof_from_json, proof_to_json
from verifier.spec import spec_from_json
from verifier.stark import verify_stark

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "fixtures"
NAMES = sorted(p.name.removesuffix(".spec.json") for p in FIXTURES.glob("*.spec.json"))
QUICK = ("expr_plonk_6", "plonk_7_m31", "row_fib_mixed_7_5", "wide_fib_10x6_fold3_last2", "wide_fib_6x20_poseidon")
CASE = "range_check_t6_u8"
CONFIG = {"pow_bits": 5, "log_blowup_factor": 1, "log_last_layer_degree_bound": 0, "n_queries": 3, "fold_step": 1}


def read(name: str) -> tuple[str, str]:
    return tuple((FIXTURES / f"{name}.{kind}.json").read_text() for kind in ("spec", "proof"))


def ours(spec: str, proof: str) -> bool:
    try:
        claim = spec_from_json(spec)
        verify_stark(claim, proof_from_json(proof, claim.channel))
    except (ParseError, VerificationError):
        return False
    return True


@pytest.fixture
def theirs(oracle: Path, tmp_path: Path) -> Callable[[str, str], bool]:
    def verdict(spec: str, proof: str) -> bool:
        (tmp_path / "spec").write_text(spec)
        (tmp_path / "proof").write_text(proof)
        command = [str(oracle), "verify", str(tmp_path / "spec"), str(tmp_path / "proof")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == done.stdout.startswith("ACCEPTED")
        return done.returncode == 0

    return verdict


def ours_proves(document: dict[str, Any], folder: Path) -> tuple[str, str]:
    """(spec, proof) by the command line."""
    names = [folder / name for name in ("in", "proof", "spec")]
    names[0].write_text(json.dumps(document))
    command = ["stark", "prove", names[0], "--out", names[1], "--out-spec", names[2]]
    done = subprocess.run([sys.executable, "-m", "octoproof", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return names[2].read_text(), names[1].read_text()


@pytest.mark.parametrize("name", NAMES)
def test_stwos_proofs_are_accepted_by_both(name: str, theirs: Callable[[str, str], bool]) -> None:
    spec, proof = read(name)
    assert ours(spec, proof)
    assert theirs(spec, proof)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_our_proofs_are_stwos_byte_for_byte(name: str) -> None:
    from octoproof.cli.stark import run_once

    spec, trace = spec_from_json(read(name)[0]), FIXTURES / f"{name}.trace.bin"
    if spec.native is None and not trace.is_file():
        pytest.skip("no trace of this one is kept")
    run = run_once(spec, trace if spec.native is None else None, 1)
    assert proof_to_json(run.proved.proof, spec.channel) == read(name)[1].strip()


def first(value: Any) -> list[Any]:
    """The list that holds the first integer."""
    return value if isinstance(value[0], int) else first(value[0])


def bump(items: list[Any]) -> None:
    items[0] = (items[0] + 1) % 256


TAMPERED: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "trace root": lambda s, p: bump(p["commitments"][1]),
    "tree 0 root": lambda s, p: bump(p["commitments"][0]),
    "roots swapped": lambda s, p: p["commitments"].reverse(),
    "tree dropped": lambda s, p: p["commitments"].pop(),
    "sample": lambda s, p: bump(first(p["sampled_values"][1])),
    "sample of P": lambda s, p: first(p["sampled_values"][1]).__setitem__(0, 2**31 - 1),
    "sample missing": lambda s, p: p["sampled_values"][1][0].pop(),
    "column missing": lambda s, p: p["sampled_values"][1].pop(),
    "opened value": lambda s, p: bump(first(p["queried_values"][1])),
    "opened value missing": lambda s, p: p["queried_values"][1][0].pop(),
    "Merkle witness": lambda s, p: bump(p["decommitments"][1]["hash_witness"][0]),
    "Merkle witness short": lambda s, p: p["decommitments"][1]["hash_witness"].pop(),
    "Merkle witness long": lambda s, p: p["decommitments"][1]["hash_witness"].append([0] * 32),
    "nonce": lambda s, p: p.update(proof_of_work=p["proof_of_work"] + 1),
    "FRI root": lambda s, p: bump(p["fri_proof"]["inner_layers"][0]["commitment"]),
    "FRI layer dropped": lambda s, p: p["fri_proof"]["inner_layers"].pop(),
    "FRI witness": lambda s, p: bump(first(p["fri_proof"]["first_layer"]["fri_witness"])),
    "last layer": lambda s, p: bump(first(p["fri_proof"]["last_layer_poly"]["coeffs"])),
    "last layer longer": lambda s, p: p["fri_proof"]["last_layer_poly"]["coeffs"].append([[0, 0], [0, 0]]),
    "last layer's log_size": lambda s, p: p["fri_proof"]["last_layer_poly"].update(log_size=1),
    "fewer queries in the proof's config": lambda s, p: p["config"]["fri_config"].update(n_queries=1),
    "fewer queries in both configs": lambda s, p: (
        p["config"]["fri_config"].update(n_queries=1),
        s["config"].update(n_queries=1),
    ),
    "less work in both configs": lambda s, p: (p["config"].update(pow_bits=1), s["config"].update(pow_bits=1)),
    "config not mixed": lambda s, p: s.update(mix_config=False),
    "statement words": lambda s, p: s.update(statement_u64=[1]),
    "claimed sum": lambda s, p: bump(s["claimed_sums"][0]),
    "claimed sums shifted, total kept": lambda s, p: (bump(s["claimed_sums"][0]), s["claimed_sums"][1].__setitem__(
        0, (s["claimed_sums"][1][0] - 1) % (2**31 - 1))),
    "claimed sum missing": lambda s, p: s["claimed_sums"].pop(),
    "channel": lambda s, p: s.update(channel="blake2s_m31"),
    "AIR parameter": lambda s, p: s["air"].update(table_log=7),
    "key missing": lambda s, p: p.pop("fri_proof"),
    "float": lambda s, p: p.update(proof_of_work=float(p["proof_of_work"])),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered_artefacts_are_refused_by_both(what: str, theirs: Callable[[str, str], bool]) -> None:
    spec, proof = (json.loads(text) for text in read(CASE))
    TAMPERED[what](spec, proof)
    documents = json.dumps(spec), json.dumps(proof)
    assert not ours(*documents)
    assert not theirs(*documents)


@pytest.mark.parametrize("where", ["proof", "proof.config", "spec"])
def test_stricter_unknown_keys(where: str, theirs: Callable[[str, str], bool]) -> None:
    spec, proof = (json.loads(text) for text in read(CASE))
    {"proof": proof, "proof.config": proof["config"], "spec": spec}[where]["note"] = 1
    documents = json.dumps(spec), json.dumps(proof)
    assert not ours(*documents)
    assert theirs(*documents)


def test_laxer_tree_0_lower_than_the_others(theirs: Callable[[str, str], bool], tmp_path: Path) -> None:
    """Positions of a lower tree come unsorted; Stwo 2.3.0 does not sort them, and refuses an honest proof."""
    air = {"name": "range_check", "table_log": 4, "users": [{"log_size": 8, "n_cols": 2, "batch": 2}]}
    document = {"air": air, "channel": "blake2s", "mix_config": True, "statement_u64": [4, 8]}
    documents = ours_proves({**document, "config": CONFIG | {"n_queries": 40}}, tmp_path)
    assert ours(*documents)
    assert not theirs(*documents)
    documents = ours_proves({**document, "config": CONFIG | {"n_queries": 40, "lifting_log_size": 9}}, tmp_path)
    assert ours(*documents)
    assert theirs(*documents)


def test_laxer_lifting_without_tree_0(theirs: Callable[[str, str], bool], tmp_path: Path) -> None:
    """Stwo 2.3.0 wants openings of an empty tree that its prover never makes."""
    air = {"name": "wide_fib", "components": [{"log_size": 5, "n_cols": 4}]}
    document = {"air": air, "channel": "blake2s", "mix_config": True, "statement_u64": [5]}
    documents = ours_proves({**document, "config": CONFIG | {"lifting_log_size": 8}}, tmp_path)
    assert ours(*documents)
    assert not theirs(*documents)


def test_the_page_lists_all_cases() -> None:
    page = (ROOT / "CONFORMANCE.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(NAMES)
    assert all(f"`{channel}`" in page for channel in CHANNELS)
    assert f"{len(TAMPERED)} tampered artefacts" in page
