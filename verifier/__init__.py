"""Verifies proofs and receipts. Needs air and NumPy only; parsing is never taken for verifying.

`verify` judges a receipt, `verify_stark` a proof in Stwo's format against a spec. Names are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifier.config import PRESETS, PcsConfig
    from verifier.errors import ParseError, VerificationError
    from verifier.proof import StarkProof, proof_from_json, proof_to_json
    from verifier.receipt import Receipt, Verdict, read_receipt, verify, write_receipt
    from verifier.security import Figures, figures
    from verifier.spec import Spec, spec_from_json, spec_to_json
    from verifier.stark import verify_stark

_HOME = {
    "Figures": "security",
    "PRESETS": "config",
    "ParseError": "errors",
    "PcsConfig": "config",
    "Receipt": "receipt",
    "Spec": "spec",
    "StarkProof": "proof",
    "Verdict": "receipt",
    "VerificationError": "errors",
    "figures": "security",
    "proof_from_json": "proof",
    "proof_to_json": "proof",
    "read_receipt": "receipt",
    "spec_from_json": "spec",
    "spec_to_json": "spec",
    "verify": "receipt",
    "verify_stark": "stark",
    "write_receipt": "receipt",
}

__all__ = [
    "PRESETS",
    "Figures",
    "ParseError",
    "PcsConfig",
    "Receipt",
    "Spec",
    "StarkProof",
    "Verdict",
    "VerificationError",
    "figures",
    "proof_from_json",
    "proof_to_json",
    "read_receipt",
    "spec_from_json",
    "spec_to_json",
    "verify",
    "verify_stark",
    "write_receipt",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'verifier' has no attribute {name!r}")
    value = getattr(import_module(f"verifier.{_HOME[name]}"), name)
    globals()[name] = value
    return value
