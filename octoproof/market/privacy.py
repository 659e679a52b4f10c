"""Privacy levels, and what a seller is handed at each (PRV-01, PRV-02, PRV-06, PRV-08).

A view holds commitments and the hash of a ciphertext: no prompt, no randomness, no key. It is what the market's
protocol hands out; whoever runs the model must read the prompt all the same, and no proof here says what it does with
it. Full zero knowledge, which the source demands for `private`, is not offered.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2s

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from octoproof.market.commitments import Disclosure, Record
from octoproof.market.errors import MarketError, RuleError

NONCE_BYTES, KEY_BYTES = 12, 32


@dataclass(frozen=True)
class PrivacyLevel:
    """What a seller sees of a routing record, what it costs, and by how many milliseconds it may be slower.

    `chosen`: the user names what the seller sees."""

    name: str
    seller_sees: tuple[str, ...]
    price_bps: int
    added_ms: int
    chosen: bool = False


LEVELS = {
    level.name: level
    for level in (
        PrivacyLevel("standard", (), 10_000, 10),
        PrivacyLevel("confidential", ("model",), 15_000, 50),
        PrivacyLevel("private", (), 100_000, 500),
        PrivacyLevel("sovereign", (), 200_000, 1_000, chosen=True),
    )
}
COMPLIANCE = {"soc2": "confidential", "hipaa": "private", "gdpr": "sovereign", "finra": "private"}
NEVER_SHOWN = ("request",)  # the prompt's own opening stays with the user at every level


@dataclass(frozen=True)
class SellerView:
    """All that a seller gets: commitments of the record, some of them opened, and which ciphertext it is about."""

    level: str
    disclosure: Disclosure
    ciphertext: bytes

    def to_json(self) -> str:
        """As it is sent."""
        record = {name: commitment.hex() for name, commitment in self.disclosure.record.commitments}
        shown = {
            name: {"value": opening.message.hex(), "randomness": opening.randomness.hex()}
            for name, opening in self.disclosure.opened
        }
        return json.dumps({"level": self.level, "record": record, "opened": shown, "ciphertext": self.ciphertext.hex()})


def seller_view(level: str, record: Record, ciphertext: bytes, chosen: Collection[str] = ()) -> SellerView:
    """What a seller sees of a record at this level; at `sovereign` the fields that the user has chosen.

    Raises MarketError for an unknown level or field, and for fields chosen where there is no choice."""
    if level not in LEVELS:
        raise MarketError(f"privacy: unknown level {level!r}; choose one of {', '.join(LEVELS)}")
    rule = LEVELS[level]
    if chosen and not rule.chosen:
        raise MarketError(
            f"privacy: at level {level} the seller sees {rule.seller_sees or 'nothing'}; nothing is chosen"
        )
    if set(chosen) & set(NEVER_SHOWN):
        raise MarketError("privacy: the request is never shown to a seller; open it to an arbiter")
    names = [name for name in record.values if name in (*rule.seller_sees, *chosen)]
    return SellerView(level, record.disclose(names), blake2s(ciphertext).digest())


def encrypt(prompt: bytes, key: bytes, commitment: bytes) -> bytes:
    """nonce | AES-256-GCM ciphertext, bound to the prompt's commitment. Raises MarketError for a key of wrong size."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, prompt, commitment)


def decrypt(ciphertext: bytes, key: bytes, commitment: bytes) -> bytes:
    """The prompt. Raises RuleError for another key, another commitment or a changed byte."""
    try:
        return _cipher(key).decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], commitment)
    except (InvalidTag, ValueError):
        raise RuleError("ciphertext: not made with this key and this commitment") from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise MarketError(f"key: {len(key)} bytes, not {KEY_BYTES}")
    return AESGCM(key)
