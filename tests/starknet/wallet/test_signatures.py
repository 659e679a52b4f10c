"""ECDSA on the Stark curve: published vectors, refusals, and the batch kernels against the one-at-a-time reference."""

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poseidon_py.poseidon_hash import poseidon_hash_many

from octoproof.starknet.wallet import batch, curve
from octoproof.starknet.wallet import curve_kernels as kernels
from octoproof.starknet.wallet.errors import WalletError
from octoproof.starknet.wallet.signer import KeySigner

VECTORS = json.loads((Path(__file__).parent / "vectors" / "stark_curve.json").read_text())
KEY = 0x139FE4D6F02E666E86A6F58E65060F115CD3C185BD9E98BD829636931458F79
PUBLIC = curve.public_key(KEY)
HASH = 0x6FEA80189363A786037ED3E7BA546DAD0EF7DE49FCCAE0E31EB658B7DD4EA76
ODD = [1, 2, curve.ORDER - curve.HASH_BOUND, curve.HASH_BOUND - 1]


@pytest.mark.parametrize(("key", "public"), VECTORS["keys"].items())
def test_published_keys(key: str, public: str) -> None:
    assert curve.public_key(int(key, 16)) == int(public, 16)
    assert curve.is_public_key(int(public, 16))


def test_published_signatures() -> None:
    """starkware-crypto-utils' RFC 6979 vectors; both ways of signing and of verifying."""
    key = int(VECTORS["rfc6979"]["private_key"], 16)
    hashes = [int(m["hash"], 16) for m in VECTORS["rfc6979"]["messages"]]
    wanted = [(int(m["r"]), int(m["s"])) for m in VECTORS["rfc6979"]["messages"]]
    assert len(wanted) > 5
    assert [curve.sign(hash, key) for hash in hashes] == wanted
    assert batch.sign_all(hashes, key) == wanted
    public = curve.public_key(key)
    assert all(curve.verify(hash, signature, public) for hash, signature in zip(hashes, wanted, strict=True))
    assert all(batch.verify_all(hashes, wanted, [public] * len(hashes)))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, curve.ORDER - 1), st.lists(st.integers(1, curve.HASH_BOUND - 1), max_size=5))
def test_batches_sign_like_one_at_a_time(key: int, hashes: list[int]) -> None:
    signatures = [curve.sign(hash, key) for hash in hashes]
    assert batch.sign_all(hashes, key) == signatures
    publics = [curve.public_key(key)] * len(hashes)
    assert batch.verify_all(hashes, signatures, publics) == [True] * len(hashes)


def test_small_and_large_keys_and_hashes() -> None:
    for key in (1, 2, 15, 16, 17, curve.ORDER - 1):
        signatures = [curve.sign(hash, key) for hash in ODD]
        assert batch.sign_all(ODD, key) == signatures
        assert all(batch.verify_all(ODD, signatures, [curve.public_key(key)] * len(ODD)))


def test_broken_signatures_fail_alike() -> None:
    """Every part changed, one at a time, and swapped among keys: never valid, in either way of verifying."""
    other = curve.public_key(77)
    r, s = curve.sign(HASH, KEY)
    off_curve = next(x for x in range(1, 99) if not curve.is_public_key(x))
    cases = [
        (HASH, (r, s), PUBLIC, True),
        (HASH, (r, curve.ORDER - s), PUBLIC, True),  # ECDSA's second signature, see the account contract
        (HASH + 1, (r, s), PUBLIC, False),
        (HASH, (r + 1, s), PUBLIC, False),
        (HASH, (r, s + 1), PUBLIC, False),
        (HASH, (s, r), PUBLIC, False),
        (HASH, (r, s), other, False),
        (HASH, (0, s), PUBLIC, False),
        (HASH, (r, 0), PUBLIC, False),
        (HASH, (r, curve.ORDER), PUBLIC, False),
        (HASH, (r, s + curve.ORDER), PUBLIC, False),
        (HASH, (r + curve.ORDER, s), PUBLIC, False),
        (HASH, (-r, s), PUBLIC, False),
        (HASH + curve.ORDER, (r, s), PUBLIC, False),
        (0, (PUBLIC, PUBLIC), PUBLIC, False),  # R = Q: anybody can make this one for the hash 0
        (HASH, (r, s), off_curve, False),
        (HASH, (r, s), 0, False),
        (HASH, (r, s), PUBLIC + curve.PRIME, False),
    ]
    hashes, signatures, publics, wanted = zip(*cases, strict=True)
    assert [curve.verify(*case[:3]) for case in cases] == list(wanted)
    assert batch.verify_all(hashes, signatures, publics) == list(wanted)


def test_points_of_one_x() -> None:
    """z = +-r * key makes both products of a verification one point or its opposite; refused in either way."""
    k, s = 12345, 5
    r = curve.public_key(k)
    for sign in (1, -1):
        key = next(key for key in range(2, 99) if 0 < sign * r * key % curve.ORDER < curve.HASH_BOUND)
        hash, public = sign * r * key % curve.ORDER, curve.public_key(key)
        signatures = [found for found in ((r, s), curve.signature_of(hash, key, k, r)) if found is not None]
        assert len(signatures) == (2 if sign == 1 else 1)
        verdicts = batch.verify_all([hash] * len(signatures), signatures, [public] * len(signatures))
        assert verdicts == [curve.verify(hash, one, public) for one in signatures] == [False] * len(signatures)


def test_random_signatures_fail() -> None:
    source = random.Random(1)
    numbers = [source.randrange(1, curve.HASH_BOUND) for _ in range(60)]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    assert batch.verify_all([HASH] * 30, pairs, [PUBLIC] * 30) == [False] * 30


def test_a_miscomputed_point_is_never_signed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would give two signatures of one hash from which the key can be computed: here two multiples are swapped, so
    that even the wrong points are on the curve."""
    honest = batch._table

    def swapped(x: int, y: int) -> batch.Words:
        table = honest(x, y).copy()
        table[:, [1, 2]] = table[:, [2, 1]]
        return table if (x, y) == curve.GENERATOR else honest(x, y)

    monkeypatch.setattr(batch, "_table", swapped)
    with pytest.raises(WalletError, match="this machine miscomputes"):
        batch.sign_all([HASH], KEY)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2 * curve.PRIME - 1), min_size=2, max_size=2))
def test_field_kernels(pair: list[int]) -> None:
    x, y = pair
    given = [kernels.words(v) for v in pair]
    result = np.zeros((3, 4), dtype=np.uint64)
    _operations(*given, result)
    product, total, difference = batch._integers(result)
    assert product == x * y * pow(2**256, -1, curve.PRIME) % curve.PRIME
    assert total == (x + y) % curve.PRIME
    assert difference == (x - y) % curve.PRIME


@kernels.kernel
def _operations(x, y, out):  # type: ignore[no-untyped-def]
    kernels.store(out[0], kernels.reduced(kernels.multiply(x, y)))
    kernels.store(out[1], kernels.reduced(kernels.add(x, y)))
    kernels.store(out[2], kernels.reduced(kernels.subtract(x, y)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 7), st.integers(0, 20), st.randoms(use_true_random=False))
def test_poseidon_rows(width: int, count: int, source: random.Random) -> None:
    rows = [[source.choice([0, curve.PRIME - 1, source.randrange(curve.PRIME)]) for _ in range(width)]] * count
    assert batch.poseidon_rows(rows) == [poseidon_hash_many(row) for row in rows]


@pytest.mark.parametrize("hash", [0, -1, curve.HASH_BOUND, curve.PRIME])
def test_what_is_no_hash_is_not_signed(hash: int) -> None:
    for sign in (curve.sign, lambda hash, key: batch.sign_all([hash], key)):
        with pytest.raises(WalletError, match="sign a hash"):
            sign(hash, KEY)


@pytest.mark.parametrize("key", [0, -1, curve.ORDER])
def test_what_is_no_key_does_not_sign(key: int) -> None:
    for use in (curve.public_key, KeySigner, lambda key: curve.sign(HASH, key), lambda key: batch.sign_all([], key)):
        with pytest.raises(WalletError, match="private key: not between") as error:
            use(key)
        assert str(curve.ORDER) not in str(error.value)


def test_signers_keep_their_key() -> None:
    signer = KeySigner(KEY)
    assert signer.sign(HASH) == curve.sign(HASH, KEY) == signer.sign_all([HASH])[0]
    shown = f"{signer} {signer!r}"
    assert hex(PUBLIC) in shown
    assert hex(KEY)[2:] not in shown
    assert str(KEY) not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(signer)
    with pytest.raises(AttributeError):
        signer.public_key = 1
