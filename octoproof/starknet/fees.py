"""What a transaction costs, and the most that it may cost: bounds from an estimate, with a margin and a hard cap.

A transaction is signed over an amount and a price for each of three kinds of gas; it never costs more than their sum of
products, and does not run where the amounts are too small or the prices below the market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping

from octoproof.starknet.errors import FeeError
from octoproof.starknet.limits import MAX_EXECUTE_GAS
from octoproof.starknet.profiles import FRI

AMOUNT_MARGIN, PRICE_MARGIN = 12_000, 15_000  # of 10,000: prices move between estimate and block, amounts hardly
# For an estimate itself: prices of 0 cost nothing, amounts of 0 would make devnet run the transaction out of gas.
UNBOUNDED = ResourceBoundsMapping(
    l1_gas=ResourceBounds(10**6, 0), l2_gas=ResourceBounds(MAX_EXECUTE_GAS, 0), l1_data_gas=ResourceBounds(10**6, 0)
)


@dataclass(frozen=True)
class Fee:
    """An estimate: gas amounts, prices in fri, and their sum of products."""

    l1_gas: int
    l1_price: int
    l2_gas: int
    l2_price: int
    data_gas: int
    data_price: int

    @property
    def fri(self) -> int:
        return self.l1_gas * self.l1_price + self.l2_gas * self.l2_price + self.data_gas * self.data_price


@dataclass(frozen=True)
class Limits:
    """The cap in fri on what one transaction may cost at most."""

    max_fee: int
    amount_margin: int = AMOUNT_MARGIN
    price_margin: int = PRICE_MARGIN


def fee_of(answer: dict[str, Any]) -> Fee:
    """From a node's fee estimate."""
    fields = (
        "l1_gas_consumed",
        "l1_gas_price",
        "l2_gas_consumed",
        "l2_gas_price",
        "l1_data_gas_consumed",
        "l1_data_gas_price",
    )
    return Fee(*(int(answer[name], 16) for name in fields))


def bounds_of(fee: Fee, limits: Limits, executed: bool = True) -> ResourceBoundsMapping:
    """With margins. Raises FeeError where the cap is passed; `executed` ones keep to the network's limit of L2 gas."""
    if executed and fee.l2_gas > MAX_EXECUTE_GAS:
        raise FeeError(f"gas: {fee.l2_gas:,} L2 gas, a transaction may use {MAX_EXECUTE_GAS:,}; split it")
    bounds = ResourceBoundsMapping(
        l1_gas=_bound(fee.l1_gas, fee.l1_price, limits),
        l2_gas=_bound(fee.l2_gas, fee.l2_price, limits, MAX_EXECUTE_GAS if executed else None),
        l1_data_gas=_bound(fee.data_gas, fee.data_price, limits),
    )
    if (most := most_of(bounds)) > limits.max_fee:
        raise FeeError(
            f"fee: up to {strk(most)} STRK might be paid (estimate {strk(fee.fri)}), the cap is {strk(limits.max_fee)};"
            " raise it with --max-fee"
        )
    return bounds


def most_of(bounds: ResourceBoundsMapping) -> int:
    """In fri."""
    parts = (bounds.l1_gas, bounds.l2_gas, bounds.l1_data_gas)
    return sum(part.max_amount * part.max_price_per_unit for part in parts)


def strk(fri: int) -> str:
    """For people: STRK with six decimals."""
    return f"{fri / FRI:,.6f}"


def _bound(amount: int, price: int, limits: Limits, highest: int | None = None) -> ResourceBounds:
    """With margins, rounded up."""
    most = -(-amount * limits.amount_margin // 10_000)
    return ResourceBounds(most if highest is None else min(most, highest), -(-price * limits.price_margin // 10_000))
