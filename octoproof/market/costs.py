"""What a request costs in OCTO-W, and whether it fits the model: decided before anything is spent (section 13).

The order is: context, cost, reserve, execute, then burn or release; `money.carry_out` refuses to reserve what is not
there.
"""

from __future__ import annotations

from octoproof.market.errors import MarketError
from octoproof.market.money import MAX_COUNT, whole

MODEL_WEIGHTS = {"gpt-4": 10, "gpt-3.5-turbo": 1, "claude-3-opus": 12, "claude-3-haiku": 1, "gemini-pro": 2}
DEFAULT_WEIGHT = 1
MODEL_LIMITS = {  # tokens of prompt and answer together
    "gpt-4": 8_192,
    "gpt-3.5-turbo": 16_385,
    "claude-3-opus": 200_000,
    "claude-3-haiku": 200_000,
    "gemini-pro": 32_768,
}


def check_context(model: str, tokens: int) -> None:
    """Raises MarketError for a model without a known limit, and for more tokens than it takes."""
    if model not in MODEL_LIMITS:
        raise MarketError(f"model: {model!r} has no known limit; known are {', '.join(MODEL_LIMITS)}")
    if whole(tokens, "tokens", high=MAX_COUNT) > MODEL_LIMITS[model]:
        raise MarketError(f"tokens: {tokens}, but {model} takes {MODEL_LIMITS[model]}; shorten the prompt")


def cost(model: str, input_tokens: int, output_tokens: int) -> int:
    """OCTO-W: weight times thousands of tokens, rounded up; 0 for no tokens. Raises MarketError."""
    tokens = whole(input_tokens, "input_tokens", high=MAX_COUNT) + whole(output_tokens, "output_tokens", high=MAX_COUNT)
    return -(-MODEL_WEIGHTS.get(model, DEFAULT_WEIGHT) * tokens // 1_000)
