"""A smaller column read as if it were of the lifting size (PROTOCOL 3): value s is at ((s >> (k+1)) << 1) + (s & 1)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from prover import emit
from prover.emit import LANES
from prover.lanes import emit_load, emit_pointer, emit_shuffle, helper, lanes, load


def _spread(k: int) -> Any:
    """Intrinsic (address, i): sixteen lifted values out of the 16 >> k that start at entry i."""

    @intrinsic
    def operation(typing_context, address, index):
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            place = emit_pointer(context, b, types.intp, *args, ir.VectorType(emit.U32, LANES >> k))
            few = emit_load(b, place)
            return emit_shuffle(b, few, few, [((s >> (k + 1)) << 1) + (s & 1) for s in range(LANES)])

        return lanes(types.intp, types.intp), codegen

    return operation


_spread1, _spread2, _spread3 = (_spread(k) for k in (1, 2, 3))


@helper
def load_lifted(address, k, start):
    """Sixteen values at lifted positions start .. start+15 (a multiple of 16) of a column 2^k times smaller."""
    if k == 0:
        return load(address, start)
    if k == 1:
        return _spread1(address, start >> 1)
    if k == 2:
        return _spread2(address, start >> 2)
    return _spread3(address, (start >> (k + 1)) << 1)
