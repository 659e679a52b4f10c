"""Every proof that Stwo 2.3.0 made is accepted, and comes back byte for byte from both of our encodings."""

from __future__ import annotations

import json

from verifier.proof import proof_to_json
from verifier.spec import spec_from_json, spec_to_json
from verifier.stark import verify_stark
from verifier.wire import proof_from_wire, proof_to_wire

PHASES = ["shape", "commitments", "constraints", "fri commit", "queries", "openings", "fri"]


def test_is_accepted(fixture_name, case):
    c = case(fixture_name)
    checks = verify_stark(c.spec, c.proof)
    assert [check.name for check in checks] == PHASES
    assert all(check.ms >= 0 for check in checks)


def test_json_round_trip_is_byte_exact(fixture_name, case):
    c = case(fixture_name)
    assert proof_to_json(c.proof, c.spec.channel) == c.proof_text


def test_wire_round_trip(fixture_name, case):
    c = case(fixture_name)
    data = proof_to_wire(c.proof, c.spec.channel)
    assert proof_from_wire(data) == (c.proof, c.spec.channel)
    assert len(data) < len(c.proof_text)


def test_spec_round_trip(fixture_name, case):
    c = case(fixture_name)
    again = spec_from_json(json.dumps(spec_to_json(c.spec)))
    assert spec_to_json(again) == spec_to_json(c.spec)
    ours, theirs = spec_to_json(c.spec), json.loads(c.spec_text)
    for key in set(theirs) - {"producer"}:
        assert ours[key] == theirs[key], key
    verify_stark(again, c.proof)
