"""Which contracts were deployed from here, chain by chain, so that nothing has to be compiled to find them again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from octoproof.files import write_atomically
from octoproof.starknet.errors import ChainError
from octoproof.starknet.home import chain_home


@dataclass(frozen=True)
class Deployment:
    """A contract: its name, address and class hash."""

    name: str
    address: int
    class_hash: int


def deployments(chain_id: int) -> dict[str, Deployment]:
    """By name. Raises ChainError for a file that is damaged."""
    return {one.name: one for one in _read().get(hex(chain_id), [])}


def remember(chain_id: int, new: Deployment) -> None:
    """The latest of a name counts. Raises OSError."""
    known = _read()
    kept = [one for one in known.get(hex(chain_id), []) if one.name != new.name]
    known[hex(chain_id)] = [*kept, new]
    text = json.dumps({chain: [asdict(one) for one in held] for chain, held in known.items()}, indent=1)
    write_atomically(_path(), text)


def address_of(chain_id: int, name: str, given: int | None = None) -> int:
    """The address that is given, else the one that was deployed from here. Raises ChainError."""
    if given is not None:
        return given
    found = deployments(chain_id).get(name)
    if found is None:
        raise ChainError(
            f"contract: {name} was not deployed from here; run `octoproof chain deploy`, or give its address"
        )
    return found.address


def _path() -> Path:
    return chain_home() / "deployments.json"


def _read() -> dict[str, list[Deployment]]:
    path = _path()
    try:
        return {chain: [Deployment(**one) for one in held] for chain, held in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise ChainError(f"{path}: is damaged; remove it, and run `octoproof chain deploy` again") from None
