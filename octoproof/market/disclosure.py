"""When a commitment may be opened, and to whom: never, in a dispute, after a time, or by enough signers (PRV-05).

A policy is a field of the record that it governs, so that it cannot be changed afterwards. It binds those who hold the
opening and follow the rules; nothing keeps the owner itself from telling what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2s

from air.statement import Reader, StatementError, Writer
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import whole

NEVER, ON_DISPUTE, TIMER, THRESHOLD = KINDS = ("never", "on_dispute", "timer", "threshold")
REQUEST = 20  # first word of what signers sign
MAX_SIGNERS = 64

Verify = Callable[[int, bytes, bytes], bool]  # (public key, 32-byte message, signature)


@dataclass(frozen=True)
class Policy:
    """`reveal_after` is a time in seconds, for `timer`; `needed` of `signers` must sign, for `threshold`."""

    kind: str
    reveal_after: int = 0
    needed: int = 0
    signers: tuple[int, ...] = ()

    def check(self) -> None:
        """Raises MarketError for a policy that says nothing, or that nobody could meet."""
        if self.kind not in KINDS:
            raise MarketError(f"policy: unknown kind {self.kind!r}; choose one of {', '.join(KINDS)}")
        whole(self.reveal_after, "policy.reveal_after", int(self.kind == TIMER), (1 << 62) * int(self.kind == TIMER))
        most = MAX_SIGNERS if self.kind == THRESHOLD else 0
        whole(len(self.signers), "policy.signers", min(most, 1), most)
        whole(self.needed, "policy.needed", min(most, 1), len(self.signers))
        if len(set(self.signers)) != len(self.signers):
            raise MarketError("policy.signers: a key appears twice; one signer must not count for two")
        for key in self.signers:
            whole(key, "policy.signers", 1, (1 << 252) - 1)

    def to_bytes(self) -> bytes:
        """As the field of a record."""
        out = Writer().u32(KINDS.index(self.kind)).i64(self.reveal_after).u32(self.needed)
        return out.items(self.signers, lambda writer, key: writer.bytes32(key.to_bytes(32, "big"))).to_bytes()


@dataclass(frozen=True)
class Approval:
    """One signer's consent."""

    signer: int
    signature: bytes


@dataclass(frozen=True)
class Asked:
    """Who asks for which commitment, when, and whether a dispute about it is open before this arbiter."""

    commitment: bytes
    asker: str
    now: int
    arbiter: str = ""  # of the open dispute, if there is one
    approvals: tuple[Approval, ...] = ()

    def message(self) -> bytes:
        """What signers sign: this commitment for this asker, no other."""
        return blake2s(Writer().u32(REQUEST).bytes32(self.commitment).text(self.asker).to_bytes()).digest()


def permit(policy: Policy, asked: Asked, verify: Verify) -> None:
    """Raises RuleError unless the policy allows this opening now, MarketError for a policy that is none."""
    policy.check()
    if policy.kind == NEVER:
        raise RuleError("policy: never to be opened")
    if policy.kind == ON_DISPUTE and (not asked.arbiter or asked.asker != asked.arbiter):
        raise RuleError("policy: to be opened to the arbiter of an open dispute only")
    if policy.kind == TIMER and asked.now < policy.reveal_after:
        raise RuleError(f"policy: not to be opened before {policy.reveal_after}, and it is {asked.now}")
    if policy.kind == THRESHOLD:
        _count(policy, asked, verify)


def _count(policy: Policy, asked: Asked, verify: Verify) -> None:
    message, found = asked.message(), set[int]()
    for approval in asked.approvals[: 2 * MAX_SIGNERS]:
        if approval.signer in policy.signers and verify(approval.signer, message, approval.signature):
            found.add(approval.signer)  # a set: who signs twice counts once
    if len(found) < policy.needed:
        raise RuleError(f"policy: {len(found)} of the {policy.needed} signatures that are needed")


def read_policy(data: bytes) -> Policy:
    """Inverse of `Policy.to_bytes`. Raises RuleError for bytes that are no policy."""
    try:
        source = Reader(_words(data))
        kind = source.u32()
        after, needed = source.i64(), source.u32()
        signers = source.items(Reader.bytes32, MAX_SIGNERS)
        source.end()
        policy = Policy(KINDS[kind], after, needed, tuple(int.from_bytes(key, "big") for key in signers))
        policy.check()
    except (StatementError, IndexError, MarketError) as error:
        raise RuleError(f"policy: cannot be read: {error}") from None
    return policy


def _words(data: bytes) -> Sequence[int]:
    if len(data) % 4:
        raise StatementError(f"{len(data)} bytes are no words")
    return [int.from_bytes(data[k : k + 4], "little") for k in range(0, len(data), 4)]
