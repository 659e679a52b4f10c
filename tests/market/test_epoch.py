"""Closing an epoch, and what each side checks before it signs; evidence convicts who left something out, and nobody
else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from air.statement import RootKey, StatementError
from air.statements.epoch import EpochTree
from air.statements.snapshot import ColumnRoot
from octoproof.market.epoch import (
    check_closed,
    check_published,
    close_epoch,
    close_messages,
    leaves_of,
    open_epoch,
    read_epoch,
    write_epoch,
)
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.ledger import ledgers
from octoproof.market.log import RequestLog
from octoproof.market.log_files import EPOCH, LogError, felt
from octoproof.vectors.errors import VectorError
from octoproof.vectors.snapshot import preset_key

CLOSED = 2_000_000
PRESET = "bench"
KEY = preset_key(PRESET)


def test_an_epoch_is_what_was_logged(run: Any, world: Any, device: Any) -> None:
    first, second = run.tree.leaves
    header = run.tree.header
    assert (header.number, header.opened, header.closed, header.requests, header.segments) == (6, 10**6, CLOSED, 26, 2)
    assert header.provider == felt(world.provider.address)
    assert (first.agreement, first.count, first.rows, first.log_size) == (felt(9), 5, 5, 4)
    assert (second.agreement, second.count, second.rows, second.log_size) == (felt(17), 21, 21, 5)
    assert second.buyer == felt(world.agreement.buyer.address)
    assert second.head == run.ledger.head
    assert np.array_equal(run.epoch.rows(1), run.ledger.rows)
    assert run.epoch.indices(17) == [1]
    assert run.epoch.indices(None) == [0, 1]
    with pytest.raises(RuleError, match="agreement: 0x5 has no requests in epoch 6"):
        run.epoch.indices(5)


def test_closing_again_changes_nothing(run: Any, world: Any, device: Any) -> None:
    again = close_epoch(run.epoch.folder, CLOSED + 99, device=device, presets=(PRESET,))
    assert again.root == run.epoch.root == open_epoch(run.epoch.folder).root
    with pytest.raises(MarketError, match="this epoch is closed"), RequestLog.open(run.epoch.folder, world.signing):
        pass


def test_an_epoch_is_closed_once_all_is_answered(world: Any, device: Any, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with world.log(folder) as log:
        pass
    with pytest.raises(RuleError, match="no requests"):
        close_epoch(folder, CLOSED, device=device)
    with RequestLog.open(folder, world.signing) as log:
        received = world.requests(log, 2)
        log.accept(received)
        with pytest.raises(MarketError, match="another program is writing"):
            close_epoch(folder, CLOSED, device=device)
    with pytest.raises(RuleError, match="request 0 of agreement 0x11 has none"):
        close_epoch(folder, CLOSED, device=device)
    with RequestLog.open(folder, world.signing) as log:
        for k, item in enumerate(received):
            (signed,) = world.sign([world.response(item.request.message, 70, 504)], world.provider)
            log.answer(17, [(k, signed)])
    last = received[-1].received_at + 70
    with pytest.raises(RuleError, match=f"closed_at: {last - 1} is before the last answer, {last}"):
        close_epoch(folder, last - 1, device=device)
    with pytest.raises(VectorError, match="preset"):
        close_epoch(folder, last, device=device, presets=("none",))
    assert not (folder / EPOCH).exists()
    assert close_epoch(folder, last, device=device, presets=(PRESET,)).tree.header.requests == 2


def test_what_is_published_is_read_by_strangers(run: Any) -> None:
    data = write_epoch(run.tree)
    assert read_epoch(data).root == run.epoch.root
    for cut in (*range(0, len(data), 97), len(data) - 4):
        with pytest.raises(StatementError):
            read_epoch(data[:cut])
    for more in (b"\0", bytes(4)):
        with pytest.raises(StatementError):
            read_epoch(data + more)
    for place in range(0, len(data), 31):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            assert read_epoch(bytes(changed)).root != run.epoch.root
        except StatementError:
            continue


def test_a_damaged_commitment(run: Any, tmp_path: Path) -> None:
    (tmp_path / EPOCH).write_bytes(write_epoch(run.tree)[:-8])
    with pytest.raises(LogError, match="damaged"):
        open_epoch(tmp_path)


# A buyer's check


def test_both_sign_what_the_epoch_holds(run: Any, world: Any, device: Any) -> None:
    told = check_published(run.tree, run.ledger, device=device)
    assert told == close_messages(run.tree)[17]
    by_provider, by_buyer = (world.sign([told], party)[0] for party in (world.provider, world.agreement.buyer))
    check_closed(run.tree, world.agreement, by_provider, by_buyer, world.signing)
    other = run.changed(1, row_root=bytes(32))
    with pytest.raises(RuleError, match="not about what this epoch holds"):
        check_closed(other, world.agreement, by_provider, by_buyer, world.signing)
    with pytest.raises(RuleError, match="not about what this epoch holds"):
        check_closed(run.without(1), world.agreement, by_provider, by_buyer, world.signing)
    with pytest.raises(RuleError, match="close: the signature is not that of account 0xb0b"):
        check_closed(run.tree, world.agreement, by_provider, by_provider, world.signing)
    with pytest.raises(RuleError, match="close: the signature is not that of account 0xa11ce"):
        check_closed(run.tree, world.agreement, by_buyer, by_buyer, world.signing)


ROOTS = (ColumnRoot(KEY, bytes(32)),)
PUBLISHED: dict[str, Callable[[Any], EpochTree]] = {
    "row_root: the segment from request 0": lambda run: run.changed(1, row_root=bytes(32)),
    "column_roots: the segment from request 0": lambda run: run.changed(1, column_roots=ROOTS),
    "column_roots: the segment": lambda run: run.changed(1, column_roots=run.tree.leaves[1].column_roots + ROOTS),
    "column_roots: committed for parameters": lambda run: run.changed(
        1, column_roots=(ColumnRoot(RootKey("blake2s", 30), bytes(32)),)
    ),
    "head: the segment from request 0": lambda run: run.changed(1, head=felt(5)),
    "buyer: the segment from request 0": lambda run: run.changed(1, buyer=felt(5)),
    "count: 20 requests are committed, 21 are known": lambda run: run.changed(1, count=20, rows=20),
    "agreement: 0x11 is missing in epoch 6": lambda run: run.without(1),
    "epoch.provider": lambda run: EpochTree(replace(run.tree.header, provider=felt(5)), run.tree.leaves),
}


@pytest.mark.parametrize("message", PUBLISHED)
def test_a_buyer_does_not_sign_anything_else(message: str, run: Any, device: Any) -> None:
    with pytest.raises(RuleError) as refused:
        check_published(PUBLISHED[message](run), run.ledger, device=device)
    assert str(refused.value).startswith(message)


def test_a_long_agreement_is_several_segments(run: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octoproof.market.ledger.MAX_SEGMENT", 16)
    leaves = leaves_of(run.ledger, [KEY], device)
    assert [(one.first, one.rows, one.count, one.log_size) for one in leaves] == [(0, 16, 21, 4), (16, 5, 21, 4)]
    tree = EpochTree(replace(run.tree.header, requests=21), leaves)
    assert check_published(tree, run.ledger, device=device).count == 21


def test_a_buyer_keeps_a_log_of_its_own(run: Any, world: Any, device: Any, tmp_path: Path) -> None:
    """The same messages, taken as they came: the same roots."""
    with RequestLog.create(tmp_path / "own", world.provider, 6, 10**6, [world.agreement], world.signing) as log:
        world.serve(log, [100] * 15 + [1200] * 6, status={4: 503}, silent=[7])
    (own,) = ledgers(tmp_path / "own")
    assert check_published(run.tree, own, device=device) == close_messages(run.tree)[17]
