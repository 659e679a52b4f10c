"""What a request costs, and what is refused before anything is spent."""

from __future__ import annotations

import pytest

from octoproof.market.costs import MODEL_LIMITS, check_context, cost
from octoproof.market.errors import MarketError


@pytest.mark.parametrize(
    ("model", "tokens", "expected"),
    [
        ("gpt-4", (0, 0), 0),
        ("gpt-4", (1, 0), 1),
        ("gpt-4", (100, 0), 1),
        ("gpt-4", (100, 1), 2),
        ("claude-3-opus", (500, 500), 12),
        ("gemini-pro", (250, 251), 2),
        ("llama", (1_000, 1), 2),
    ],
)
def test_costs_are_rounded_up(model, tokens, expected):
    assert cost(model, *tokens) == expected


def test_a_prompt_that_does_not_fit_is_refused_first():
    for model, limit in MODEL_LIMITS.items():
        check_context(model, limit)
        with pytest.raises(MarketError, match=f"{model} takes {limit}"):
            check_context(model, limit + 1)
    with pytest.raises(MarketError, match="no known limit"):
        check_context("llama", 1)
    with pytest.raises(MarketError):
        cost("gpt-4", -1, 0)
