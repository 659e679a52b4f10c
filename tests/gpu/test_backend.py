"""Whole proofs on the device: the same bytes as the CPU's, which Stwo accepts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from air.component import build
from air.layout import Air
from air.statements.native import native
from air.statements.poseidon2 import Poseidon2
from air.statements.topk import TopK, topk_air, topk_trace
from air.statements.wide_fib import WideFib
from gpu import trace
from gpu.backend import GpuBackend
from prover.cpu import CpuBackend
from prover.prove import ProvingError, prove
from verifier.config import PRESETS, PcsConfig
from verifier.errors import ParseError
from verifier.proof import proof_to_json
from verifier.spec import config_to_json


@dataclass(frozen=True)
class Case:
    """An AIR with its columns."""

    air: Air
    preprocessed: Any
    main: Any
    statement: tuple[int, ...] = ()


def from_native(**document) -> Case:
    made = native(document)
    return Case(made.air, made.preprocessed, made.main, made.statement_u64)


def poseidon2() -> Case:
    component = Poseidon2(4, 1)
    start = np.arange(16 * 4, dtype=np.uint32).reshape(4, 16)
    return Case(build([component]), list, lambda: component.trace(start))


def topk() -> Case:
    rng, n = np.random.default_rng(1), 5
    component = TopK(n, "l2", (3, -7, 2), -40, 1, (0,), (2,))
    x, codes = rng.integers(-9, 10, (3, 1 << n)), rng.integers(0, 4, (1, 1 << n), dtype=np.uint32)
    norms, live = (x * x).sum(axis=0), rng.integers(0, 8, 1 << n) > 0
    scores = (2 * np.array(component.query) @ x - norms).astype(np.int32)
    tree0 = [*x, norms, np.arange(1 << n), 0 * norms, 0 * norms, live, *codes]
    columns = [(column.astype(np.int64) % (2**31 - 1)).astype(np.uint32) for column in tree0]
    return Case(topk_air(component), lambda: columns, lambda: topk_trace(component, scores, live, codes))


CASES = {
    "wide_fib": from_native(name="wide_fib", components=[{"log_size": 6, "n_cols": 12}]),
    "wide_fib of two sizes": from_native(
        name="wide_fib", components=[{"log_size": 5, "n_cols": 4}, {"log_size": 7, "n_cols": 3}]
    ),
    "row_fib": from_native(name="row_fib", components=[{"log_size": 6, "x0": 7}]),
    "range_check": from_native(
        name="range_check",
        table_log=5,
        users=[{"log_size": 6, "n_cols": 3, "batch": 2}, {"log_size": 4, "n_cols": 1, "batch": 1}],
    ),
    "plonk": from_native(name="plonk", log_size=6, a0=2, b0=3),
    "poseidon2": poseidon2(),
    "topk": topk(),
}
CONFIGS = {
    "test": PRESETS["test"],
    "folding": PcsConfig(2, 2, 1, 5, fold_step=2),
    "lifted": PcsConfig(1, 1, 0, 3, lifting_log_size=13),
}


def proofs(case: Case, config: PcsConfig, backend: Any, channel: str = "blake2s") -> str:
    proved = prove(
        case.air,
        [column.copy() for column in case.preprocessed()],
        [column.copy() for column in case.main()],
        config=config,
        backend=backend,
        channel=channel,
        statement_u64=case.statement,
    )
    return proof_to_json(proved.proof, channel) + repr(proved.claimed_sums) + repr(proved.preprocessed_root)


@pytest.mark.parametrize(
    ("name", "config"),
    [(name, config) for name in CASES for config in CONFIGS if name != "poseidon2" or config == "folding"],
)
def test_the_proof_is_the_cpus(device, name, config):
    case, config = CASES[name], CONFIGS[config]
    assert proofs(case, config, GpuBackend(device)) == proofs(case, config, CpuBackend(2))


def test_reduced_hashes_and_hidden_layers(device):
    """Trees of 2^16 leaves keep no digest of their lowest layers."""
    case = from_native(name="wide_fib", components=[{"log_size": 15, "n_cols": 3}])
    found = proofs(case, PRESETS["test"], GpuBackend(device), "blake2s_m31")
    assert found == proofs(case, PRESETS["test"], CpuBackend(2), "blake2s_m31")


def test_nothing_comes_from_the_host_where_the_trace_is_made_on_the_device(device, monkeypatch):
    """Only constants and tables of addresses are sent, and no column comes back."""
    component, case = WideFib(8, 40), from_native(name="wide_fib", components=[{"log_size": 8, "n_cols": 40}])
    upload, download, sizes = device.upload, device.download, []

    def watched(move):
        def wrapper(array):
            sizes.append(array.size)
            return move(array)

        return wrapper

    monkeypatch.setattr(device, "upload", watched(upload))
    monkeypatch.setattr(device, "download", watched(download))
    columns = trace.wide_fib(device, component)
    proved = prove(case.air, [], columns, config=PRESETS["test"], backend=GpuBackend(device), statement_u64=(8,))
    assert columns == []
    assert max(sizes) < 1 << 9  # a column has 2^8 values, its extension 2^9, the trace 40 times as many
    assert proof_to_json(proved.proof, "blake2s") in proofs(case, PRESETS["test"], CpuBackend(2))


def test_a_committed_tree_serves_many_proofs(device):
    case, config, backend = CASES["topk"], PRESETS["test"], GpuBackend(device)
    tree = backend.commit(case.preprocessed(), config, "blake2s", keep=True)
    wanted = proofs(case, config, CpuBackend(2))
    for _ in range(2):
        proved = prove(case.air, tree, case.main(), config=config, backend=backend)
        assert proof_to_json(proved.proof, "blake2s") in wanted


def test_a_broken_witness_is_refused_on_the_device_too(device):
    case = CASES["plonk"]
    main = case.main()
    main[3][5] ^= 1
    with pytest.raises(ProvingError, match="does not satisfy"):
        prove(case.air, case.preprocessed(), main, config=PRESETS["test"], backend=GpuBackend(device))


def test_poseidon252_is_left_to_the_cpu(device):
    assert "poseidon252" not in GpuBackend.hash_names
    with pytest.raises(ParseError, match="device: a card does not hash poseidon252; use --device cpu"):
        prove(CASES["wide_fib"].air, [], [], config=PRESETS["test"], backend=GpuBackend(device), channel="poseidon252")


@pytest.mark.parametrize("name", ["plonk", "range_check"])
def test_stwo_accepts_the_proof(device, oracle, tmp_path, name):
    document = {
        "plonk": {"name": "plonk", "log_size": 6, "a0": 2, "b0": 3},
        "range_check": {"name": name, "table_log": 5, "users": [{"log_size": 6, "n_cols": 3, "batch": 2}]},
    }[name]
    case, config = from_native(**document), PcsConfig(2, 1, 0, 3, lifting_log_size=8)
    proved = prove(
        case.air,
        case.preprocessed(),
        case.main(),
        config=config,
        backend=GpuBackend(device),
        statement_u64=case.statement,
    )
    spec = {
        "air": document,
        "channel": "blake2s",
        "config": config_to_json(config),
        "mix_config": True,
        "statement_u64": list(case.statement),
        "claimed_sums": [list(total.coordinates()) for total in proved.claimed_sums],
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    (tmp_path / "proof.json").write_text(proof_to_json(proved.proof, "blake2s"))
    command = [str(oracle), "verify", str(tmp_path / "spec.json"), str(tmp_path / "proof.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
