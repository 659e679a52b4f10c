"""Classes and contracts brought onto a chain, once: where they are there already, nothing is sent.

Contracts are deployed by the universal deployer at addresses that depend on class, salt and constructor arguments
alone, so that everybody finds the same deployment at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from starknet_py.common import create_sierra_compiled_contract
from starknet_py.constants import DEFAULT_DEPLOYER_ADDRESS, STRK_FEE_CONTRACT_ADDRESS
from starknet_py.hash.address import compute_address
from starknet_py.hash.sierra_class_hash import compute_sierra_class_hash
from starknet_py.net.client_models import SierraContractClass

from octoproof.starknet.accounts import Account, multiple, predeployed
from octoproof.starknet.build import ContractClass, compile_package
from octoproof.starknet.client import Client
from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import Node
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import FRI
from octoproof.starknet.receipts import Receipt
from octoproof.starknet.transactions import Call, Declare, DeployAccount
from octoproof.starknet.wallet.account import constructor_calldata
from octoproof.starknet.wallet.signer import Signer

DEPLOYER, STRK = int(DEFAULT_DEPLOYER_ADDRESS, 16), int(STRK_FEE_CONTRACT_ADDRESS, 16)
SALT = 0x6F63746F70726F6F66  # "octoproof"
LOCAL_FUNDS = 500 * FRI


@dataclass(frozen=True)
class Class:
    """A contract class ready to be declared. `sierra_version` is that of its program, "1.9.3" for Cairo 2.19.4."""

    name: str
    hash: int
    compiled_hash: int
    sierra_version: str
    contract_class: SierraContractClass = field(repr=False)


def class_of(compiled: ContractClass) -> Class:
    """Reads what the builder wrote."""
    return _read(compiled.name, compiled.sierra, compiled.compiled_class_hash)


@lru_cache(maxsize=16)
def _read(name: str, sierra: Path, compiled_hash: int) -> Class:
    whole = create_sierra_compiled_contract(sierra.read_text()).convert_to_sierra_contract_class()
    version = ".".join(str(part) for part in whole.sierra_program[:3])
    return Class(name, compute_sierra_class_hash(whole), compiled_hash, version, whole)


def declaration(node: Node, found: Class) -> Declare:
    """The draft that declares it.

    starknet-devnet 0.10.1 reads the version of the class (always "0.1.0") as that of its Sierra program, and counts
    Cairo steps instead of Sierra gas then, at twice the price; so it is sent the version of the program. Hashes are
    over the class as it is.
    """
    normal = found.contract_class.contract_class_version
    return Declare(found.contract_class, found.compiled_hash, found.sierra_version if node.profile.local else normal)


def declare(client: Client, found: Class) -> Receipt | None:
    """None if the class was there already. Raises as `Client.submit`."""
    if client.node.is_declared(found.hash):
        return None
    return client.submit(f"declare {found.name} {found.hash:#x}", declaration(client.node, found))


def deployment(class_hash: int, calldata: Sequence[int], salt: int = SALT) -> tuple[int, Call]:
    """The address that a contract will have, and the call that deploys it there."""
    address = compute_address(class_hash=class_hash, constructor_calldata=list(calldata), salt=salt)
    arguments = (class_hash, salt, 0, len(calldata), *calldata)  # 0: the address does not depend on the sender
    return address, Call(DEPLOYER, "deployContract", arguments)


def deploy(client: Client, found: Class, calldata: Sequence[int] = (), salt: int = SALT) -> int:
    """The contract's address; class and contract are sent if they are missing. Raises as `Client.submit`."""
    declare(client, found)
    address, call = deployment(found.hash, calldata, salt)
    if client.node.class_hash_at(address) is None:
        client.invoke(f"deploy {found.name} {address:#x}", [call])
    return address


def account_of(
    class_hash: int, signers: Sequence[Signer], threshold: int | None = None
) -> tuple[Account, DeployAccount]:
    """An account of ours of these signers, of whom the first `threshold` (else all) sign here, and what deploys it."""
    needed = len(signers) if threshold is None else threshold
    calldata = constructor_calldata([signer.public_key for signer in signers], needed)
    address = compute_address(class_hash=class_hash, constructor_calldata=calldata, salt=0)
    return Account(address, multiple(signers[:needed])), DeployAccount(class_hash, 0, tuple(calldata))


def deploy_account(node: Node, outbox: Outbox, account: Account, draft: DeployAccount) -> None:
    """Where it is missing. It pays for its own deployment, so it must be funded before. Raises as `Client.submit`."""
    if node.class_hash_at(account.address) is None:
        Client(node, account, outbox).submit(f"deploy account {account.address:#x}", draft)


def local_account(node: Node, outbox: Outbox, signers: Sequence[Signer] = (), found: Class | None = None) -> Account:
    """Our account contract on a local node, declared, funded and deployed; of the first published key if none is given.

    The node's own accounts are old Sierra, under which every call is counted in steps; they serve for funding only.
    """
    funder, key = predeployed(node)[0]
    found = found or class_of(compile_package("account")["Account"])
    bank = Client(node, funder, outbox)
    declare(bank, found)
    account, draft = account_of(found.hash, signers or (key,))
    if (held := balance(node, account.address)) < LOCAL_FUNDS // 2:
        bank.invoke(f"fund {account.address:#x} that has {held}", [transfer(account.address, LOCAL_FUNDS)])
    deploy_account(node, outbox, account, draft)
    return account


def transfer(to: int, fri: int) -> Call:
    """Of STRK."""
    if not 0 < fri < 1 << 128:
        raise ChainError(f"amount: {fri} fri, it must be positive and below 2^128")
    return Call(STRK, "transfer", (to, fri, 0))


def balance(node: Node, address: int) -> int:
    """In fri."""
    low, high = node.call(STRK, "balance_of", [address])
    return low + (high << 128)


def deployed(node: Node, found: Class, calldata: Sequence[int] = (), salt: int = SALT) -> tuple[int, bool]:
    """Where `deploy` puts the contract, and whether it is there."""
    address, _ = deployment(found.hash, calldata, salt)
    return address, node.class_hash_at(address) is not None
