"""`octoproof market`: stakes, listings, purchases, and the service itself, on both sides."""

from __future__ import annotations

from octoproof.cli import market_serve, market_trade
from octoproof.cli.console import application
from octoproof.cli.market_link import linked

app = application("Offer and buy services whose quality is proven.")
for verb in (
    market_trade.deploy,
    market_trade.transfer,
    market_trade.stake,
    market_trade.list_service,
    market_trade.buy,
    market_serve.serve,
    market_serve.ask,
    market_trade.publish,
    market_trade.deliver,
    market_trade.concede,
    market_trade.accept,
    market_trade.expire,
    market_trade.show,
):
    app.command("list" if verb is market_trade.list_service else verb.__name__)(linked(verb))
