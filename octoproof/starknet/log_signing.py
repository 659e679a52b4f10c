"""Who signs: a party of an agreement with its key, and the chain's hashes and signatures as the log wants them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from octoproof.market.messages import (
    DOMAIN_NAME,
    DOMAIN_VERSION,
    TYPES,
    Message,
    Party,
    Signed,
    Signing,
    hashes_of,
)
from octoproof.starknet.wallet.batch import verify_all
from octoproof.starknet.wallet.messages import Domain, MessageHasher
from octoproof.starknet.wallet.signer import Signer


@lru_cache(maxsize=4)
def signing_on(chain: str) -> Signing:
    """Hashes and signatures of log messages on a chain, which is named as its id is spelt (SN_SEPOLIA)."""
    domain = Domain(DOMAIN_NAME, DOMAIN_VERSION, chain)
    hashers = {name: MessageHasher(domain, {name: kinds}) for name, kinds in TYPES.items()}
    return Signing(lambda name, messages, accounts: hashers[name].hash_all(messages, accounts), verify_all)


@dataclass(frozen=True)
class Signatory:
    """A party with the key that the agreement names for it."""

    party: Party
    signer: Signer
    signing: Signing

    def sign(self, message: Message) -> tuple[int, Signed[Message]]:
        """(hash, signed message)."""
        (hash,) = hashes_of(self.signing, [message], [self.party])
        return hash, Signed(message, self.signer.sign(hash))


def signatory(account: int, signer: Signer, chain: str) -> Signatory:
    """The holder of a key, as the party at this address."""
    return Signatory(Party(account, signer.public_key), signer, signing_on(chain))
