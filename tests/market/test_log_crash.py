"""A provider killed at any moment: everything that it told anybody it had accepted is there, and it goes on.

Run as a program, this file forks such a provider again and again, which tells what it has accepted, and kills it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from octoproof.market.ledger import ledgers
from octoproof.market.log import RequestLog
from octoproof.market.log_files import KINDS, number, read_records
from octoproof.market.messages import Request


def provider(world: Any, folder: Path) -> None:
    """Serves for ever, after it has answered for what it did not answer before it was killed."""
    id = world.agreement.id
    with RequestLog.open(folder, world.signing) as log:
        answer_for_silence(world, log)
        while True:
            received = world.requests(log, 2)
            log.accept(received)
            print(f"accepted {log.head(id).count}", flush=True)
            first = log.head(id).count - 2
            responses = world.sign([world.response(item.request.message) for item in received], world.provider)
            for k, signed in enumerate(responses):
                log.answer(id, [(first + k, signed)])
                print(f"answered {first + k + 1}", flush=True)


def answer_for_silence(world: Any, log: RequestLog) -> None:
    records = read_records(log.folder, "requests")
    for sequence in log.unanswered(world.agreement.id):
        record = records[records["sequence"] == sequence][0]
        named = world.provider.address, world.agreement.id, log.epoch, sequence, number(record["previous"])
        request = Request(*named, record["input"].tobytes(), int(record["sent_at"]))
        (signed,) = world.sign([world.response(request, 500, 504)], world.provider)
        log.answer(world.agreement.id, [(sequence, signed)])


def kill(world: Any, folder: Path, rounds: int) -> dict[str, int]:
    """The most that a provider told of each before it was killed; what it told must be on disk each time."""
    told, rng = {"accepted": 0, "answered": 0}, random.Random(rounds)
    for _ in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writing, 1)
            provider(world, folder)
        os.close(writing)
        with open(reading, "rb", buffering=0) as output:
            head = output.read(1)  # it has begun
            time.sleep(rng.random() * 0.1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for line in (head + output.readall()).decode().splitlines(keepends=True):
                word, _, count = line.partition(" ")
                if count.endswith("\n"):  # the last line may be cut
                    told[word] = max(told[word], int(count))
        assert len(read_records(folder, "requests")) >= told["accepted"]
        assert len(read_records(folder, "responses")) >= told["answered"]
    return told


@pytest.mark.parametrize("rounds", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_time(rounds: int, world: Any, tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path), str(rounds)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > rounds
    with RequestLog.open(tmp_path / "log", world.signing) as log:
        answer_for_silence(world, log)
    (ledger,) = ledgers(tmp_path / "log")
    assert ledger.rows["sequence"].tolist() == list(range(len(ledger.rows)))


@pytest.mark.parametrize("name", KINDS)
def test_every_torn_end_is_cut_off(name: str, world: Any, tmp_path: Path) -> None:
    """A record that was written in part, to every length."""
    folder = tmp_path / "log"
    with world.log(folder) as log:
        world.serve(log, [5, 6])
    path, size = folder / f"{name}.log", KINDS[name].itemsize
    whole = {other: (folder / f"{other}.log").read_bytes() for other in KINDS}
    later = list(KINDS)[list(KINDS).index(name) + 1 :]
    for length in range(0, size, 7):
        for other in KINDS:  # what was about the second request, and came later, was not there yet
            (folder / f"{other}.log").write_bytes(whole[other][: len(whole[other]) // (2 if other in later else 1)])
        path.write_bytes(whole[name][: size + length])
        with RequestLog.open(folder, world.signing):
            assert path.stat().st_size == size
        zeros = whole[name][:size] + whole[name][size : size + length].ljust(size, b"\0")
        path.write_bytes(zeros)  # a file system that had grown the file already
        with RequestLog.open(folder, world.signing):
            assert path.stat().st_size == size


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest

    parties, place = conftest.make_world(), Path(sys.argv[1])
    with parties.log(place / "first") as log:  # kernels are compiled here, not in each child
        parties.serve(log, [5])
    with parties.log(place / "log"):
        pass
    print(kill(parties, place / "log", int(sys.argv[2]))["answered"])
