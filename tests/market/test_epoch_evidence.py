"""Evidence convicts a provider that left something out or changed it, and nobody else; it survives being a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from air.statement import RootKey, StatementError
from air.statements.epoch import EpochTree, LogLeaf
from air.statements.snapshot import ColumnRoot
from octoproof.market.epoch import close_messages
from octoproof.market.errors import RuleError
from octoproof.market.evidence import (
    Alteration,
    Disorder,
    Double,
    Exchange,
    Omission,
    TwoClosings,
    absence_of,
)
from octoproof.market.evidence_words import KINDS, offence_of, read_evidence, write_evidence
from octoproof.market.inclusion import Inclusion, show_row
from octoproof.market.ledger import row_tree
from octoproof.market.log_files import felt

KEY = RootKey("blake2s", 1)


def test_nothing_convicts_an_honest_provider(run: Any, world: Any) -> None:
    for sequence, exchange in enumerate(run.exchanges):
        with pytest.raises(RuleError, match=f"request {sequence} is one of 21, not left out"):
            absence_of(run.tree, exchange).check(world.agreement, run.epoch.root, world.signing)
        shown = show_row(run.epoch, world.agreement.id, sequence)
        with pytest.raises(RuleError, match="the row is what was signed"):
            Alteration(exchange, shown).check(world.agreement, run.epoch.root, world.signing)
    with pytest.raises(RuleError, match="not different answers"):
        Double(run.exchanges[0], run.exchanges[0]).check(world.agreement, run.epoch.root, world.signing)
    with pytest.raises(RuleError, match="not different answers"):
        Double(run.exchanges[0], run.exchanges[1]).check(world.agreement, run.epoch.root, world.signing)
    with pytest.raises(RuleError, match="the second leaf may follow"):
        Disorder(run.tree.header, run.tree.placed(0), run.tree.placed(1)).check(
            world.agreement, run.epoch.root, world.signing
        )


def test_an_exchange_beyond_the_count_is_omitted(run: Any, world: Any) -> None:
    cut = run.changed(1, count=20, rows=20)
    evidence = absence_of(cut, run.exchanges[20])
    evidence.check(world.agreement, cut.root, world.signing)
    with pytest.raises(RuleError, match="request 19 is one of 20"):
        replace(evidence, exchange=run.exchanges[19]).check(world.agreement, cut.root, world.signing)
    with pytest.raises(StatementError, match="epoch_root"):
        evidence.check(world.agreement, run.epoch.root, world.signing)


def leaf(agreement: int) -> LogLeaf:
    return LogLeaf(felt(agreement), felt(1), felt(2), 3, 0, 3, 4, bytes(32), (ColumnRoot(KEY, bytes(32)),))


@pytest.mark.parametrize("others", [(1,), (20,), (1, 2), (20, 21), (1, 16, 18, 30)])
def test_an_agreement_that_is_not_there_is_omitted(others: tuple[int, ...], run: Any, world: Any) -> None:
    tree = run.with_leaves([leaf(other) for other in others])
    absence_of(tree, run.exchanges[3]).check(world.agreement, tree.root, world.signing)


def test_leaves_that_show_nothing(run: Any, world: Any) -> None:
    tree = run.with_leaves([leaf(id) for id in (1, 2, 17, 20, 21)])
    for shown in ((0,), (1,), (3,), (4,), (0, 1), (1, 3), (3, 4), (1, 2), (0, 1, 2), ()):
        leaves = tuple(tree.placed(k) for k in shown)
        evidence = Omission(run.exchanges[2], tree.header, leaves)
        with pytest.raises(RuleError, match="do not show that the agreement is missing"):
            evidence.check(world.agreement, tree.root, world.signing)
    with pytest.raises(RuleError, match="request 2 is one of 3"):
        absence_of(tree, run.exchanges[2]).check(world.agreement, tree.root, world.signing)


def forged(run: Any, world: Any) -> dict[str, tuple[Any, Any]]:
    """message: (exchange, agreement) that convict nobody."""
    exchange = run.exchanges[20]
    request, response = exchange.request.message, exchange.response.message

    def by(signer: Any, message: Any) -> Any:
        return world.sign([message], signer)[0]

    buyer, provider = world.agreement.buyer, world.provider
    elsewhere = by(buyer, replace(request, epoch=5))
    (hash,) = world.hashes([elsewhere.message], buyer)
    return {
        "request: the signature": (replace(exchange, request=by(provider, request)), world.agreement),
        "response: the signature": (replace(exchange, response=by(buyer, response)), world.agreement),
        "exchange.response: it answers another": (
            replace(exchange, response=run.exchanges[19].response),
            world.agreement,
        ),
        "exchange.request: it belongs to another": (exchange, replace(world.agreement, id=18)),
        "evidence: the request is of epoch 5": (
            Exchange(elsewhere, by(provider, replace(response, request=hash))),
            world.agreement,
        ),
    }


def test_an_exchange_that_nobody_signed_convicts_nobody(run: Any, world: Any) -> None:
    cut = run.changed(1, count=20, rows=20)
    for message, (exchange, agreement) in forged(run, world).items():
        evidence = replace(absence_of(cut, run.exchanges[20]), exchange=exchange)
        with pytest.raises(RuleError, match=message):
            evidence.check(agreement, cut.root, world.signing)
    other = EpochTree(replace(cut.header, provider=felt(5)), cut.leaves)
    with pytest.raises(RuleError, match="the epoch is another provider's"):
        absence_of(other, run.exchanges[20]).check(world.agreement, other.root, world.signing)


ALTERED = {
    "received_at": 1,
    "answered_at": 1_000_001,
    "tokens": 13,
    "status": 201,
    "valid": 0,
    "output": np.void(bytes(32)),
    "request": np.void(bytes(32)),
    "response": np.void(bytes(32)),
    "sequence": 4,
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_row_that_nobody_signed_convicts(name: str, run: Any, world: Any) -> None:
    rows = run.ledger.rows.copy()
    rows[3][name] = ALTERED[name]
    lie = row_tree(rows)
    tree = run.changed(1, row_root=lie.root)
    shown = Inclusion(tree.header, tree.placed(1), rows[3].tobytes(), lie.prove([3]))
    Alteration(run.exchanges[3], shown).check(world.agreement, tree.root, world.signing)
    for exchange, changes, message in (
        (3, {"row": run.ledger.rows[3].tobytes()}, "not the one of this segment"),
        (3, {"row": shown.row + b"\0"}, "a row has 141 bytes, not 142"),
        (3, {"siblings": lie.prove([4])}, "not the one of this segment"),
        (4, {}, "not the one of this segment"),
        (3, {"segment": tree.placed(0)}, "the segment is of another agreement"),
    ):
        with pytest.raises(RuleError, match=message):
            Alteration(run.exchanges[exchange], replace(shown, **changes)).check(
                world.agreement, tree.root, world.signing
            )
    with pytest.raises(StatementError):
        Alteration(run.exchanges[3], shown).check(world.agreement, run.epoch.root, world.signing)


def test_an_acknowledgement_that_is_not_told_convicts_nobody(run: Any, world: Any) -> None:
    """It is the provider who loses by it."""
    rows = run.ledger.rows.copy()
    rows[3]["acknowledged_at"] = 0
    lie = row_tree(rows)
    tree = run.changed(1, row_root=lie.root)
    shown = Inclusion(tree.header, tree.placed(1), rows[3].tobytes(), lie.prove([3]))
    with pytest.raises(RuleError, match="the row is what was signed"):
        Alteration(run.exchanges[3], shown).check(world.agreement, tree.root, world.signing)


def test_two_answers_to_one_number_convict(run: Any, world: Any) -> None:
    exchange = run.exchanges[3]
    later = replace(exchange.response.message, answered_at=exchange.response.message.answered_at + 1)
    other = replace(exchange, response=world.sign([later], world.provider)[0])
    Double(exchange, other).check(world.agreement, run.epoch.root, world.signing)
    # To two requests of one number as well: an honest provider takes one of them.
    request = world.sign([replace(exchange.request.message, input=bytes(32))], world.agreement.buyer)[0]
    response = world.sign([world.response(request.message)], world.provider)[0]
    Double(exchange, Exchange(request, response)).check(world.agreement, run.epoch.root, world.signing)
    forged = replace(other.response, signature=exchange.response.signature)
    with pytest.raises(RuleError, match="signature"):
        Double(exchange, replace(other, response=forged)).check(world.agreement, run.epoch.root, world.signing)


def test_two_closings_of_one_epoch_convict(run: Any, world: Any) -> None:
    told = close_messages(run.tree)[17]

    def by(signer: Any, **changes: Any) -> Any:
        return world.sign([replace(told, **changes)], signer)[0]

    honest, lie = by(world.provider), by(world.provider, count=20)
    TwoClosings(honest, lie).check(world.agreement, run.epoch.root, world.signing)
    for other, message in (
        (honest, "the two say the same"),
        (by(world.provider, epoch=7), "not about one epoch of this agreement"),
        (by(world.provider, agreement=9), "not about one epoch of this agreement"),
        (by(world.agreement.buyer, count=20), "signature"),
    ):
        with pytest.raises(RuleError, match=message):
            TwoClosings(honest, other).check(world.agreement, run.epoch.root, world.signing)


def test_segments_out_of_order_convict(run: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that is there twice, with other requests each time: somewhere the order breaks."""
    header = replace(run.tree.header, requests=9, segments=3)
    leaves = [leaf(17), leaf(20), leaf(17)]
    with pytest.raises(StatementError, match="ascend"):
        EpochTree(header, leaves)
    with monkeypatch.context() as patch:
        patch.setattr("air.statements.epoch.check_complete", lambda _: None)  # the provider's own program
        tree = EpochTree(header, leaves)

    def check(left: int, right: int, root: bytes = tree.root, agreement: Any = world.agreement) -> None:
        Disorder(header, tree.placed(left), tree.placed(right)).check(agreement, root, world.signing)

    check(1, 2)
    for other, message in (((0, 1), "may follow"), ((0, 2), "not next to each other"), ((2, 1), "not next to")):
        with pytest.raises(RuleError, match=message):
            check(*other)
    with pytest.raises(StatementError):
        check(1, 2, run.epoch.root)
    with pytest.raises(RuleError, match="another provider's"):
        check(1, 2, agreement=replace(world.agreement, provider=world.agreement.buyer))


def test_a_row_is_shown_by_itself(run: Any, world: Any) -> None:
    shown = show_row(run.epoch, 17, 20)
    row = shown.check(17, 20, run.epoch.root)
    assert (int(row["answered_at"] - row["received_at"]), int(row["status"])) == (1200, 200)
    for agreement, sequence, message in (
        (17, 19, "the row is not"),
        (17, 21, "not in this segment"),
        (9, 20, "another"),
    ):
        with pytest.raises(RuleError, match=message):
            shown.check(agreement, sequence, run.epoch.root)
    with pytest.raises(StatementError):
        shown.check(17, 20, bytes(32))
    with pytest.raises(RuleError, match="agreement 0x11 has no request 21 in epoch 6"):
        show_row(run.epoch, 17, 21)


# As bytes


def everything(run: Any, world: Any) -> list[Any]:
    """Evidence of every kind; whether it convicts is another matter."""
    tree, exchange, shown = run.tree, run.exchanges[3], show_row(run.epoch, 17, 3)
    (closing,) = world.sign([close_messages(tree)[17]], world.provider)
    (lie,) = world.sign([replace(closing.message, count=20)], world.provider)
    return [
        absence_of(tree, exchange),
        Omission(exchange, tree.header, (tree.placed(0), tree.placed(1))),
        Alteration(exchange, shown),
        Double(exchange, run.exchanges[4]),
        TwoClosings(closing, lie),
        Disorder(tree.header, tree.placed(0), tree.placed(1)),
    ]


def test_evidence_is_its_bytes(run: Any, world: Any) -> None:
    made = everything(run, world)
    assert {type(evidence) for evidence in made} == set(KINDS)
    for evidence in made:
        data = write_evidence(evidence)
        assert read_evidence(data) == evidence
        for cut in (*range(0, len(data), 41), len(data) - 4):
            with pytest.raises(StatementError):
                read_evidence(data[:cut])
        with pytest.raises(StatementError):
            read_evidence(data + bytes(4))


def test_hostile_bytes_are_refused_in_one_way(run: Any, world: Any) -> None:
    """One bit of every word changed: another evidence, or none; what it says of the provider is refused or holds."""
    for evidence in everything(run, world):
        data = write_evidence(evidence)
        for place in range(0, len(data), 4):
            changed = bytearray(data)
            changed[place + place // 4 % 4] ^= 1 << place % 8
            try:
                other = read_evidence(bytes(changed))
            except StatementError:
                continue
            assert other != evidence
            assert write_evidence(other) == bytes(changed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (bytes(400), "not of version 1"),
        (bytes([0x45, 0x4F, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), "kind 0 is unknown"),
        (bytes([0x45, 0x4F, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0]), "kind 6 is unknown"),
        (bytes((1 << 18) + 4), "262148 bytes; a multiple of 4"),
        (bytes(401), "401 bytes"),
    ],
)
def test_what_is_no_evidence(data: bytes, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        read_evidence(data)


def test_an_offence_is_one_whatever_shows_it(run: Any, world: Any) -> None:
    """Another signature of the same message, made without the key, does not make another offence."""
    order = 0x0800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
    evidence = absence_of(run.tree, run.exchanges[3])
    signed = run.exchanges[3].response
    other = replace(signed, signature=(signed.signature[0], order - signed.signature[1]))
    again = replace(evidence, exchange=replace(run.exchanges[3], response=other))
    assert again.exchange.check(world.agreement, world.signing) == run.exchanges[3].check(
        world.agreement, world.signing
    )
    assert write_evidence(again) != write_evidence(evidence)
    assert offence_of(again) == offence_of(evidence)
    first, _, *others = everything(run, world)
    named = [first, *others, absence_of(run.tree, run.exchanges[4])]
    assert len({offence_of(evidence) for evidence in named}) == len(named)
