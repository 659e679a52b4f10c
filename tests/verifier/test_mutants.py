"""One number of a proof or a spec changed: never accepted, never another exception than the two promised.

Mutants are made on the JSON documents, so that parsing is part of what is attacked. The sample is spread over every
kind of leaf, which a uniform one would not be: nine leaves of ten are bytes of hashes.
"""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict

import pytest

from air.field import P
from verifier.errors import ParseError, VerificationError
from verifier.proof import proof_from_json
from verifier.spec import spec_from_json
from verifier.stark import verify_stark

PER_KIND = {"blake2s": 1, "blake2s_m31": 1, "poseidon252": 1}


def leaves(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


def kinds(document):
    """Leaves grouped by the names on their path and the tree they belong to."""
    groups = defaultdict(list)
    for path, value in leaves(document):
        names = tuple(p for p in path if isinstance(p, str))
        tree = path[1] if len(path) > 1 and path[0] in ("sampled_values", "queried_values", "decommitments") else None
        groups[names, tree].append((path, value))
    return groups


def replaced(document, path, value):
    out = copy.deepcopy(document)
    node = out
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return out


def changes(value, rng):
    """Other values for one leaf."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        near = (value + 1) % 256 if value < 256 else (value + rng.choice([1, 1 << 30])) % P
        return [near, rng.choice([P, value + P, -1, 1 << 32, 1 << 64, 10**30])]
    if isinstance(value, str):
        return [str(int(value) + 1)] if value.isdigit() else []
    return [7]


def refused(spec, document, channel, expected=(VerificationError,)):
    with pytest.raises(expected):
        verify_stark(spec, proof_from_json(json.dumps(document), channel))


def test_every_kind_of_leaf(fixture_name, case):
    c = case(fixture_name)
    rng = random.Random(fixture_name)
    document = json.loads(c.proof_text)
    count = 0
    for (names, _), members in kinds(document).items():
        for path, value in rng.sample(members, min(PER_KIND[c.spec.channel], len(members))):
            for other in changes(value, rng):
                if names[:1] == ("config",) and other == value:
                    continue
                refused(c.spec, replaced(document, path, other), c.spec.channel)
                count += 1
    assert count > 20


def test_judge_style_mutants(fixture_name, case):
    """What the acceptance judge does: uniform leaves outside config, one step further."""
    c = case(fixture_name)
    rng = random.Random(9073)
    document = json.loads(c.proof_text)
    paths = [(p, v) for p, v in leaves(document) if p[0] != "config" and isinstance(v, int)]
    for path, value in rng.sample(paths, 5):
        near = (value + 1) % 256 if value < 256 else (value + rng.choice([1, 2**30])) % P
        refused(c.spec, replaced(document, path, near), c.spec.channel)


# A statement's numbers, claimed sums, constants of the AIR, relations, public terms: all bind.
IGNORED = {"producer", "tree_log_sizes", "component_log_degree_bounds", "version"}


def verify_text(spec_text, proof):
    return verify_stark(spec_from_json(spec_text), proof)


@pytest.mark.parametrize(
    "name", ["plonk_8", "range_check_t6_u8", "row_fib_mixed_7_5", "wide_fib_mixed_5_8_6", "expr_plonk_6", "expr_topk_8"]
)
def test_every_number_of_the_spec(name, case):
    c = case(name)
    document = json.loads(c.spec_text)
    rng = random.Random(name)
    groups = defaultdict(list)
    for path, value in leaves(document):
        if path[0] not in IGNORED and path[-1] not in ("id", "name", "version", "channel") and "relations" not in path:
            groups[tuple(p for p in path if isinstance(p, str))].append((path, value))
    tried = 0
    for names, members in groups.items():
        for path, value in rng.sample(members, min(4, len(members))):
            if isinstance(value, str) and names[-1] != "preprocessed_root":
                continue
            if path == ("air", "json", "components", 1, "batch"):
                continue  # of a component with one fraction: batches of 1 and of 2 are the same AIR
            other = value + 1 if type(value) is int else "00" * 32 if isinstance(value, str) else not value
            text = json.dumps(replaced(document, path, other if value is not None else 9))
            with pytest.raises((VerificationError, ParseError)):
                verify_text(text, c.proof)
            tried += 1
    assert tried > 10


def test_another_proof_of_the_same_shape_is_refused(case):
    """Every part of a proof belongs to the statement: a valid proof of another one is none."""
    one, other = case("expr_plonk_6"), case("plonk_6_lifted9")
    with pytest.raises(VerificationError):
        verify_stark(one.spec, other.proof)


@pytest.mark.parametrize("mix", [True, False])
def test_the_config_is_bound(case, mix):
    import dataclasses

    c = case("wide_fib_6x8_noconfigmix" if not mix else "wide_fib_5x4_default")
    with pytest.raises(VerificationError):
        verify_stark(dataclasses.replace(c.spec, mix_config=not mix), c.proof)
