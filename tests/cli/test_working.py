"""The progress bar: it knows the prover's phases, and moves forward over segments."""

import re
from pathlib import Path

from octoproof.cli.working import PHASES, fraction

PROVE = Path(__file__).parents[2] / "prover" / "prove.py"


def test_the_phases_are_those_of_the_prover():
    assert tuple(re.findall(r'clock\.start\("(\w+)"\)', PROVE.read_text())) == PHASES


def test_the_bar_moves_forward():
    part, parts, last = 1, 1, -1.0
    for step in ("segment 1 of 2", *PHASES, "segment 2 of 2", *PHASES):
        done, part, parts = fraction(step, part, parts)
        assert done is not None
        assert last <= done < 1
        last = done
    assert fraction("quantising", 1, 1)[0] is None
