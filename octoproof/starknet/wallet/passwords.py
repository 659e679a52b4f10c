"""Where passwords come from: a prompt, a file descriptor or the system's keyring; never an argument or a variable."""

from __future__ import annotations

import os
import warnings
from getpass import GetPassWarning, getpass
from typing import Any

from octoproof.starknet.wallet.errors import WalletError

SERVICE = "octoproof"
_LONGEST = 4096


def known_password(name: str, descriptor: int | None = None, keyring: bool = False) -> str:
    """The password of an existing key. Raises WalletError where there is none to be had."""
    if descriptor is not None:
        return read_secret(descriptor, "password")
    if keyring:
        found = _keyring().get_password(SERVICE, name)
        if found is None:
            raise WalletError(f"keyring: has no password for {name}; leave out --keyring once, or store it again")
        return str(found)
    return hidden(f"Password of {name}: ")


def new_password(name: str, descriptor: int | None = None) -> str:
    """A password for a key, asked for twice. Raises WalletError."""
    if descriptor is not None:
        return read_secret(descriptor, "password")
    first = hidden(f"New password for {name}: ")
    if hidden("Again: ") != first:
        raise WalletError("password: the two are not the same; try again")
    return first


def remember_password(name: str, password: str) -> None:
    """Stores it in the system's keyring. Raises WalletError."""
    _keyring().set_password(SERVICE, name, password)


def hidden(question: str, otherwise: str = "--password-fd or --keyring") -> str:
    """What is typed, not shown. Raises WalletError without a terminal, naming the options to use otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)  # it would go on, and show what is typed
        try:
            return getpass(question)
        except (GetPassWarning, EOFError, OSError):
            raise WalletError(f"{question.rstrip(': ')}: no terminal to ask on; use {otherwise}") from None


def read_secret(descriptor: int, what: str) -> str:
    """One line from a file descriptor, without its end. Raises WalletError."""
    data = b""
    try:
        while not data.endswith(b"\n") and len(data) <= _LONGEST:
            part = os.read(descriptor, 1)  # not beyond the line: another secret may follow
            if not part:
                break
            data += part
    except OSError as error:
        raise WalletError(f"{what}: file descriptor {descriptor}: {error.strerror}") from None
    if not data.strip() or len(data) > _LONGEST:
        raise WalletError(f"{what}: file descriptor {descriptor} gives no line of 1 to {_LONGEST} bytes")
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise WalletError(f"{what}: file descriptor {descriptor} does not give UTF-8") from None


def _keyring() -> Any:
    try:
        import keyring
        from keyring.backends.fail import Keyring as NoKeyring
    except ImportError:
        raise WalletError("keyring: is not installed; `pip install keyring`, or use --password-fd") from None
    if isinstance(keyring.get_keyring(), NoKeyring):
        raise WalletError("keyring: this system has none; use the prompt or --password-fd")
    return keyring
