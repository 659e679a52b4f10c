"""Seconds of fuzzing with fixed seeds, every past crasher, and small files that claim to be large."""

from __future__ import annotations

import importlib.util
import io
import json
import resource
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
SECONDS = 1.0
ADDRESS_SPACE = 3 << 30  # NumPy's thread pools alone reserve more than one


def load_fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = load_fuzz()


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_the_corpus(name: str) -> None:
    """Honest inputs and past crashers: nothing but the parser's own refusals, and the honest ones are read."""
    files = sorted((fuzz.CORPUS / name).iterdir())
    honest = [path for path in files if not path.name.startswith("crash-")]
    assert honest
    for path in files:
        assert fuzz.problem(fuzz.PARSERS[name], path.read_bytes()) is None, path.name
    for path in honest:
        fuzz.PARSERS[name].check(path.read_bytes())


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_some_seconds(name: str) -> None:
    count, findings = fuzz.fuzz(name, SECONDS, seed=1, most=2_000)
    assert findings == {}
    assert count > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_a_minute(name: str) -> None:
    # So many inputs and no more: what is found must not depend on how fast a machine is.
    assert fuzz.fuzz(name, 60, seed=2, most=20_000)[1] == {}


NUMBER = "9" * 4000
JSON_CASES = {
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 200_000,
    "closed deep list": b"[" * 50_000 + b"]" * 50_000,
    "long number": b"9" * 2_000_000,
    "NaN": b'{"config": NaN}',
    "Infinity": b"[Infinity, -Infinity]",
    "float": b'{"version": 1e999}',
    "duplicate key": b'{"air": 1, "air": 2}',
    "surrogate key": b'{"\\ud800": 1}',
    "surrogate value": b'{"channel": "\\udfff", "air": "\\ud800"}',
    "not UTF-8": b'{"a": "\xff\xfe\xfd"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "many lists": b"[" + b"[]," * 400_000 + b"[]]",
    "many keys": json.dumps({str(k): k for k in range(100_000)}).encode(),
    "spaces": b" " * 4_000_000,
    "zeros": bytes(4_000_000),
    "long key": b'{"' + b"k" * 1_000_000 + b'": 1}',
}
SPEC_AIRS = {
    "many wide components": {"name": "wide_fib", "components": [{"log_size": 26, "n_cols": 16384}] * 64},
    "many wide users": {
        "name": "range_check",
        "table_log": 26,
        "users": [{"log_size": 26, "n_cols": 16384, "batch": 2}] * 64,
    },
    "huge plonk": {"name": "plonk", "log_size": 26, "a0": 0, "b0": 0},
    "huge number": {"name": "plonk", "log_size": int(NUMBER), "a0": 0, "b0": 0},
    "name of a kind": {"name": ["plonk"]},
}
CONFIG = {"pow_bits": 10, "log_blowup_factor": 1, "log_last_layer_degree_bound": 0, "n_queries": 3, "fold_step": 1}


def spec_of(air: object, **others: object) -> bytes:
    document = {"air": air, "channel": "blake2s", "config": CONFIG, "mix_config": True, **others}
    return json.dumps(document).encode()


def squarings() -> bytes:
    """2^100000 as a degree."""
    nodes = [["trace", 0, 0], *(["mul", k, k] for k in range(100_000))]
    component = {
        "name": "c", "log_size": 26, "preprocessed": [], "trace": [[0]], "nodes": nodes,
        "constraints": [100_000], "fractions": [], "batch": 1,
    }  # fmt: skip
    return json.dumps({"version": 1, "preprocessed": [], "relations": [], "components": [component]}).encode()


def npy_claiming(rows: int) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, 100), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(800)


def npz_of_objects() -> bytes:
    out = io.BytesIO()
    np.savez(out, vectors=np.array([{}, None], dtype=object), allow_pickle=True)
    return out.getvalue()


def encrypted_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("vectors.npy", b"x" * 100)
    data = bytearray(out.getvalue())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def binary_cases(name: str) -> dict[str, bytes]:
    """Every aligned u32 of an honest file, one by one, as a huge count; and plain rubbish of some size."""
    honest = min((p.read_bytes() for p in (fuzz.CORPUS / name).iterdir()), key=len)
    start = 17 if name == "receipt" else 0
    out = {"zeros": bytes(4_000_000), "ones": b"\xff" * 1_000_000, "magic and zeros": honest[:21] + bytes(4_000_000)}
    for at in range(start, min(len(honest) - 8, 400), 4):
        for number in (2**32 - 1, 2**31, 2**20):
            out[f"{number} at {at}"] = honest[:at] + struct.pack("<I", number) + honest[at + 4 :]
        out[f"2^63 at {at}"] = honest[:at] + struct.pack("<Q", 2**63) + honest[at + 8 :]
    return out


def cases(name: str) -> dict[str, bytes]:
    if name in ("receipt", "wire", "topk", "opened", "certify", "opening"):
        return binary_cases(name)
    if name == "arrays":
        claims = {f"{rows} rows": npy_claiming(rows) for rows in (10**7, 10**12, 2**62, 10**30, -1)}
        return claims | {"objects": npz_of_objects(), "encrypted": encrypted_zip(), "zeros": bytes(1_000_000)}
    if name == "spec":
        wide = {key: spec_of(air) for key, air in SPEC_AIRS.items()}
        plonk = {"name": "plonk", "log_size": 4, "a0": 0, "b0": 0}
        wide["huge words"] = spec_of(plonk, statement_u64=[int(NUMBER)])
        return JSON_CASES | wide
    return JSON_CASES | ({"squarings": squarings()} if name == "air" else {})


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_small_files_with_large_claims(name: str) -> None:
    """In a process with little memory: refused, quickly."""
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def bounded(name: str) -> int:
    """Runs the cases of a parser; prints every one that goes wrong, or takes memory out of proportion."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    wrong = 0
    for label, data in cases(name).items():
        tracemalloc.start()
        problem = fuzz.problem(fuzz.PARSERS[name], data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if problem is None and peak > 100 * len(data) + (64 << 20):
            problem = f"{peak >> 20} MB for {len(data)} bytes"
        if problem is not None:
            wrong += 1
            print(f"{name}, {label}: {problem}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(bounded(sys.argv[1]))
