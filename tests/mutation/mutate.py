"""Mutation testing of the verifier: one check is taken out at a time, and some test must fail.

    python tests/mutation/mutate.py [--only stark.py] [--sample N] [--seed S] [--jobs 2] [--write]

Mutations: a `raise` or the call of a check becomes `pass`; one operand of a condition that guards a raise is left out;
a bound in one is moved by one; an absorption is dropped; `strict=True` becomes `strict=False`. The tests run in a copy
of the tree, those nearest to the changed module first. Survivors must be explained in `explained.json`. `--write`
puts the result of a full run into docs/mutation.md. Exit code 1: an unexplained survivor.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.json")
TREE = ("air", "octoproof", "prover", "verifier", "pyproject.toml", "tests/conftest.py")
DATA = ("tests/fixtures", "tests/vectors", "tests/differential", "docs")
TESTS = ("tests/verifier", "tests/attacks")
SLOWEST = "not (test_every_list or 70queries or test_every_kind_of_leaf or test_every_byte_counts)"
CHECKS = re.compile(r"(_?(check|same|canonical|hashes|within|demand|need|verify|end|header)($|_)\w*)$")
EDGES = ["tests/attacks/test_edges.py", "tests/attacks/test_edges_files.py"]
LINT = ["tests/attacks/test_b_parsing.py"]
# Which tests are the likeliest to fail; all others follow.
NEAREST = {
    "channel.py": ["tests/verifier/test_vectors.py", "tests/attacks/test_a_transcript.py"],
    "config.py": ["tests/verifier/test_shape.py", "tests/attacks/test_e_fri.py"],
    "fri.py": ["tests/verifier/test_shape.py", "tests/attacks/test_e_fri.py"],
    "hashes.py": ["tests/attacks/test_c_field.py", "tests/attacks/test_d_merkle.py"],
    "merkle.py": ["tests/attacks/test_d_merkle.py"],
    "proof.py": ["tests/verifier/test_parsers.py", "tests/attacks/test_b_parsing.py"],
    "quotients.py": ["tests/attacks/test_c_field.py", "tests/attacks/test_b_parsing.py"],
    "receipt.py": ["tests/verifier/test_receipt.py", "tests/attacks/test_f_topk.py", "tests/attacks/test_e_fri.py"],
    "shape.py": ["tests/verifier/test_shape.py", "tests/attacks/test_b_parsing.py", "tests/attacks/test_c_field.py"],
    "spec.py": ["tests/verifier/test_parsers.py", "tests/attacks/test_d_merkle.py"],
    "stark.py": ["tests/verifier/test_shape.py", "tests/attacks/test_c_field.py", "tests/attacks/test_a_transcript.py"],
    "strict.py": ["tests/verifier/test_parsers.py", "tests/attacks/test_b_parsing.py"],
    "wire.py": ["tests/verifier/test_parsers.py", "tests/attacks/test_b_parsing.py"],
}
PRELOADED = ("numpy", "hypothesis.strategies", "poseidon_py.poseidon_hash", "typer", "rich.table", "air.statements")
WEAKER = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}


@dataclass(frozen=True)
class Mutation:
    """One change of one file: the characters [start, end) become `new`."""

    file: str
    function: str
    kind: str
    line: int
    old: str
    new: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """What an explanation refers to: stable while lines move."""
        return f"{self.file} {self.function}: {self.kind}: {self.old} -> {self.new}"

    def apply(self, source: str) -> str:
        return source[: self.start] + self.new + source[self.end :]


def mutations(path: Path) -> list[Mutation]:
    """All mutations of one module, in the order of its lines."""
    source = path.read_text()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def make(node: ast.expr | ast.stmt, new: str, kind: str, function: str) -> Mutation:
        def offset(line: int, column: int) -> int:
            text = source[starts[line - 1] : starts[line]]
            return starts[line - 1] + len(text.encode()[:column].decode())

        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
        old = " ".join(source[start:end].split())
        return Mutation(path.name, function, kind, node.lineno, old, new, start, end)

    found = [make(*item) for item in _changes(ast.parse(source), "module")]
    return sorted(found, key=lambda m: (m.start, m.kind))


def _changes(node: ast.AST, function: str) -> Iterator[tuple[ast.expr | ast.stmt, str, str, str]]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else function
        if isinstance(child, ast.Raise):
            yield child, "pass", "raise", function
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            name = getattr(child.value.func, "attr", getattr(child.value.func, "id", ""))
            if name.startswith("mix_"):
                yield child, "pass", "absorption", function
            elif CHECKS.match(name):
                yield child, "pass", "check", function
        elif isinstance(child, ast.If) and any(isinstance(s, ast.Raise) for s in child.body):
            yield from _weaker(child.test, function)
        elif isinstance(child, ast.keyword) and child.arg == "strict" and getattr(child.value, "value", False) is True:
            yield child.value, "False", "strict", function
        yield from _changes(child, inner)


def _weaker(test: ast.expr, function: str) -> Iterator[tuple[ast.expr, str, str, str]]:
    """The condition of a guard with an operand less, or a bound moved."""
    for node in ast.walk(test):
        if isinstance(node, ast.BoolOp):
            for k in range(len(node.values)):
                rest = [v for j, v in enumerate(node.values) if j != k]
                new: ast.expr = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                yield node, f"({ast.unparse(new)})", "operand", function
        elif isinstance(node, ast.Compare):
            for k, op in enumerate(node.ops):
                if type(op) in WEAKER:
                    parts = [node.left, *node.comparators]
                    signs = [_SIGNS[type(o)] for o in node.ops]
                    signs[k] = WEAKER[type(op)]
                    text = ast.unparse(parts[0])
                    for sign, part in zip(signs, parts[1:], strict=True):
                        text += f" {sign} {ast.unparse(part)}"
                    yield node, f"({text})", "bound", function


_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


def all_mutations(only: str | None = None) -> list[Mutation]:
    files = [p for p in sorted((ROOT / "verifier").glob("*.py")) if only is None or p.name == only]
    return [mutation for path in files for mutation in mutations(path)]


NOTHING = Mutation("stark.py", "module", "none", 1, "", "", 0, 0)


class Copy:
    """A copy of the tree in which one file at a time is changed; this process moves into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (*TREE, *DATA, *TESTS):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(".hypothesis"))
            elif source.exists():
                shutil.copy(source, target)
        os.chdir(folder)
        os.environ |= {"OCTOPROOF_ORACLE_SOURCE": str(folder / "none"), "PYTHONPATH": str(folder)}
        sys.path.insert(0, str(folder))
        for module in PRELOADED:  # so that a fork finds it: what costs time to import and does not import the verifier
            importlib.import_module(module)

    def survives(self, mutation: Mutation) -> bool:
        """Whether no test fails."""
        path = self.folder / "verifier" / mutation.file
        source = path.read_text()
        path.write_text(mutation.apply(source))
        try:
            return all(self._passes(tests) for tests in self.tests_for(mutation) if tests)
        finally:
            path.write_text(source)

    def tests_for(self, mutation: Mutation) -> tuple[list[str], list[str], list[str]]:
        """The quickest tests, the nearest, and all others."""
        first = LINT if mutation.kind == "strict" else EDGES
        near = [t for t in NEAREST.get(mutation.file, []) if t not in first and (self.folder / t).exists()]
        rest = [str(p.relative_to(self.folder)) for t in TESTS for p in sorted((self.folder / t).glob("test_*.py"))]
        return first, near, [t for t in rest if t not in (*first, *near)]

    def _passes(self, tests: Sequence[str]) -> bool:
        # Byte code of a file of the same size, written in the same second, would be taken for the old one.
        shutil.rmtree(self.folder / "verifier" / "__pycache__", ignore_errors=True)
        child = os.fork()
        if child == 0:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--timeout=60", "-k", SLOWEST, *tests])
            os._exit(int(code))
        deadline = monotonic() + 600
        while monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


_copy: Copy  # of a worker process


def _start(folder: str, number: Any) -> None:
    global _copy
    with number.get_lock():
        number.value += 1
        own = Path(folder) / str(number.value)
    _copy = Copy(own)


def _survives(mutation: Mutation) -> bool:
    return _copy.survives(mutation)


def survivors(found: Sequence[Mutation], jobs: int, progress: bool = False) -> list[Mutation]:
    """Those that no test notices."""
    left, context = [], multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, context.Value("i", 0))
        with context.Pool(jobs, _start, arguments) as pool:
            if not pool.apply(_survives, (NOTHING,)):
                raise RuntimeError("the tests fail without any mutation")
            for mutation, survived in zip(found, pool.imap(_survives, found), strict=True):
                if survived:
                    left.append(mutation)
                if progress:
                    print("SURVIVED" if survived else "killed  ", f"{mutation.line:4}", mutation.key, flush=True)
    return left


def explanations() -> dict[str, str]:
    """Reasons by `Mutation.key`."""
    reasons: dict[str, str] = json.loads(EXPLAINED.read_text())
    return reasons


def report(found: Sequence[Mutation], left: Sequence[Mutation]) -> str:
    """The page docs/mutation.md."""
    reasons, kinds = explanations(), Counter(m.kind for m in found)
    lines = ["# Mutation testing of the verifier", ""]
    lines += ["Written by `python tests/mutation/mutate.py --write`; see there for what the kinds of mutation are.", ""]
    lines += ["| kind | mutations | survivors |", "|---|---|---|"]
    lines += [f"| {kind} | {kinds[kind]} | {sum(m.kind == kind for m in left)} |" for kind in sorted(kinds)]
    lines += [f"| all | {len(found)} | {len(left)} |", "", "## Survivors", ""]
    lines += ["None."] if not left else ["| where | change | why no test can fail |", "|---|---|---|"]
    for m in left:
        old, new = (text.replace("|", "\\|") for text in (m.old, m.new))
        where = f"`verifier/{m.file}`, `{m.function}`"
        lines.append(f"| {where} | `{old}` becomes `{new}` | {reasons.get(m.key, '**unexplained**')} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one file of verifier/")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args(arguments)
    found = all_mutations(chosen.only)
    if chosen.sample is not None:
        found = random.Random(chosen.seed).sample(found, min(chosen.sample, len(found)))
    left = survivors(found, chosen.jobs, progress=True)
    unexplained = [m for m in left if m.key not in explanations()]
    print(f"{len(found)} mutations, {len(left)} survivors, {len(unexplained)} of them unexplained")
    if chosen.write:
        (ROOT / "docs" / "mutation.md").write_text(report(found, left))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
