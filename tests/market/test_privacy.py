"""Commitments, privacy levels and disclosure policies: what is hidden, what can be opened, by whom and when."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from hashlib import blake2s

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.commitments import (
    Disclosure,
    Opening,
    Record,
    SealedRecord,
    check_opening,
    commit,
    fresh_secret,
)
from octoproof.market.disclosure import KINDS, Approval, Asked, Policy, permit, read_policy
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.privacy import COMPLIANCE, LEVELS, decrypt, encrypt, seller_view

PROMPT = b"what does this rash mean, doctor?"
SECRET = bytes(range(32))


def record(prompt: bytes = PROMPT, secret: bytes = SECRET) -> Record:
    return Record({"request": prompt, "model": b"gpt-4", "provider": b"bob", "sequence": b"\0"}, secret)


@settings(deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(min_size=32, max_size=32))
def test_an_opening_opens_only_what_was_committed_to(message, other, randomness):
    opening = Opening(message, randomness)
    check_opening(opening.commitment, opening, "x")
    if other != message:
        with pytest.raises(RuleError, match="x: not what was committed to"):
            check_opening(opening.commitment, Opening(other, randomness), "x")
    with pytest.raises(RuleError):
        check_opening(opening.commitment, Opening(message, blake2s(randomness).digest()), "x")


@pytest.mark.parametrize("randomness", [b"", bytes(31), bytes(33)])
def test_randomness_of_another_size(randomness):
    with pytest.raises(RuleError):
        check_opening(bytes(32), Opening(PROMPT, randomness), "x")
    with pytest.raises(MarketError, match="not 32"):
        _ = Opening(PROMPT, randomness).commitment


def test_bytes_cannot_move_between_randomness_length_and_message():
    one = Opening(b"ab", bytes(32))
    for other in (
        Opening(b"a", bytes(32)),
        Opening(b"ab\0", bytes(32)),
        Opening(b"b", bytes(31) + b"a"),
        Opening(b"", bytes(32)),
    ):
        assert other.commitment != one.commitment


def test_equal_messages_have_unlike_commitments():
    assert commit(PROMPT).commitment != commit(PROMPT).commitment
    assert fresh_secret() != fresh_secret()
    for field in ("request", "model"):
        one, two = (dict(record(secret=s).sealed().commitments)[field] for s in (SECRET, bytes(32)))
        assert one != two


def test_nothing_secret_is_in_a_repr():
    opening, kept = commit(PROMPT), record()
    for text in (repr(opening), repr(kept), repr([kept.disclose(["request"])]), str(opening)):
        assert "rash" not in text
        assert repr(opening.randomness)[2:-1] not in text
        assert repr(SECRET)[2:-1] not in text


def test_fields_are_disclosed_one_by_one():
    disclosure = record().disclose(["model"])
    assert disclosure.values() == {"model": b"gpt-4"}
    assert disclosure.record.digest() == record().sealed().digest()
    # The randomness of one field is of no use for another.
    (_, opened), *_ = disclosure.opened
    with pytest.raises(RuleError):
        check_opening(dict(disclosure.record.commitments)["request"], Opening(PROMPT, opened.randomness), "request")


def test_disclosures_that_lie():
    honest = record().disclose(["model", "provider"])
    (_, model), (_, provider) = honest.opened
    for opened in (
        (("model", Opening(b"gpt-5", model.randomness)),),
        (("model", provider),),
        (("provider", model),),
        (("price", model),),
        (("model", model), ("model", model)),
    ):
        with pytest.raises(RuleError):
            replace(honest, opened=opened).values()
    twice = SealedRecord((*honest.record.commitments, ("model", bytes(32))))
    with pytest.raises(RuleError, match="twice"):
        Disclosure(twice, ()).values()


def test_a_record_binds_names_order_and_number_of_its_fields():
    sealed = record().sealed()
    first, second, *others = sealed.commitments
    changed = [
        (second, first, *others),
        sealed.commitments[1:],
        ((first[0], second[1]), (second[0], first[1]), *others),
    ]
    changed += [(("Request", first[1]), second, *others)]
    assert sealed.digest() not in {SealedRecord(tuple(c)).digest() for c in changed}


def test_records_that_cannot_be():
    with pytest.raises(MarketError, match="no field 'colour'"):
        record().disclose(["colour"])
    with pytest.raises(MarketError, match="32"):
        Record({"a" * 33: b""}, SECRET).sealed()
    with pytest.raises(MarketError, match="secret"):
        record(secret=b"short").sealed()


def fragments(secret: bytes, size: int = 4) -> list[bytes]:
    return [secret[k : k + size] for k in range(len(secret) - size + 1)]


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_the_sellers_view_holds_no_plaintext_no_randomness_and_no_key(level):
    key, kept = fresh_secret(), record(secret=fresh_secret())
    sealed = dict(kept.sealed().commitments)
    ciphertext = encrypt(PROMPT, key, sealed["request"])
    view = seller_view(level, kept, ciphertext, ("provider",) if LEVELS[level].chosen else ())
    sent = view.to_json()
    hidden = kept.disclose(["request"]).opened[0][1]
    allowed = {"standard": set(), "confidential": {"model"}, "private": set(), "sovereign": {"provider"}}[level]
    assert set(json.loads(sent)["opened"]) == set(view.disclosure.values()) == allowed
    for secret in (PROMPT, key, hidden.randomness, kept.secret, ciphertext):
        for piece in fragments(secret):
            assert piece.hex() not in sent
            assert piece not in sent.encode()
    assert (b"gpt-4".hex() in sent) == ("model" in allowed)
    # The user opens the commitment that the seller holds; anyone else's randomness does not.
    check_opening(bytes.fromhex(json.loads(sent)["record"]["request"]), hidden, "request")
    with pytest.raises(RuleError):
        check_opening(sealed["request"], Opening(PROMPT, fresh_secret()), "request")


def test_views_of_one_prompt_cannot_be_linked():
    views = []
    for _ in range(2):
        kept = record(secret=fresh_secret())
        key = fresh_secret()
        views.append(seller_view("standard", kept, encrypt(PROMPT, key, dict(kept.sealed().commitments)["request"])))
    one, two = (json.loads(view.to_json()) for view in views)
    assert one["ciphertext"] != two["ciphertext"]
    assert not set(one["record"].values()) & set(two["record"].values())


def test_who_chooses_what_the_seller_sees():
    with pytest.raises(MarketError, match="at level private the seller sees nothing"):
        seller_view("private", record(), b"", ["model"])
    with pytest.raises(MarketError, match="never shown"):
        seller_view("sovereign", record(), b"", ["request"])
    with pytest.raises(MarketError, match="unknown level"):
        seller_view("public", record(), b"")


def test_the_levels_of_the_source():
    assert [(level.price_bps, level.added_ms) for level in LEVELS.values()] == [
        (10_000, 10),
        (15_000, 50),
        (100_000, 500),
        (200_000, 1_000),
    ]
    assert COMPLIANCE == {"soc2": "confidential", "hipaa": "private", "gdpr": "sovereign", "finra": "private"}


def test_ciphertexts():
    key, commitment = bytes(32), bytes(32)
    sealed = encrypt(PROMPT, key, commitment)
    assert decrypt(sealed, key, commitment) == PROMPT
    assert encrypt(PROMPT, key, commitment) != sealed
    place = random.Random(3).randrange(len(sealed))
    flipped = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
    for wrong in (
        (flipped, key, commitment),
        (sealed, SECRET, commitment),
        (sealed, key, SECRET),
        (b"", key, commitment),
    ):
        with pytest.raises(RuleError, match="ciphertext"):
            decrypt(*wrong)
    with pytest.raises(MarketError, match="key: 16 bytes"):
        encrypt(PROMPT, bytes(16), commitment)


TWO = Policy("threshold", needed=2, signers=(7, 8, 9))
COMMITMENT = commit(PROMPT).commitment


def sign(key: int, message: bytes) -> bytes:
    return blake2s(message, key=key.to_bytes(32, "big")).digest()


def verify(key: int, message: bytes, signature: bytes) -> bool:
    return signature == sign(key, message)


def asked(*signers: int, now: int = 0, arbiter: str = "", asker: str = "eve", about: bytes = COMMITMENT) -> Asked:
    bare = Asked(about, asker, now, arbiter)
    return replace(bare, approvals=tuple(Approval(key, sign(key, bare.message())) for key in signers))


@pytest.mark.parametrize(
    ("policy", "request_", "allowed"),
    [
        (Policy("never"), asked(7, 8, 9, now=10**9, arbiter="eve"), False),
        (Policy("on_dispute"), asked(arbiter="eve"), True),
        (Policy("on_dispute"), asked(arbiter="judge"), False),
        (Policy("on_dispute"), asked(asker=""), False),
        (Policy("timer", reveal_after=100), asked(now=99), False),
        (Policy("timer", reveal_after=100), asked(now=100), True),
        (TWO, asked(7, 9), True),
        (TWO, asked(7, 8, 9), True),
        (TWO, asked(7), False),
        (TWO, asked(7, 7), False),  # the same signer twice
        (TWO, asked(7, 5), False),  # not a signer
        (TWO, asked(), False),
        (TWO, replace(asked(7, 8), asker="bob"), False),  # signed for another
        (TWO, replace(asked(7, 8), commitment=bytes(32)), False),  # signed for another commitment
        (TWO, replace(asked(7), approvals=(*asked(7).approvals, Approval(8, b"forged"))), False),
    ],
)
def test_policies(policy, request_, allowed):
    assert read_policy(policy.to_bytes()) == policy
    if allowed:
        permit(policy, request_, verify)
    else:
        with pytest.raises(RuleError, match="policy"):
            permit(policy, request_, verify)


@pytest.mark.parametrize(
    "policy",
    [
        Policy("sometimes"),
        Policy("timer"),
        Policy("never", reveal_after=5),
        Policy("threshold"),
        Policy("threshold", needed=0, signers=(1,)),
        Policy("threshold", needed=3, signers=(1, 2)),
        Policy("threshold", needed=2, signers=(1, 1)),
        Policy("threshold", needed=1, signers=(0,)),
        Policy("on_dispute", signers=(1,)),
        Policy("threshold", needed=1, signers=tuple(range(1, 66))),
    ],
)
def test_policies_that_are_none(policy):
    with pytest.raises(MarketError):
        permit(policy, asked(7, 8, now=10), verify)
    if policy.kind in KINDS:
        with pytest.raises(RuleError, match="cannot be read"):
            read_policy(policy.to_bytes())


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_bytes_that_are_no_policy_are_refused(data):
    try:
        policy = read_policy(data)
    except RuleError:
        return
    assert policy.to_bytes() == data
