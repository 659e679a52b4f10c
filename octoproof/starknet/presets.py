"""`contracts/facts/src/presets.cairo`: the configurations that contracts accept, and what proofs under them are worth.

python -m octoproof.starknet.presets

A contract cannot compute bits of security, nor the root of a public tree 0 of 2^20 rows: both are computed here, by the
verifier's and the prover's own code, and are constants of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import unpack
from typing import Any

from air.circle import Column
from air.layout import Air
from air.statements.native import native
from air.statements.topk import TopK, topk_air
from octoproof.device import backend
from octoproof.files import write_atomically
from octoproof.starknet.build import CONTRACTS
from verifier.config import PRESETS, PcsConfig
from verifier.hashes import hasher
from verifier.security import figures

PAGE = CONTRACTS / "facts" / "src" / "presets.cairo"
ONCHAIN = ("onchain", "onchain-proven")
TOPK_SIZES = range(10, 21)
WIDE_FIB_SIZES = range(10, 21)
ROOT_SIZES = range(10, 17)  # AIRs with a public tree 0: one root for each size
DIMENSION = 100  # the largest for which there is an evaluator: smaller ones are worth no less
WIDE_FIB_COLUMNS = 24
RANGE_CHECK_COLUMNS = 3

_HEAD = """\
//! The configurations that the contracts accept, the security of proofs under them, and public roots of tree 0.
//!
//! Written by `python -m octoproof.starknet.presets` from `verifier/config.py` and `verifier/security.py`; do not edit.

use octoproof_stark::config::Config;
use crate::refuse::{require, within};
use crate::store::Security;

/// The configuration of a preset, given as its name. A proof cannot choose any other (ANCHORS E22).
pub fn config(preset: felt252) -> Config {
    *CONFIGS.span()[place(preset)]
}

fn place(preset: felt252) -> u32 {
    require(preset == ONCHAIN || preset == ONCHAIN_PROVEN, 'preset', 'unknown');
    if preset == ONCHAIN {
        0
    } else {
        1
    }
}

/// The entry of a table with an entry for every size from the first on; other sizes are refused.
fn entry<T, +Copy<T>, +Drop<T>>(table: Span<T>, first: u32, log_size: u32) -> T {
    within(log_size.into(), first.into(), (first + table.len() - 1).into(), 'log_size');
    *table[log_size - first]
}

fn security(preset: felt252, table: Span<[(u16, u16); 2]>, first: u32, log_size: u32) -> Security {
    let both = entry(table, first, log_size);
    let (conjectured, proven) = *both.span()[place(preset)];
    Security { conjectured, proven }
}
"""


def topk(log_size: int) -> Air:
    """The widest top-k AIR that the contracts know."""
    return topk_air(TopK(log_size, "l2", (0,) * DIMENSION, 0))


def wide_fib(log_size: int) -> Air:
    return native({"name": "wide_fib", "components": [{"log_size": log_size, "n_cols": WIDE_FIB_COLUMNS}]}).air


def range_check(log_size: int) -> Any:
    users = [{"log_size": log_size, "n_cols": RANGE_CHECK_COLUMNS, "batch": 2}]
    return native({"name": "range_check", "table_log": log_size, "users": users})


def plonk(log_size: int) -> Any:
    return native({"name": "plonk", "log_size": log_size, "a0": 0, "b0": 0})


def generated(root_sizes: Sequence[int] = ROOT_SIZES) -> str:
    """The text of the file. With other `root_sizes`, the tables of roots have these sizes only."""
    parts = [_HEAD, _configs()]
    parts += _securities("topk", TOPK_SIZES, topk)
    parts += _securities("wide_fib", WIDE_FIB_SIZES, wide_fib)
    parts += _securities("range_check", ROOT_SIZES, lambda n: range_check(n).air)
    parts += _securities("plonk", ROOT_SIZES, lambda n: plonk(n).air)
    parts += [_roots("range_check", root_sizes, range_check), _roots("plonk", root_sizes, plonk)]
    return "\n".join(parts)


def _configs() -> str:
    names = [f"pub const {_constant(name)}: felt252 = '{name}';\n" for name in ONCHAIN]
    rows = "".join(f"    {_config(PRESETS[name])},\n" for name in ONCHAIN)
    return "".join(names) + f"const CONFIGS: [Config; {len(ONCHAIN)}] = [\n{rows}];\n"


def _config(config: PcsConfig) -> str:
    known = ("pow_bits", "log_blowup_factor", "log_last_layer_degree_bound", "n_queries", "fold_step")
    fields = [f"{name}: {getattr(config, name)}" for name in known]
    return f"Config {{ {', '.join(fields)}, lifting_log_size: {config.lifting_log_size or 0} }}"


def _securities(name: str, sizes: Sequence[int], air: Callable[[int], Air]) -> Iterator[str]:
    rows = []
    for size in sizes:
        found = [figures(PRESETS[preset], air(size)) for preset in ONCHAIN]
        rows.append(", ".join(f"({int(f.conjectured * 10)}, {int(f.proven * 10)})" for f in found))
    table = "".join(f"    [{row}],\n" for row in rows)
    yield f"const {name.upper()}_SECURITY: [[(u16, u16); {len(ONCHAIN)}]; {len(rows)}] = [\n{table}];\n"
    yield (
        f"/// For sizes 2^{sizes[0]} to 2^{sizes[-1]}, in tenths of a bit.\n"
        f"pub fn {name}_security(preset: felt252, log_size: u32) -> Security {{\n"
        f"    security(preset, {name.upper()}_SECURITY.span(), {sizes[0]}, log_size)\n}}\n"
    )


def _roots(name: str, sizes: Sequence[int], make: Callable[[int], Any]) -> str:
    rows = []
    for size in sizes:
        words = ", ".join(f"{word:#010x}" for word in unpack("<8I", _root(make(size).preprocessed())))
        rows.append(f"    [{words}],\n")
    return (
        f"const {name.upper()}_ROOTS: [[u32; 8]; {len(rows)}] = [\n{''.join(rows)}];\n\n"
        f"/// The root of the public tree 0 of this size, the same under all presets.\n"
        f"pub fn {name}_root(log_size: u32) -> [u32; 8] {{\n"
        f"    entry({name.upper()}_ROOTS.span(), {sizes[0]}, log_size)\n}}\n"
    )


def _root(columns: list[Column]) -> bytes:
    config = PRESETS[ONCHAIN[0]]
    with backend() as device:
        tree = device.commit(columns, config, "blake2s", keep=False)
    return hasher("blake2s").to_bytes(tree.root)


def _constant(name: str) -> str:
    return name.upper().replace("-", "_")


if __name__ == "__main__":
    write_atomically(PAGE, generated())
