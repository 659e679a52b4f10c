"""`octoproof chain`: a local node, and contracts, facts and snapshots on Starknet."""

from __future__ import annotations

from octoproof.cli import chain_deploy, chain_devnet, chain_generate, chain_publish, chain_status, chain_verify
from octoproof.cli.console import application

app = application("Deploy contracts to Starknet, and verify proofs and publish snapshots there.")
app.add_typer(chain_devnet.app, name="devnet", help="Start, stop and look at a node on this machine.")
app.command("deploy")(chain_deploy.deploy)
app.command("status")(chain_status.status)
app.command("verify")(chain_verify.verify)
app.command("publish")(chain_publish.publish)
app.command("generate")(chain_generate.generate)
