"""Whatever is cut off on the way: after another try, exactly one transaction has had effect.

The node is a real one; a proxy before it loses requests and answers, and kills it in mid-submit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from octoproof.starknet import devnet
from octoproof.starknet.accounts import Account
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import Class, deploy, local_account
from octoproof.starknet.devnet import Devnet
from octoproof.starknet.errors import NoAnswerError, NodeRefusedError, StuckError
from octoproof.starknet.fees import UNBOUNDED, Limits
from octoproof.starknet.node import Node, connect
from octoproof.starknet.outbox import ACCEPTED, FORGOTTEN, OPEN, REFUSED, SUPERSEDED, Outbox
from octoproof.starknet.profiles import FRI, PROFILES
from octoproof.starknet.receipts import Receipt
from octoproof.starknet.transactions import Call, Invoke, Signed, sign

DEVNET = PROFILES["devnet"]
SENDING = "addInvokeTransaction"


@pytest.fixture
def before_node(local: Devnet, proxy: Any) -> Iterator[Any]:
    with proxy(local.url) as made:
        yield made


@pytest.fixture
def shaky(before_node: Any, account: Account, outbox: Outbox) -> Iterator[Client]:
    """The same account and outbox, through the proxy."""
    with connect(DEVNET, before_node.url) as node:
        yield Client(node, account, outbox, patience_s=20)


def once_of(method: str) -> Callable[[str], bool]:
    """Loses the first message of this method, and passes on all others."""
    left = [1]

    def passes(asked: str) -> bool:
        if asked == method and left[0]:
            left[0] -= 1
            return False
        return True

    return passes


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("method", [SENDING, "getTransactionReceipt", "getTransactionStatus"])
def test_a_message_is_lost(
    shaky: Client, before_node: Any, counter: int, count: Callable[[], int], lost: str, method: str
) -> None:
    setattr(before_node, lost, once_of(method))
    receipt = shaky.invoke("add 5", [Call(counter, "increase", (5,))])
    assert receipt.succeeded
    assert count() == 5
    assert shaky.invoke("add 5", [Call(counter, "increase", (5,))]) == receipt
    assert count() == 5


def test_all_answers_are_lost_and_the_program_gives_up(
    shaky: Client, before_node: Any, client: Client, outbox: Outbox, counter: int, count: Callable[[], int]
) -> None:
    calls = [Call(counter, "increase", (5,))]
    impatient = Client(shaky.node, shaky.account, outbox, patience_s=0.5)
    before_node.after = lambda method: SENDING not in before_node.passed  # from then on, nothing comes back
    with pytest.raises(NoAnswerError, match=r"add 5 is kept, run the command again$"):
        impatient.invoke("add 5", calls)
    assert outbox.entries(shaky.node.chain_id)[0].state == OPEN
    assert client.invoke("add 6", [Call(counter, "increase", (6,))]).succeeded  # carries the first one out before
    assert client.invoke("add 5", calls).succeeded
    assert count() == 11
    assert before_node.passed[SENDING] == 1


def test_an_answer_that_says_nothing_is_not_a_refusal(
    before_node: Any, account: Account, outbox: Outbox, counter: int, count: Callable[[], int]
) -> None:
    """A gateway that answers "internal error" may have passed the transaction on."""

    class Gateway(Node):
        failures = 2

        def add(self, kind: str, body: dict) -> None:
            super().add(kind, body)
            if self.failures:
                self.failures -= 1
                raise NodeRefusedError("rpc: internal error", -32603)

    with Gateway(DEVNET, before_node.url) as node:
        node.chain_id = node.chain()
        assert Client(node, account, outbox).invoke("add 5", [Call(counter, "increase", (5,))]).succeeded
    assert count() == 5


DIES = """
import os, signal, sys
from pathlib import Path
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import class_of, local_account
from octoproof.starknet.node import Node, connect
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import PROFILES
from octoproof.starknet.transactions import Call

url, folder, counter, when = sys.argv[1:]
real = Node.add

def add(self, kind, body):
    if when == "after":
        real(self, kind, body)
    os.kill(os.getpid(), signal.SIGKILL)

with connect(PROFILES["devnet"], url) as node, Outbox(Path(folder)) as outbox:
    account = local_account(node, outbox)
    Node.add = add
    Client(node, account, outbox).invoke("add 5", [Call(int(counter, 16), "increase", (5,))])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_program_is_killed_at_sending(
    client: Client, tmp_path: Path, local: Devnet, counter: int, count: Callable[[], int], outbox: Outbox, when: str
) -> None:
    arguments = [local.url, str(tmp_path / "outbox"), hex(counter), when]
    killed = subprocess.run([sys.executable, "-c", DIES, *arguments], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert count() == (5 if when == "after" else 0)
    left = outbox.open_one(client.node.chain_id, client.account.address)
    assert left is not None
    receipt = client.invoke("add 5", [Call(counter, "increase", (5,))])
    assert receipt.transaction == left.hash  # the very same
    assert count() == 5


@pytest.mark.parametrize("executed", [False, True], ids=["before it runs", "before it answers"])
def test_the_node_is_killed_at_sending(
    devnet_installed: Path, account_class: Class, counter_class: Class, tmp_path: Path, proxy: Any, executed: bool
) -> None:
    """It comes back with the state that it had written down, with or without the transaction."""
    folder = tmp_path / "node"
    first = devnet.start(folder, accounts=1)
    port = int(first.url.rsplit(":", 1)[1])
    with ExitStack() as stack:
        stack.callback(devnet.stop, folder)
        outbox = stack.enter_context(Outbox(tmp_path / "outbox"))
        before_node = stack.enter_context(proxy(first.url))
        node = stack.enter_context(connect(DEVNET, before_node.url))
        account = local_account(node, outbox, found=account_class)
        client = Client(node, account, outbox, patience_s=1)
        counter = deploy(client, counter_class)

        def kill(method: str) -> bool:
            if method != SENDING:
                return True
            os.kill(first.pid, signal.SIGKILL)
            return False

        setattr(before_node, "after" if executed else "before", kill)
        with pytest.raises(NoAnswerError, match=r"add 5 is kept, run the command again$"):
            client.invoke("add 5", [Call(counter, "increase", (5,))])
        before_node.before = before_node.after = lambda method: True
        assert devnet.running(folder) is None
        again = devnet.start(folder, port=port, accounts=1)
        assert again.chain == first.chain
        assert node.call(counter, "get") == [5 if executed else 0]
        assert client.invoke("add 5", [Call(counter, "increase", (5,))]).succeeded
        assert client.invoke("add 5", [Call(counter, "increase", (5,))]).succeeded
        assert node.call(counter, "get") == [5]


def test_another_program_uses_the_nonce(
    client: Client, account: Account, outbox: Outbox, tmp_path: Path, counter: int, count: Callable[[], int]
) -> None:
    """Its transaction takes the nonce of ours, which can have no effect any more; the next try signs a new one."""
    with Outbox(tmp_path / "elsewhere") as elsewhere:
        nonce = client.node.nonce(account.address)
        ours = _signed(client, Invoke((Call(counter, "increase", (5,)),)), nonce)
        outbox.write("add 5", client.node.chain_id, ours)
        Client(client.node, account, elsewhere).invoke("add 7", [Call(counter, "increase", (7,))])
    assert client.recover() is None
    assert outbox.find(ours.hash).state == SUPERSEDED
    assert client.invoke("add 5", [Call(counter, "increase", (5,))]).transaction != ours.hash
    assert count() == 12


def test_a_node_that_lags_behind_its_own_nonces(
    client: Client, account: Account, outbox: Outbox, local: Devnet, counter: int, count: Callable[[], int]
) -> None:
    """Of nodes behind one address, one says that the nonce is used, and another that it does not know the transaction:
    as if somebody else had used the nonce. Signed anew at once, it would have effect twice."""

    class Lagging(Node):
        blind = 5

        def _see(self) -> bool:
            self.blind -= 1
            return self.blind < 0

        def receipt(self, transaction: int) -> Receipt | None:
            return super().receipt(transaction) if self._see() else None

        def status(self, transaction: int) -> str | None:
            return super().status(transaction) if self._see() else None

    signed = _signed(client, Invoke((Call(counter, "increase", (5,)),)), client.node.nonce(account.address))
    outbox.write("add 5", client.node.chain_id, signed)
    client.node.add(signed.kind, signed.body)
    assert count() == 5
    with Lagging(replace(DEVNET, grace_s=5.0), local.url) as node:
        node.chain_id = node.chain()
        receipt = Client(node, account, outbox).invoke("add 5", [Call(counter, "increase", (5,))])
        assert node.blind < 0
    assert receipt.transaction == signed.hash
    assert count() == 5


def test_prices_have_risen_since_it_was_signed(
    client: Client, account: Account, outbox: Outbox, counter: int, count: Callable[[], int]
) -> None:
    """The node refuses what was kept; the new transaction takes the same nonce, so that one of them can have effect."""
    nonce = client.node.nonce(account.address)
    cheap = _signed(client, Invoke((Call(counter, "increase", (5,)),)), nonce, price=1)
    outbox.write("add 5", client.node.chain_id, cheap)
    assert client.invoke("add 5", [Call(counter, "increase", (5,))]).transaction != cheap.hash
    assert outbox.find(cheap.hash).state == REFUSED
    assert client.node.nonce(account.address) == nonce + 1
    assert count() == 5


def test_a_nonce_out_of_reach_is_told(
    client: Client, account: Account, outbox: Outbox, counter: int, count: Callable[[], int]
) -> None:
    """Nothing is signed in its place until the user gives it up: it might still have effect later."""
    nonce = client.node.nonce(account.address)
    ahead = _signed(client, Invoke((Call(counter, "increase", (5,)),)), nonce + 2)
    outbox.write("add 5", client.node.chain_id, ahead)
    for _ in range(2):
        with pytest.raises(StuckError, match=rf"^nonce: add 5 has nonce {nonce + 2}, but the account is at {nonce}"):
            client.invoke("add 5", [Call(counter, "increase", (5,))])
    assert client.node.nonce(account.address) == nonce
    outbox.settle(ahead.hash, FORGOTTEN)
    assert client.invoke("add 5", [Call(counter, "increase", (5,))]).succeeded
    assert count() == 5


def test_a_chain_that_has_lost_an_accepted_transaction(client: Client, account: Account, outbox: Outbox) -> None:
    """As after a reorganisation: nothing is sent again by itself."""
    lost = _signed(client, Invoke((Call(1, "increase", (5,)),)), 0)
    outbox.write("add 5", client.node.chain_id, lost)
    outbox.settle(lost.hash, ACCEPTED)
    with pytest.raises(StuckError, match=rf"no longer knows its transaction.*--forget {lost.hash:#x}`$"):
        client.invoke("add 5", [Call(1, "increase", (5,))])


def test_a_signed_transaction_on_another_chain(
    devnet_installed: Path, client: Client, account_class: Class, counter: int, tmp_path: Path
) -> None:
    """The same account with the same key and nonce on another chain id: the signature is of another hash."""
    with devnet.devnet(tmp_path / "other", accounts=1) as started, connect(DEVNET, started.url) as other:
        assert other.chain_id != client.node.chain_id
        with Outbox(tmp_path / "there") as there:
            account = local_account(other, there, found=account_class)
        assert account.address == client.account.address
        client.node, ours = other, client.node
        nonce = other.nonce(account.address)
        signed = sign(Invoke((Call(counter, "increase", (5,)),)), account, ours.chain_id, nonce, UNBOUNDED)
        replayed = {**signed.body, "resource_bounds": _bounds()}
        with pytest.raises(NodeRefusedError, match="signature") as error:
            other.add("INVOKE", replayed)
        assert error.value.code == 55  # validation failed
        assert other.nonce(account.address) == nonce


def _signed(client: Client, draft: Invoke, nonce: int, price: int = 10**12) -> Signed:
    from octoproof.starknet.fees import Fee, bounds_of

    bounds = bounds_of(Fee(0, price, 10**7, price, 10**4, price), Limits(10**6 * FRI))
    return sign(draft, client.account, client.node.chain_id, nonce, bounds)


def _bounds() -> dict:
    part = {"max_amount": "0x989680", "max_price_per_unit": "0xe8d4a51000"}
    return {"l1_gas": part, "l2_gas": part, "l1_data_gas": part}
