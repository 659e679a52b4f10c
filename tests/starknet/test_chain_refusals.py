"""A real proof on a real node, and what somebody could try instead: each reverts, and the message names the check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from starknet_py.constants import FIELD_PRIME

from octoproof.cli.chain_bench import CONTRACTS, native_work
from octoproof.starknet.build import BuildError, compile_package
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import Class, class_of, deploy, local_account
from octoproof.starknet.devnet import Devnet
from octoproof.starknet.errors import ChainError, RevertedError
from octoproof.starknet.facts import is_fact
from octoproof.starknet.node import connect
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import PROFILES, felt_of
from octoproof.starknet.statements import WIDE_FIB, native_digest
from octoproof.starknet.transactions import Call

pytestmark = pytest.mark.slow

LOG_SIZE, HEAD = 10, 4  # preset, log size, columns and the proof's length come before the proof
DIGEST = native_digest(WIDE_FIB, LOG_SIZE, 24)


@dataclass(frozen=True)
class Scene:
    """A contract, an account, and the call that makes the statement a fact."""

    client: Client
    contract: int
    call: Call

    def refused(self, *arguments: int) -> str:
        """The check that fails for other arguments; nothing is a fact afterwards."""
        before = self.fact()
        with pytest.raises(RevertedError) as error:
            self.client.invoke(f"try {hash(arguments)}", [replace(self.call, calldata=arguments)])
        assert self.fact() == before
        return error.value.check

    def fact(self) -> bool:
        return is_fact(self.client.node, self.contract, DIGEST)


@pytest.fixture(scope="module")
def scene(local: Devnet, account_class: Class, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    try:
        found = class_of(compile_package("facts")[CONTRACTS["wide_fib"]])
    except BuildError as error:
        pytest.skip(str(error))
    with ExitStack() as stack:
        node = stack.enter_context(connect(PROFILES["devnet"], local.url))
        outbox = stack.enter_context(Outbox(tmp_path_factory.mktemp("outbox")))
        client = Client(node, local_account(node, outbox, found=account_class), outbox)
        contract = deploy(client, found, salt=17)
        work = native_work("wide_fib", LOG_SIZE, "onchain")
        yield Scene(client, contract, Call(contract, work.function, work.arguments))


def test_another_statement(scene: Scene) -> None:
    preset, _, _, *proof = scene.call.calldata
    assert scene.refused(preset, LOG_SIZE + 1, 24, *proof)
    assert scene.refused(preset, LOG_SIZE, 25, *proof) == "columns: not 24"
    assert scene.refused(preset, 40, 24, *proof) == "log_size: out of bounds"
    assert "log_size" in scene.refused(preset, FIELD_PRIME - 1, 24, *proof)


def test_another_configuration(scene: Scene) -> None:
    _, *rest = scene.call.calldata
    assert scene.refused(felt_of("onchain-proven"), *rest)
    assert scene.refused(felt_of("bench"), *rest) == "preset: unknown"
    assert scene.refused(0, *rest) == "preset: unknown"


@pytest.mark.parametrize(
    "change",
    [
        lambda felt: felt ^ 1,
        lambda felt: felt ^ 1 << 223,
        lambda felt: felt | 1 << 224,
        lambda felt: FIELD_PRIME - 1,
        lambda felt: 0,
    ],
    ids=["lowest bit", "highest bit", "unused bit", "prime - 1", "zero"],
)
def test_a_changed_proof(scene: Scene, change: Callable[[int], int]) -> None:
    """A sample of the places; the Cairo runner sees hundreds (test_cairo_mutants.py)."""
    whole = scene.call.calldata
    checks = set()
    for place in range(HEAD, len(whole), len(whole) // 9):
        if change(whole[place]) != whole[place]:
            checks.add(scene.refused(*whole[:place], change(whole[place]), *whole[place + 1 :]))
    assert checks
    assert all(check and not check.startswith("0x") for check in checks), checks


def test_a_proof_of_another_length(scene: Scene) -> None:
    head, proof = scene.call.calldata[: HEAD - 1], scene.call.calldata[HEAD:]
    assert scene.refused(*head, len(proof) - 1, *proof[:-1])
    assert scene.refused(*head, len(proof) + 1, *proof, 0)
    assert scene.refused(*head, 0)
    assert scene.refused(*head, len(proof) + 1, *proof)  # says more than there is
    assert scene.refused(*head, len(proof), *proof, 5)  # arguments that nobody reads


def test_a_felt_at_the_prime_is_not_even_signed(scene: Scene) -> None:
    whole = scene.call.calldata
    with pytest.raises(ChainError, match=r"must be below the prime"):
        scene.client.invoke("prime", [replace(scene.call, calldata=(*whole[:-1], FIELD_PRIME))])


def test_the_proof_itself_and_once_more(scene: Scene) -> None:
    """A second submission, by anybody, changes nothing and tells nothing."""
    assert not scene.fact()
    first = scene.client.invoke("the proof", [scene.call])
    assert scene.fact()
    assert [event.contract for event in first.events].count(scene.contract) == 1
    second = scene.client.invoke("the proof once more", [scene.call])
    assert [event.contract for event in second.events].count(scene.contract) == 0
    assert is_fact(scene.client.node, scene.contract, DIGEST, 960)
    assert not is_fact(scene.client.node, scene.contract, DIGEST, 2000)
    assert scene.refused(felt_of("onchain-proven"), *scene.call.calldata[1:])
