"""Each building block against Stwo's test vectors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from air import arrays, circle
from air.field import QM31
from verifier.channel import channel as new_channel
from verifier.config import PcsConfig
from verifier.fri import FriLayer, evaluate_line, fold, fold_points
from verifier.hashes import hasher
from verifier.merkle import commit, leaf_order, lifted_positions, verify_leaves, verify_rows
from verifier.polynomial import evaluate, interpolate
from verifier.quotients import group_terms, quotient_terms, quotients_at
from verifier.stark import draw_queries, query_points

CHANNELS = ("blake2s", "blake2s_m31", "poseidon252")


def felt(values):
    return QM31.of(values)


def secure_point(pair):
    return (felt(pair[0]), felt(pair[1]))


def digest_of(name, text):
    return int(text, 16) if name == "poseidon252" else bytes.fromhex(text)


def grind(channel, bits):
    nonce = 0
    while not channel.verify_pow_nonce(bits, nonce):
        nonce += 1
    return nonce


@pytest.mark.parametrize("name", CHANNELS)
def test_channel_script(vectors, name):
    channel = new_channel(name)
    for step in vectors("channel")[name]:
        match step["op"]:
            case "default":
                pass
            case "mix_felts":
                channel.mix_felts([felt(f) for f in step["in"]])
            case "mix_u32s":
                channel.mix_u32s(step["in"])
            case "mix_u64":
                channel.mix_u64(int(step["in"]))
            case "mix_root":
                root = step["in"]
                channel.mix_root(int(root) if name == "poseidon252" else bytes.fromhex(root))
            case "draw_secure_felt":
                assert channel.draw_secure_felt() == felt(step["out"])
            case "draw_secure_felts":
                assert channel.draw_secure_felts(step["n"]) == [felt(f) for f in step["out"]]
            case "draw_u32s":
                assert channel.draw_u32s() == step["out"]
            case "grind":
                assert channel.verify_pow_nonce(step["n_bits"], step["nonce_simd"])
                assert grind(channel, step["n_bits"]) == step["nonce_smallest"]
            case "draw_queries" | "draw_queries_same_state":
                found = draw_queries(copy.copy(channel), step["n"], step["log_domain_size"])
                assert found.tolist() == sorted(set(step["out"]))
                if "fold_2" in step:
                    assert np.unique(found >> 2).tolist() == step["fold_2"]
            case "pcs_config_mix_into":
                c = step["config"]
                config = PcsConfig(c["pow_bits"], lifting_log_size=c["lifting_log_size"], **c["fri_config"])
                config.mix_into(channel)
            case other:
                pytest.fail(f"unknown step {other}")
        if "digest" in step:
            assert channel.digest == digest_of(name, step["digest"]), step["op"]


def as_hash(name, text):
    return int(text) if name == "poseidon252" else bytes.fromhex(text)


@pytest.mark.parametrize("name", CHANNELS)
def test_merkle(vectors, name):
    kind = hasher(name)
    for case in vectors("merkle")[name]:
        root = as_hash(name, case["root"])
        if not case["column_log_sizes"]:
            # The CPU backend's vector; see `hashes` for what the SIMD backend's proofs have with Poseidon252.
            assert kind.empty == (0 if name == "poseidon252" else root)
            continue
        columns = [np.array(c, dtype=np.uint32) for c in case["columns"]]
        sizes, height = case["column_log_sizes"], case["height"]
        witness = [as_hash(name, h) for h in case["hash_witness"]]
        queries = np.array(case["queries"], dtype=np.int64)
        if case["packed"]:
            rows = np.stack(columns, axis=1).reshape(-1, 16)
            leaves = kind.leaves(rows[queries])
            verify_leaves(kind, root, height, queries.tolist(), leaves, witness, "test")
            continue
        assert commit(columns, height, kind) == root
        opened = [c[lifted_positions(queries, n, height)] for c, n in zip(columns, sizes, strict=True)]
        assert [v.tolist() for v in opened] == case["queried_values"]
        rows = np.stack([opened[k] for k in leaf_order(sizes)], axis=1)
        verify_rows(kind, root, height, queries, rows, witness, "test")


def test_fft(vectors):
    for case in vectors("fft")["cases"]:
        n, values = case["log_size"], np.array(case["values_bit_reversed"])
        assert interpolate(values).tolist() == case["coeffs"]
        assert evaluate(case["coeffs"], n).tolist() == values.tolist()
        for extra in (1, 2):
            if f"lde_{extra}" in case:
                assert evaluate(case["coeffs"], n + extra).tolist() == case[f"lde_{extra}"]
        if quarter := case.get("evaluations_on_first_quarter_of_log_size_plus_2"):
            assert evaluate(case["coeffs"], n + 2)[: 1 << n].tolist() == quarter


def test_fft_of_many_columns_at_once():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2**31 - 1, size=(3, 64), dtype=np.uint64)
    assert np.array_equal(interpolate(values), np.stack([interpolate(v) for v in values]))
    assert np.array_equal(evaluate(interpolate(values), 6), values)


def test_line_polynomial(vectors):
    case = vectors("fft")["line_interpolation"]
    n = case["log_size"]
    stored = [felt(c) for c in case["coeffs_stored_order"]]
    index = circle.bit_reversal(n) * (1 << (31 - n)) + (1 << (29 - n))
    x, _ = circle.points(index)
    assert evaluate_line(stored, x).tolist() == case["values_bit_reversed"]


def test_folds(vectors):
    for case in vectors("fri")["folds"]:
        n, alpha = case["log_size"], felt(case["alpha"])
        values = np.array(case["values"], dtype=np.uint64)
        blocks = np.arange(1 << (n - 2), dtype=np.int64)
        circle_index, line_index = fold_points(FriLayer(n - 1, n, 2, True), True, blocks)
        _, y = circle.points(circle_index.reshape(-1))
        folded = fold(values, arrays.inv(y), arrays.qarray([alpha]))
        assert folded.tolist() == case["circle_to_line"]
        x, _ = circle.points(line_index.reshape(-1))
        again = fold(folded, arrays.inv(x), arrays.qarray([alpha * alpha]))
        assert again.tolist() == case["then_line_fold_with_alpha_squared"]


def test_fold_of_a_block(vectors):
    for case in vectors("fri")["fold_coset"]:
        step, n, alpha = case["fold_step"], case["line_log_size"], felt(case["alpha"])
        block = np.array([case["first_position"] >> step], dtype=np.int64)
        values = np.array(case["values"], dtype=np.uint64)[None]
        for index in fold_points(FriLayer(n - 1, n, step, False), False, block):
            x, _ = circle.points(index)
            values = fold(values, arrays.inv(x), arrays.qarray([alpha]))
            alpha = alpha * alpha
        assert values[0, 0].tolist() == case["out"]


def test_quotients(vectors):
    case = vectors("quotients")
    lifting, blowup = case["lifting_log_size"], case["log_blowup"]
    sizes, columns, points, sampled = [], [], [], []
    positions = np.arange(1 << lifting, dtype=np.int64)
    flat = iter(zip(case["columns"], case["samples"], strict=True))
    for _ in range(2):
        tree = [next(flat) for _ in range(len(case["columns"]) // 2)]
        sizes.append([column["log_size"] for column, _ in tree])
        points.append([[secure_point(s["point"]) for s in samples] for _, samples in tree])
        sampled.append([[felt(s["value"]) for s in samples] for _, samples in tree])
        for column, _ in tree:
            extended = evaluate(column["coeffs"], column["log_size"] + blowup)
            columns.append(extended[lifted_positions(positions, column["log_size"] + blowup, lifting)])
    terms = quotient_terms(sizes, points, sampled, blowup, lifting)
    groups = group_terms(terms, [len(tree) for tree in sizes])
    x, y = query_points(positions, lifting)
    found = quotients_at(groups, felt(case["random_coeff"]), np.stack(columns), x, y, len(terms))
    assert found.tolist() == case["quotients"]


def test_field_arrays_against_scalars(vectors):
    for case in vectors("fields")["qm31"]:
        product = arrays.qmul(arrays.qarray([felt(case["a"])]), arrays.qarray([felt(case["b"])]))
        assert product[0].tolist() == case["mul"]
