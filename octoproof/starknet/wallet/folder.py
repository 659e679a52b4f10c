"""The folder of key files: one file an account, for its owner's eyes only."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from octoproof.starknet.wallet.errors import WalletError
from octoproof.starknet.wallet.keystore import MAX_FILE, Account, Sealed, Secret, check_name, parse, seal, unseal

SUFFIX = ".key.json"


def default_folder() -> Path:
    """$OCTOPROOF_WALLET, else a folder among the user's data."""
    named = os.environ.get("OCTOPROOF_WALLET")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(named) if named else Path(data) / "octoproof" / "wallet"


def accounts(folder: Path) -> list[Account]:
    """Of all key files, by name. Raises WalletError for the first that cannot be read."""
    if not folder.is_dir():
        return []
    names = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return [read(folder, name).account for name in names]


def read(folder: Path, name: str) -> Sealed:
    """A key file, not opened. Raises WalletError for one that others may read, or that is not what it is called."""
    path = _path(folder, name)
    _check_folder(folder)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise WalletError(f"{name}: no such key in {folder}; `octoproof wallet list` shows them") from None
    except OSError as error:
        if path.is_symlink():
            raise WalletError(f"{path}: is a link; a key file has to be a file of its own") from None
        raise error
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise WalletError(f"{path}: is not a regular file")
    with open(descriptor, "rb") as file:
        _check_owner(path, about, stat.S_IRWXG | stat.S_IRWXO, "chmod 600")
        found = parse(file.read(MAX_FILE + 1))
    if found.account.name != name:  # one key passed off as another, with the right password for both
        raise WalletError(f"{path}: is the key of {found.account.name}; rename it back")
    return found


def open_key(folder: Path, name: str, password: str) -> Secret:
    """The secret of a key file. Raises WalletError or LockedError."""
    return unseal(read(folder, name), password)


def add(folder: Path, account: Account, secret: Secret, password: str) -> Path:
    """Writes a new key file; never over another one. Raises WalletError."""
    path = _path(folder, account.name)
    data = seal(account, secret, password)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_folder(folder)

    def link(aside: Path) -> None:
        try:
            os.link(aside, path)  # unlike a rename, fails if the name is taken
        except FileExistsError:
            raise WalletError(f"{account.name}: there is such a key already; choose another name") from None
        aside.unlink()

    _write(path, data, link)
    return path


def copy(folder: Path, name: str, target: Path) -> None:
    """Copies a key file, still under its password, readable by nobody else. Raises WalletError if there is a file."""
    read(folder, name)
    if target.is_symlink() or target.exists():
        raise WalletError(f"{target}: exists; name a new file")
    _write(target, _path(folder, name).read_bytes(), lambda aside: os.replace(aside, target))


def change_password(folder: Path, name: str, old: str, new: str) -> None:
    """Seals a key anew. Raises WalletError or LockedError. Copies of the old file still open with the old password."""
    found = read(folder, name)
    data = seal(found.account, unseal(found, old), new)
    path = _path(folder, name)
    _write(path, data, lambda aside: os.replace(aside, path))


def _path(folder: Path, name: str) -> Path:
    return folder / f"{check_name(name)}{SUFFIX}"


def _write(path: Path, data: bytes, publish: Callable[[Path], None]) -> None:
    """Writes aside, readable by nobody else from the start, then publishes; nothing is left behind on failure."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(aside)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_folder(folder: Path) -> None:
    """Whoever may write to the folder may put another key in the place of one."""
    if folder.is_dir():
        _check_owner(folder, folder.stat(), stat.S_IWGRP | stat.S_IWOTH, "chmod 700")


def _check_owner(path: Path, about: os.stat_result, forbidden: int, remedy: str) -> None:
    if about.st_uid != os.geteuid():
        raise WalletError(f"{path}: belongs to another user")
    if about.st_mode & forbidden:
        raise WalletError(f"{path}: open to other users; {remedy} {path}")
