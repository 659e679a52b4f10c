"""The plain prover of the tests against Stwo's proofs, then proofs that Stwo's own verifier cannot take, and cheats."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from air.component import build
from air.statements.native import native
from air.statements.row_fib import RowFib
from air.statements.wide_fib import WideFib
from verifier.config import PRESETS, PcsConfig
from verifier.errors import FriError, MerkleError, OodsError, VerificationError
from verifier.hashes import hasher
from verifier.merkle import commit, preprocessed_positions, verify_rows
from verifier.polynomial import extend
from verifier.proof import proof_to_json
from verifier.spec import Spec
from verifier.stark import verify_stark

CHANNELS = ("blake2s", "blake2s_m31", "poseidon252")


@pytest.mark.parametrize(
    "name",
    ["wide_fib_5x4_default", "wide_fib_6x8_noconfigmix", "row_fib_6", "wide_fib_mixed_5_8_6", "wide_fib_9x10_fold2"],
)
def test_makes_stwo_s_bytes(name, case, reference):
    c = case(name)
    proof = reference.prove(c.spec, c.spec.native.preprocessed(), c.spec.native.main())
    assert proof_to_json(proof, c.spec.channel) == c.proof_text


def native_spec(document, config, channel="blake2s", words=(7,)):
    made = native(document)
    root = None
    if made.air.preprocessed:
        columns = [extend(c, config.log_blowup_factor) for c in made.preprocessed()]
        root = commit(columns, config.lifting_log_size, hasher(channel))
    return made, Spec(made.air, channel, config, True, tuple(words), preprocessed_root=root)


def test_low_tree_0_with_unsorted_positions(reference, monkeypatch):
    """Queries 1 and 2 map to 1 and 0 of a lower tree: Stwo rejects its own proof there, ours is accepted."""
    parts = [WideFib(6, 3), RowFib(4, 5)]
    air = build(parts)
    config = PcsConfig(0, 1, 0, 24)
    tree0 = parts[1].tree0()
    main = [column for part in parts for column in part.trace()]
    root = commit([extend(c, 1) for c in tree0], None, hasher("blake2s"))
    mapped = []

    def recorded(*args):
        mapped.append(preprocessed_positions(*args))
        return mapped[-1]

    monkeypatch.setattr(reference, "preprocessed_positions", recorded)
    for word in range(6):
        spec = Spec(air, "blake2s", config, True, (word,), preprocessed_root=root)
        proof = reference.prove(spec, tree0, main)
        verify_stark(spec, proof)
        witness = proof.decommitments[0]
        if witness:
            with pytest.raises(MerkleError):
                verify_stark(spec, dataclasses.replace(proof, decommitments=(witness[::-1], *proof.decommitments[1:])))
        # Rows at the same position must agree.
        values = [list(map(list, tree)) for tree in proof.queried_values]
        values[0][0][3] = (values[0][0][3] + 1) % 2
        bad = tuple(tuple(tuple(column) for column in tree) for tree in values)
        with pytest.raises(MerkleError):
            verify_stark(spec, dataclasses.replace(proof, queried_values=bad))
    assert all(np.any(np.diff(positions) < 0) for positions in mapped)


def test_positions_map_unsorted():
    mapped = preprocessed_positions(np.array([1, 2, 3, 4]), 3, 5)
    assert mapped.tolist() == [1, 0, 1, 0]
    higher = preprocessed_positions(np.array([1, 2, 3, 4]), 6, 5)
    assert higher.tolist() == [1, 4, 5, 8]


def test_rows_in_any_order():
    kind = hasher("blake2s")
    leaves = np.arange(16, dtype=np.uint32).reshape(8, 2)
    root = commit([leaves[:, 0], leaves[:, 1]], None, kind)
    tree = [kind.leaves(leaves)]
    while len(tree[-1]) > 1:
        tree.append([kind.node(*tree[-1][k : k + 2]) for k in range(0, len(tree[-1]), 2)])
    positions = np.array([5, 0, 5, 1])
    witness = [tree[0][4], tree[1][1], tree[1][3]]
    verify_rows(kind, root, 3, positions, leaves[positions], witness, "test")
    rows = leaves[positions].copy()
    rows[2, 0] += 1
    with pytest.raises(MerkleError, match="two different rows"):
        verify_rows(kind, root, 3, positions, rows, witness, "test")
    for outside in (8, -1):
        with pytest.raises(MerkleError, match="outside"):
            verify_rows(kind, root, 3, np.array([outside]), leaves[:1], [], "test")


@pytest.mark.parametrize("channel", CHANNELS)
def test_lifting_without_preprocessed_columns(channel, reference):
    config = PcsConfig(2, 1, 0, 5, lifting_log_size=7)
    made, spec = native_spec({"name": "wide_fib", "components": [{"log_size": 4, "n_cols": 3}]}, config, channel)
    verify_stark(spec, reference.prove(spec, [], made.main()))


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("blowup", [1, 3])
def test_fold_steps(step, blowup, reference):
    config = PcsConfig(3, blowup, 0, 7, fold_step=step)
    made, spec = native_spec({"name": "row_fib", "components": [{"log_size": 5, "x0": 4}]}, config)
    proof = reference.prove(spec, made.preprocessed(), made.main())
    verify_stark(spec, proof)
    with pytest.raises(VerificationError):
        verify_stark(dataclasses.replace(spec, statement_u64=(8,)), proof)


def test_false_trace(reference):
    config = PRESETS["test"]
    made, spec = native_spec({"name": "row_fib", "components": [{"log_size": 5, "x0": 4}]}, config)
    main = [c.copy() for c in made.main()]
    main[1][3] += 1
    with pytest.raises(VerificationError):
        verify_stark(spec, reference.prove(spec, made.preprocessed(), main))


def test_lie_about_a_sample(reference):
    config = PcsConfig(0, 1, 0, 20)
    made, spec = native_spec({"name": "row_fib", "components": [{"log_size": 5, "x0": 4}]}, config)
    columns = made.preprocessed(), made.main()
    with pytest.raises(OodsError):
        verify_stark(spec, reference.prove(spec, *columns, tamper=_sample_lie))


def _sample_lie(name, value):
    if name != "sampled":
        return value
    first, (column, *rest), composition = value[0], value[1], value[2]
    return (first, ((column[0] + 1, *column[1:]), *rest), composition)


def test_quotients_of_high_degree(reference):
    """A prover that commits to noise instead of the quotients, and folds it honestly."""
    rng = np.random.default_rng(3)
    config = PcsConfig(0, 1, 0, 20)
    made, spec = native_spec({"name": "row_fib", "components": [{"log_size": 5, "x0": 4}]}, config)

    def noise(name, value):
        return rng.integers(0, 2**31 - 1, size=value.shape, dtype=np.uint64) if name == "quotients" else value

    with pytest.raises((FriError, MerkleError)):
        verify_stark(spec, reference.prove(spec, made.preprocessed(), made.main(), tamper=noise))
