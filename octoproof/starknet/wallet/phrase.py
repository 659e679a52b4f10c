"""BIP-39: phrases of 12 or 24 English words, and the seed that a phrase stands for."""

from __future__ import annotations

import secrets
from functools import cache

from mnemonic import Mnemonic

from octoproof.starknet.wallet.errors import WalletError

ENTROPY_BYTES = {12: 16, 24: 32}


def new_phrase(words: int = 24) -> str:
    """A new random phrase. Raises WalletError for another number of words."""
    if words not in ENTROPY_BYTES:
        raise WalletError(f"words: {words}; give 12 or 24")
    return phrase_of(secrets.token_bytes(ENTROPY_BYTES[words]))


def phrase_of(entropy: bytes) -> str:
    """The phrase of 16 or 32 bytes."""
    return _english().to_mnemonic(entropy)


def check_phrase(text: str) -> str:
    """The words, lower case and one space apart. Raises WalletError, which names a word by its place only."""
    words = text.lower().split()
    if len(words) not in ENTROPY_BYTES:
        raise WalletError(f"phrase: {len(words)} words; give 12 or 24")
    known = set(_english().wordlist)
    unknown = [place for place, word in enumerate(words, 1) if word not in known]
    if unknown:
        raise WalletError(f"phrase: word {unknown[0]} is not in BIP-39's English list; check its spelling")
    if not _english().check(" ".join(words)):
        raise WalletError("phrase: the checksum is wrong; check the words and their order")
    return " ".join(words)


def seed_of(phrase: str, passphrase: str = "") -> bytes:
    """The 64 bytes that BIP-32 starts from. Raises WalletError for what is no phrase."""
    return Mnemonic.to_seed(check_phrase(phrase), passphrase)


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")
