"""`octoproof bench chain`: what verifying each statement costs on Starknet, measured on a local node of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.chain_link import tell
from octoproof.cli.console import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from octoproof.starknet.client import Client
    from octoproof.starknet.transactions import Call

STATEMENTS = ("wide_fib", "range_check", "plonk", "topk")
CONTRACTS = {"wide_fib": "WideFibFacts", "range_check": "RangeCheckFacts", "plonk": "PlonkFacts", "topk": "TopkFacts"}

# As their authors publish them, none of them measured here.
YARDSTICKS = (
    {"name": "garaga, Groth16 on BN254", "l2_gas": 34_000_000, "felts": None},
    {"name": "garaga, Honk", "l2_gas": 188_000_000, "felts": None},
    {"name": "Bitsage, recursive proof", "l2_gas": None, "felts": 4_934},
)


@dataclass(frozen=True)
class Work:
    """One call that verifies a proof: the statement in words, the contract's name, and what it is called with."""

    label: str
    contract: str
    function: str
    arguments: tuple[int, ...]


def chain(
    statement: Annotated[
        list[str] | None,
        typer.Option("--statement", help="wide_fib, range_check, plonk or topk; repeatable; else all."),
    ] = None,
    log_size: Annotated[int, typer.Option("--log-size", min=10, max=20, help="log2 of the rows.")] = 16,
    preset: Annotated[str, typer.Option("--preset", help="onchain or onchain-proven.")] = "onchain",
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Proves every statement, has its contract verify it, and tabulates gas, calldata and class sizes."""
    for name in statement or ():
        if name not in STATEMENTS:
            raise typer.BadParameter(f"{name!r:.40}: one of {', '.join(STATEMENTS)}", param_hint="--statement")
    rows = list(measure(statement or STATEMENTS, log_size, preset))
    if as_json:
        print_json({"preset": preset, "statements": rows, "published_by_others": list(YARDSTICKS)})
        return
    shown = ("label", "l2_gas", "felts", "bytecode_felts", "declare_l2_gas")
    table = [tuple(row[name] for name in shown) for row in rows]
    table += [(f"{other['name']} (theirs)", other["l2_gas"], other["felts"], None, None) for other in YARDSTICKS]
    headings = ("statement", "L2 gas", "calldata felts", "CASM felts", "L2 gas of declaring")
    print_table(headings, table, f"{preset}, one transaction each")


def measure(statements: tuple[str, ...] | list[str], log_size: int, preset: str) -> Iterator[dict[str, Any]]:
    """One row a statement. Raises ChainError, BuildError, RevertedError."""
    from octoproof.starknet.build import compile_package
    from octoproof.starknet.client import Client
    from octoproof.starknet.deploy import class_of, declare, deploy, local_account
    from octoproof.starknet.devnet import devnet
    from octoproof.starknet.node import connect
    from octoproof.starknet.outbox import Outbox
    from octoproof.starknet.profiles import PROFILES

    tell("compiling the contracts")
    compiled = compile_package("facts")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octoproof-bench-")))
        node = stack.enter_context(connect(PROFILES["devnet"], stack.enter_context(devnet(folder / "node")).url))
        outbox = stack.enter_context(Outbox(folder / "outbox"))
        client = Client(node, local_account(node, outbox), outbox, tell=tell)
        for name in statements:
            held = compiled[CONTRACTS[name]]
            found = class_of(held)
            declared = declare(client, found)
            assert declared is not None  # the node is new
            address = deploy(client, found)
            tell(f"proving {name}, 2^{log_size} rows")
            work = topk_work(log_size, preset) if name == "topk" else native_work(name, log_size, preset)
            yield {
                "statement": name,
                "label": work.label,
                "log_size": log_size,
                **_verified(client, address, work),
                "bytecode_felts": held.bytecode_felts,
                "sierra_felts": held.sierra_felts,
                "class_bytes": held.class_bytes,
                "declare_l2_gas": declared.l2_gas,
            }


def _verified(client: Client, address: int, work: Work) -> dict[str, Any]:
    from octoproof.starknet.transactions import Call, execute_calldata

    call: Call = Call(address, work.function, work.arguments)
    receipt = client.invoke(f"bench {work.label}", [call])
    return {"l2_gas": receipt.l2_gas, "l1_data_gas": receipt.l1_data_gas, "felts": len(execute_calldata([call]))}


def native_work(name: str, log_size: int, preset: str) -> Work:
    """A proof of wide_fib, range_check or plonk."""
    from octoproof.cli.examples import FAMILIES
    from octoproof.device import backend
    from octoproof.starknet.calldata import proof_to_felts
    from octoproof.starknet.presets import RANGE_CHECK_COLUMNS, WIDE_FIB_COLUMNS
    from octoproof.starknet.profiles import felt_of
    from prover.prove import prove
    from verifier.config import PRESETS
    from verifier.spec import Spec

    columns = {"wide_fib": WIDE_FIB_COLUMNS, "range_check": RANGE_CHECK_COLUMNS, "plonk": 0}[name]
    example, config = FAMILIES[name].example(log_size, columns), PRESETS[preset]
    assert example.preprocessed is not None
    assert example.main is not None
    with backend() as device:
        words = tuple(example.statement_u64)
        proved = prove(
            example.air, example.preprocessed(), example.main(), config=config, backend=device, statement_u64=words
        )
    terms, sums = tuple(example.public_terms), tuple(proved.claimed_sums)
    spec = Spec(example.air, "blake2s", config, True, words, sums, terms, proved.preprocessed_root)
    parameters = {
        "wide_fib": (log_size, columns),
        "range_check": (log_size, log_size, columns),
        "plonk": (log_size, 1, 1),
    }[name]
    proof = proof_to_felts(spec, proved.proof)
    arguments = (felt_of(preset), *parameters, len(proof), *proof)
    label = f"{name}, {f'{columns} columns' if columns else 'gates'} x 2^{log_size}"
    return Work(label, CONTRACTS[name], f"verify_{name}", arguments)


def topk_work(log_size: int, preset: str) -> Work:
    """The ten nearest of 2^log_size made-up vectors of 100 dimensions, in one segment."""
    import numpy as np

    from octoproof.starknet.facts import facts_of
    from octoproof.starknet.presets import DIMENSION
    from octoproof.vectors.answers import Session
    from octoproof.vectors.answers import query as ask
    from octoproof.vectors.build import build_snapshot

    vectors = np.random.default_rng(7).normal(0, 1, (1 << log_size, DIMENSION)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder, Session(preset) as session:
        snapshot = build_snapshot(vectors, Path(folder) / "made-up", segment_rows=1 << log_size, presets=(preset,))
        result = ask(snapshot, id=3, k=10, prove=True, session=session)
    assert result.receipt is not None  # since it was asked for
    call = facts_of(result.receipt.data, 0)[0].call
    label = f"topk, k = 10, {DIMENSION} x 2^{log_size}"
    return Work(label, CONTRACTS["topk"], call.function, call.calldata)
