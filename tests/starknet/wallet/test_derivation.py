"""Phrases, seeds, paths and keys against the vectors that their standards published."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from mnemonic import Mnemonic

from octoproof.starknet.wallet import curve, hd
from octoproof.starknet.wallet.errors import WalletError
from octoproof.starknet.wallet.phrase import check_phrase, new_phrase, phrase_of, seed_of
from octoproof.starknet.wallet.signer import key_at, signer_of

VECTORS = Path(__file__).parent / "vectors"
BIP39 = json.loads((VECTORS / "bip39.json").read_text())["english"]
SUPPORTED = [vector for vector in BIP39 if len(vector[1].split()) in (12, 24)]
STARK = json.loads((VECTORS / "stark_curve.json").read_text())
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BIP32 = json.loads((VECTORS / "bip32.json").read_text())["vectors"]


def decoded(xprv: str) -> tuple[int, bytes]:
    """(key, chain code) of a serialised extended private key."""
    number = 0
    for letter in xprv:
        number = 58 * number + ALPHABET.index(letter)
    raw = number.to_bytes(82, "big")
    body, checksum = raw[:-4], raw[-4:]
    assert hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] == checksum
    return int.from_bytes(body[45:], "big"), body[13:45]


@pytest.mark.parametrize(("entropy", "phrase", "seed", "xprv"), SUPPORTED)
def test_bip39_vectors(entropy: str, phrase: str, seed: str, xprv: str) -> None:
    assert phrase_of(bytes.fromhex(entropy)) == phrase == check_phrase(phrase)
    assert seed_of(phrase, "TREZOR").hex() == seed
    master = hd.master(bytes.fromhex(seed))
    assert (master.key, master.chain) == decoded(xprv)


@pytest.mark.parametrize(
    ("seed", "path", "xprv"), [(seed, path, x) for seed, paths in BIP32.items() for path, x in paths.items()]
)
def test_bip32_vectors(seed: str, path: str, xprv: str) -> None:
    found = hd.derive(bytes.fromhex(seed), path)
    assert (found.key, found.chain) == decoded(xprv)


def test_grinding_vectors() -> None:
    """starkware-crypto-utils' and scure-starknet's; the second one takes more than one hash."""
    vectors = {
        "86F3E7293141F20A8BAFF320E8EE4ACCB9D4A4BF2B4D295E8CEE784DB46E0519": 0x5C8C8683596C732541A59E03007B2D30DBBBB873556FE65B5FB63C16688F941,  # noqa: E501
        "94F3E7293141F20A8BAFF320E8EE4ACCB9D4A4BF2B4D295E8CEE784DB46E0595": 0x33880B9ABA464C1C01C9F8F5B4FC1134698F9B0A8D18505CAB6CDD34D93DC02,  # noqa: E501
    }
    for seed, key in vectors.items():
        assert curve.grind(bytes.fromhex(seed)) == key


@pytest.mark.parametrize(
    ("index", "key"),
    [
        (0, 0x06CF0A8BF113352EB863157A45C5E5567ABB34F8D32CDDAFD2C22AA803F4892C),
        (7, 0x0341751BDC42841DA35AB74D13A1372C1F0250617E8A2EF96034D9F46E6847AF),
        (598, 0x041A4D591A868353D28B7947EB132AA4D00C4A022743689FFD20A3628D6CA28C),
    ],
)
def test_eip_2645_vectors(index: int, key: int) -> None:
    """starkware-crypto-utils: phrase, path of EIP-2645 and grinding together."""
    phrase = (
        "range mountain blast problem vibrant void vivid doctor cluster enough melody salt layer language laptop boat "
        "major space monkey unit glimpse pause change vibrant"
    )
    low = lambda text: int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") & 0x7FFFFFFF  # noqa: E731
    address = 0xA4864D977B944315389D1765FFA7E66F74EE8CD7
    path = f"m/2645'/{low('starkex')}'/{low('starkdeployement')}'/{address & 0x7FFFFFFF}'/{address >> 31 & 0x7FFFFFFF}'"
    # The phrase is older than the check of the last word that BIP-39 prescribes.
    assert key_at(Mnemonic.to_seed(phrase), f"{path}/{index}") == key


def test_accounts_of_a_phrase_differ() -> None:
    keys = {signer_of(SUPPORTED[0][1], index).public_key for index in range(4)}
    assert len(keys) == 4
    assert signer_of(SUPPORTED[0][1], 0, "with a passphrase").public_key not in keys


@pytest.mark.parametrize("words", [12, 24])
def test_new_phrases_are_valid_and_differ(words: int) -> None:
    first, second = new_phrase(words), new_phrase(words)
    assert len(first.split()) == words
    assert check_phrase(first) == first != second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abandon " * 11, "phrase: 11 words"),
        ("abandon " * 12, "phrase: the checksum is wrong"),
        ("abandon " * 11 + "abuot", "phrase: word 12 is not in"),
    ],
)
def test_refused_phrases(text: str, message: str) -> None:
    with pytest.raises(WalletError, match=message) as error:
        check_phrase(text)
    assert "abuot" not in str(error.value)  # a message is shown, and a word of a phrase is a secret


def test_phrases_are_read_loosely() -> None:
    phrase = SUPPORTED[0][1]
    assert check_phrase(f"  {phrase.upper()}\n".replace(" ", "  ")) == phrase


@pytest.mark.parametrize("path", ["", "0/1", "m/", "m/x", "m/-1", "m/2147483648", "m/1''", "m/٣", "n/0"])
def test_refused_paths(path: str) -> None:
    with pytest.raises(WalletError, match="path"):
        hd.parse_path(path)


@pytest.mark.parametrize("index", [-1, 1 << 31])
def test_refused_indices(index: int) -> None:
    with pytest.raises(WalletError, match="index"):
        hd.account_path(index)


def test_refused_numbers_of_words() -> None:
    with pytest.raises(WalletError, match="words: 15; give 12 or 24"):
        new_phrase(15)


def test_refused_seeds() -> None:
    with pytest.raises(WalletError, match="seed: 15 bytes"):
        hd.master(bytes(15))


def test_keys_are_not_shown() -> None:
    found: Any = hd.derive(bytes(range(16)), "m/0")
    assert str(found.key) not in repr(found)
    assert found.chain.hex() not in repr(found)
