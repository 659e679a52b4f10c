"""What is claimed, apart from the proof: AIR, channel, config, statement words, claimed sums (the oracle's spec)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from air.export import air_from_json, air_to_json
from air.field import QM31
from air.layout import Air, AirError
from air.relation import PublicTerm
from air.statements.native import NativeAir, native
from verifier.config import CHANNELS, PcsConfig
from verifier.errors import ParseError, PreprocessedRootError, ShapeError
from verifier.hashes import Hash, hasher
from verifier.merkle import commit
from verifier.polynomial import extend
from verifier.strict import boolean, fields, integer, integer_or_null, items, load_json, string

MAX_SPEC_JSON_BYTES = 256 << 20
PRODUCER = "octoproof"

_REQUIRED = ("air", "channel", "config", "mix_config")
_OPTIONAL = ("statement_u64", "claimed_sums", "public_terms", "preprocessed_root")
_INFORMATIVE = ("producer", "tree_log_sizes", "component_log_degree_bounds")
_CONFIG = ("pow_bits", "log_blowup_factor", "log_last_layer_degree_bound", "n_queries", "fold_step")


@dataclass(frozen=True)
class Spec:
    """A statement. `native` is set if the AIR was named instead of written out; `document` is the AIR as it was read.

    `preprocessed_root` None means: recomputed from the native AIR's public columns, or no columns at all.
    """

    air: Air
    channel: str
    config: PcsConfig
    mix_config: bool
    statement_u64: tuple[int, ...]
    claimed_sums: tuple[QM31, ...] = ()
    public_terms: tuple[PublicTerm, ...] = ()
    preprocessed_root: Hash | None = None
    native: NativeAir | None = None
    document: Mapping[str, Any] | None = None

    @property
    def balancing_terms(self) -> tuple[PublicTerm, ...]:
        """The public terms that count: those the AIR prescribes, or those of the spec."""
        return self.native.public_terms if self.native is not None else self.public_terms

    @cached_property
    def tree0_root(self) -> Hash:
        """The root that tree 0 must have, never the prover's word: named by the statement, or computed from public
        columns. Raises PreprocessedRootError if neither is possible."""
        hashing = hasher(self.channel)
        if not self.air.preprocessed:
            known: Hash = hashing.empty
        elif self.native is not None:
            blowup, lifting = self.config.log_blowup_factor, self.config.lifting_log_size
            known = commit([extend(column, blowup) for column in self.native.preprocessed()], lifting, hashing)
        elif self.preprocessed_root is not None:
            return self.preprocessed_root
        else:
            raise PreprocessedRootError("preprocessed_root: missing; an AIR with preprocessed columns needs one")
        if self.preprocessed_root not in (None, known):
            raise PreprocessedRootError("preprocessed_root: not the root of this AIR's tree 0")
        return known


def spec_from_json(text: str | bytes) -> Spec:
    """Reads a spec. Raises ParseError naming the field, or a VerificationError for a wrong shape."""
    root = fields(load_json(text, "spec", MAX_SPEC_JSON_BYTES), "spec", _REQUIRED, _OPTIONAL + _INFORMATIVE)
    document = root["air"]
    air, named = _air(document)
    channel = string(root["channel"], "channel")
    if channel not in CHANNELS:
        raise ParseError(f"channel: unknown {channel[:40]!r}, known are {', '.join(CHANNELS)}")
    digits = root.get("preprocessed_root")
    return Spec(
        air=air,
        channel=channel,
        config=config_from_json(root["config"]),
        mix_config=boolean(root["mix_config"], "mix_config"),
        statement_u64=tuple(integer(v, "statement_u64") for v in items(root.get("statement_u64", []), "statement_u64")),
        claimed_sums=tuple(_sum(v) for v in items(root.get("claimed_sums", []), "claimed_sums")),
        public_terms=tuple(_term(v) for v in items(root.get("public_terms", []), "public_terms")),
        preprocessed_root=None
        if digits is None
        else hasher(channel).from_hex(string(digits, "preprocessed_root"), "preprocessed_root"),
        native=named,
        document=document,
    )


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """The oracle's document, with its informative fields."""
    document = spec.document
    if document is None:
        document = {"name": "expr", "json": air_to_json(spec.air)}
    out: dict[str, Any] = {
        "producer": PRODUCER,
        "air": dict(document),
        "channel": spec.channel,
        "config": config_to_json(spec.config),
        "mix_config": spec.mix_config,
        "statement_u64": list(spec.statement_u64),
        "claimed_sums": [list(v.coordinates()) for v in spec.claimed_sums],
    }
    if spec.public_terms:
        out["public_terms"] = [
            {"relation": t.relation, "multiplicity": t.multiplicity, "values": list(t.values)}
            for t in spec.public_terms
        ]
    if spec.preprocessed_root is not None:
        out["preprocessed_root"] = hasher(spec.channel).to_hex(spec.preprocessed_root)
    out["tree_log_sizes"] = [list(tree) for tree in spec.air.tree_log_sizes]
    out["component_log_degree_bounds"] = [c.log_size + 1 for c in spec.air.components]
    return out


def config_from_json(document: Any) -> PcsConfig:
    """The flat form of specs."""
    root = fields(document, "config", _CONFIG, ("lifting_log_size",))
    lifting = integer_or_null(root.get("lifting_log_size"), "config.lifting_log_size")
    return PcsConfig(lifting_log_size=lifting, **{name: integer(root[name], f"config.{name}") for name in _CONFIG})


def config_to_json(config: PcsConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in (*_CONFIG, "lifting_log_size")}


def _air(document: Any) -> tuple[Air, NativeAir | None]:
    if not isinstance(document, dict):
        raise ParseError("air: must be an object")
    try:
        if document.get("name") == "expr":
            return air_from_json(fields(document, "air", ("name", "json"))["json"]), None
        named = native(document)
        return named.air, named
    except AirError as error:
        raise ParseError(str(error)) from None


def _sum(document: Any) -> QM31:
    values = items(document, "claimed_sums")
    if len(values) != 4:
        raise ShapeError("claimed_sums: every sum is [a, b, c, d]")
    return QM31(*(integer(v, "claimed_sums") for v in values))


def _term(document: Any) -> PublicTerm:
    root = fields(document, "public_terms", ("relation", "multiplicity", "values"))
    return PublicTerm(
        integer(root["relation"], "public_terms.relation"),
        integer(root["multiplicity"], "public_terms.multiplicity"),
        _integers(root["values"]),
    )


def _integers(document: Any) -> tuple[int, ...]:
    values: Sequence[Any] = items(document, "public_terms.values")
    return tuple(integer(v, "public_terms.values") for v in values)
