"""The proof as a value, and Stwo's JSON form of it both ways (PROTOCOL 13).

Parsing is not verifying: what comes out of `proof_from_json` has the right types and names, nothing more. Numbers may
still be out of range and lists of any length; `stark.verify_stark` refuses those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from air.field import QM31
from verifier.config import PcsConfig
from verifier.errors import EncodingError, ParseError, ShapeError
from verifier.hashes import Hash, hasher
from verifier.strict import fields, integer, integer_or_null, items, load_json, string

MAX_PROOF_JSON_BYTES = 256 << 20

SampledValues = tuple[tuple[tuple[QM31, ...], ...], ...]
QueriedValues = tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True)
class FriLayerProof:
    """One committed layer: its root, the values of its opened blocks that are not queries, and the Merkle witness."""

    fri_witness: tuple[QM31, ...]
    hash_witness: tuple[Hash, ...]
    commitment: Hash


@dataclass(frozen=True)
class LastLayer:
    """The polynomial that is sent in the clear; coefficients in stored (bit-reversed) order."""

    coeffs: tuple[QM31, ...]
    log_size: int


@dataclass(frozen=True)
class FriProof:
    first_layer: FriLayerProof
    inner_layers: tuple[FriLayerProof, ...]
    last_layer: LastLayer


@dataclass(frozen=True)
class StarkProof:
    """`sampled_values` and `queried_values` are indexed [tree][column], the composition tree last."""

    config: PcsConfig
    commitments: tuple[Hash, ...]
    sampled_values: SampledValues
    decommitments: tuple[tuple[Hash, ...], ...]
    queried_values: QueriedValues
    proof_of_work: int
    fri_proof: FriProof


def proof_from_json(text: str | bytes, channel: str) -> StarkProof:
    """Reads Stwo's JSON. Raises ParseError (no JSON, wrong type, wrong keys) or a VerificationError (wrong shape)."""
    numeric = hasher(channel).numeric
    root = fields(
        load_json(text, "proof", MAX_PROOF_JSON_BYTES),
        "proof",
        (
            "config",
            "commitments",
            "sampled_values",
            "decommitments",
            "queried_values",
            "proof_of_work",
            "fri_proof",
        ),
    )
    return StarkProof(
        config=_config(root["config"]),
        commitments=tuple(_hash(h, "commitments", numeric) for h in items(root["commitments"], "commitments")),
        sampled_values=tuple(
            tuple(
                tuple(_felt(v, "sampled_values") for v in items(c, "sampled_values"))
                for c in items(t, "sampled_values")
            )
            for t in items(root["sampled_values"], "sampled_values")
        ),
        decommitments=tuple(
            _witness(d, "decommitments", numeric) for d in items(root["decommitments"], "decommitments")
        ),
        queried_values=tuple(
            tuple(_integers(c, "queried_values") for c in items(t, "queried_values"))
            for t in items(root["queried_values"], "queried_values")
        ),
        proof_of_work=integer(root["proof_of_work"], "proof_of_work"),
        fri_proof=_fri(root["fri_proof"], numeric),
    )


def _config(document: Any) -> PcsConfig:
    root = fields(document, "config", ("pow_bits", "fri_config", "lifting_log_size"))
    names = ("log_blowup_factor", "log_last_layer_degree_bound", "n_queries", "fold_step")
    fri = fields(root["fri_config"], "config.fri_config", names)
    return PcsConfig(
        pow_bits=integer(root["pow_bits"], "config.pow_bits"),
        lifting_log_size=integer_or_null(root["lifting_log_size"], "config.lifting_log_size"),
        **{name: integer(fri[name], f"config.fri_config.{name}") for name in names},
    )


def _fri(document: Any, numeric: bool) -> FriProof:
    root = fields(document, "fri_proof", ("first_layer", "inner_layers", "last_layer_poly"))
    last = fields(root["last_layer_poly"], "last_layer_poly", ("coeffs", "log_size"))
    return FriProof(
        _layer(root["first_layer"], "first_layer", numeric),
        tuple(_layer(x, "inner_layers", numeric) for x in items(root["inner_layers"], "inner_layers")),
        LastLayer(
            tuple(_felt(c, "last_layer_poly.coeffs") for c in items(last["coeffs"], "last_layer_poly.coeffs")),
            integer(last["log_size"], "last_layer_poly.log_size"),
        ),
    )


def _layer(document: Any, where: str, numeric: bool) -> FriLayerProof:
    root = fields(document, where, ("fri_witness", "decommitment", "commitment"))
    return FriLayerProof(
        tuple(_felt(v, f"{where}.fri_witness") for v in items(root["fri_witness"], f"{where}.fri_witness")),
        _witness(root["decommitment"], f"{where}.decommitment", numeric),
        _hash(root["commitment"], f"{where}.commitment", numeric),
    )


def _witness(document: Any, where: str, numeric: bool) -> tuple[Hash, ...]:
    root = fields(document, where, ("hash_witness",))
    return tuple(_hash(h, f"{where}.hash_witness", numeric) for h in items(root["hash_witness"], where))


def _integers(document: Any, where: str) -> tuple[int, ...]:
    values = items(document, where)
    if not set(map(type, values)) <= {int}:
        raise ParseError(f"{where}: must be a list of integers")
    return tuple(values)


def _felt(document: Any, where: str) -> QM31:
    """[[a, b], [c, d]]."""
    pairs = items(document, where)
    values = tuple(value for pair in pairs for value in items(pair, where))
    if len(pairs) != 2 or len(values) != 4 or len(pairs[0]) != 2:
        raise ShapeError(f"{where}: a secure field element is [[a, b], [c, d]]")
    if not set(map(type, values)) <= {int}:
        raise ParseError(f"{where}: must hold integers")
    return QM31(*values)


def _hash(document: Any, where: str, numeric: bool) -> Hash:
    """32 byte values, or for Poseidon252 a decimal string."""
    if numeric:
        text = string(document, where)
        if not (0 < len(text) <= 80 and text.isascii() and text.isdigit() and str(int(text)) == text):
            raise EncodingError(f"{where}: a felt252 is a decimal string without leading zeros")
        return int(text)
    values = _integers(document, where)
    if len(values) != 32:
        raise ShapeError(f"{where}: a hash has 32 bytes, not {len(values)}")
    try:
        return bytes(values)
    except ValueError:
        raise EncodingError(f"{where}: a byte of a hash is out of range") from None


def proof_to_json(proof: StarkProof, channel: str) -> str:
    """Byte for byte what serde_json writes for Stwo's `StarkProof`."""
    numeric, config, fri = hasher(channel).numeric, proof.config, proof.fri_proof

    def digest(value: Hash) -> Any:
        return str(value) if numeric else list(value)  # type: ignore[arg-type]

    def felt(value: QM31) -> Any:
        return [[value.a, value.b], [value.c, value.d]]

    def witness(hashes: tuple[Hash, ...]) -> Any:
        return {"hash_witness": [digest(h) for h in hashes]}

    def layer(value: FriLayerProof) -> Any:
        return {
            "fri_witness": [felt(v) for v in value.fri_witness],
            "decommitment": witness(value.hash_witness),
            "commitment": digest(value.commitment),
        }

    document = {
        "config": {
            "pow_bits": config.pow_bits,
            "fri_config": {
                "log_blowup_factor": config.log_blowup_factor,
                "log_last_layer_degree_bound": config.log_last_layer_degree_bound,
                "n_queries": config.n_queries,
                "fold_step": config.fold_step,
            },
            "lifting_log_size": config.lifting_log_size,
        },
        "commitments": [digest(h) for h in proof.commitments],
        "sampled_values": [[[felt(v) for v in column] for column in tree] for tree in proof.sampled_values],
        "decommitments": [witness(hashes) for hashes in proof.decommitments],
        "queried_values": proof.queried_values,
        "proof_of_work": proof.proof_of_work,
        "fri_proof": {
            "first_layer": layer(fri.first_layer),
            "inner_layers": [layer(x) for x in fri.inner_layers],
            "last_layer_poly": {
                "coeffs": [felt(c) for c in fri.last_layer.coeffs],
                "log_size": fri.last_layer.log_size,
            },
        },
    }
    return json.dumps(document, separators=(",", ":"))
