"""The runner as a child of the service: started anew when it dies, and ended with the service, however that ends.

The child reads its standard input, whose other end only the service holds: at the end of it the service is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired
from threading import Event, Thread

from octoproof.pipeline.jobs import back_off

STEADY_S = 60.0  # who ran so long starts without back-off again
END_S = 20.0  # what an orderly end may take

Tell = Callable[[str], None]


class RunnerChild:
    """A context manager. `tell` gets what the runner says, and how it fares, from another thread."""

    def __init__(self, arguments: Sequence[str], tell: Tell) -> None:
        """`arguments` are those of `octoproof.pipeline.runner`."""
        self._command = [sys.executable, "-m", "octoproof.pipeline.child", *arguments]
        self._tell, self._ending = tell, Event()
        self._process: Popen[str] | None = None
        self.starts = 0
        self._thread = Thread(target=self._keep_running, name="runner", daemon=True)

    def __enter__(self) -> RunnerChild:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        process = self._process
        if process is not None:
            _ask_to_end(process)
            with suppress(TimeoutExpired):
                process.wait(END_S)
            process.kill()
        self._thread.join()

    @property
    def pid(self) -> int | None:
        """Of the process, while it is there."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def _keep_running(self) -> None:
        failures = 0
        while not self._ending.is_set():
            started = time.monotonic()
            code = self._run()
            if self._ending.is_set():
                return
            failures = 1 if time.monotonic() - started > STEADY_S else failures + 1
            pause = back_off(failures)
            self._tell(f"runner ended with {code}; it is started again in {pause:.0f} s")
            self._ending.wait(pause)

    def _run(self) -> int:
        # A session of its own: Ctrl-C is for the service, which ends the runner in order.
        process = Popen(
            self._command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, text=True, errors="replace", start_new_session=True
        )
        self._process, self.starts = process, self.starts + 1
        if self._ending.is_set():  # asked to end while it was being started
            _ask_to_end(process)
        reader = Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        code = process.wait()
        with suppress(ProcessLookupError):  # what Ray has started, where the runner could not end it
            os.killpg(process.pid, signal.SIGKILL)
        reader.join()
        return code

    def _read(self, process: Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._tell(line.rstrip()[:500])


def _ask_to_end(process: Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def _end_with_service() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(END_S)
    _end_all()


def _end_all() -> None:
    """Ends this process with all that Ray has started: interrupted at its start, Ray leaves some of it behind."""
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """The child's side."""
    from octoproof.pipeline import runner

    Thread(target=_end_with_service, daemon=True).start()
    try:
        runner.main()
    except KeyboardInterrupt:
        _end_all()


if __name__ == "__main__":
    main()
