"""`octoproof wallet`: make, keep and use keys. Secrets leave a key file by `export` alone, which asks twice."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table

if TYPE_CHECKING:
    from octoproof.starknet.wallet.keystore import Account, Secret

app = application("Make, keep and use keys of Starknet accounts.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the key, as `wallet list` shows it.")]
Folder = Annotated[Path | None, typer.Option("--folder", help="Of the key files; else $OCTOPROOF_WALLET.")]
PasswordFd = Annotated[
    int | None, typer.Option("--password-fd", metavar="N", help="Read the password from this file descriptor.")
]
Keyring = Annotated[bool, typer.Option("--keyring", help="Keep the password in the system's keyring.")]
AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="0x...", help="Of the account, if it is not our own with one signer.")
]
Hash = Annotated[str | None, typer.Option("--hash", metavar="0x...", help="... this hash.")]
Json = Annotated[bool, JSON_OPTION]


@app.callback()
def needed() -> None:
    """Refuses to begin without the packages of the extra."""
    from octoproof.starknet.wallet.errors import WalletError

    missing = [name for name in ("cryptography", "mnemonic", "starknet_py") if find_spec(name) is None]
    if missing:
        raise WalletError(f"wallet: needs {', '.join(missing)}; install octoproof[chain]")


@app.command()
def new(
    name: Name,
    words: Annotated[int, typer.Option("--words", help="Of the phrase: 12 or 24.")] = 24,
    address: AddressOption = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Makes a random phrase and the first key of it. `wallet export --phrase` shows the phrase, to be written down."""
    from octoproof.starknet.wallet.phrase import new_phrase

    _add(name, _from_phrase(new_phrase(words), 0), address, password_fd, keyring, folder, as_json)
    if not as_json:
        print(f"Write the phrase down: octoproof wallet export {name} --phrase")


@app.command("import")
def import_key(
    name: Name,
    key: Annotated[bool, typer.Option("--key", help="A private key instead of a phrase.")] = False,
    index: Annotated[int, typer.Option("--index", help="Of the account below the phrase.")] = 0,
    file: Annotated[Path | None, typer.Option("--file", help="A key file that `wallet export --file` wrote.")] = None,
    secret_fd: Annotated[
        int | None, typer.Option("--secret-fd", metavar="N", help="Read phrase or key from this file descriptor.")
    ] = None,
    address: AddressOption = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Takes a phrase, a private key (both typed, not shown) or a key file."""
    from octoproof.starknet.wallet.keystore import Secret, parse, unseal
    from octoproof.starknet.wallet.passwords import hidden, known_password, read_secret

    if file is not None:
        sealed = parse(file.read_bytes())
        password = known_password(sealed.account.name, password_fd)
        held = (unseal(sealed, password), sealed.account.path)
        _add(name, held, address or hex(sealed.account.address), password_fd, keyring, folder, as_json, password)
        return
    what = "private key" if key else "phrase"
    text = hidden(f"{what.capitalize()}: ", "--secret-fd") if secret_fd is None else read_secret(secret_fd, what)
    held = (Secret(_secret_number(text)), None) if key else _from_phrase(text, index)
    _add(name, held, address, password_fd, keyring, folder, as_json)


@app.command()
def export(
    name: Name,
    phrase: Annotated[bool, typer.Option("--phrase", help="Show the phrase.")] = False,
    key: Annotated[bool, typer.Option("--key", help="Show the private key.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="Copy the key file here, still under its password.")
    ] = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Shows a phrase or private key, after its name was typed and its password given; or copies the key file."""
    from octoproof.starknet.wallet.errors import WalletError
    from octoproof.starknet.wallet.folder import copy, default_folder, open_key, read
    from octoproof.starknet.wallet.passwords import known_password

    if phrase + key + (file is not None) != 1:
        raise typer.BadParameter("one of them is needed", param_hint="--phrase, --key or --file")
    place = folder or default_folder()
    if file is not None:
        copy(place, name, file)
        return
    if read(place, name).account.path is None and phrase:
        raise WalletError(f"{name}: came from a private key, not from a phrase; use --key")
    what = "phrase" if phrase else "private key"
    typed = typer.prompt(f"Whoever sees the {what} owns the account. Type {name} to show it", err=True)
    if typed != name:
        raise WalletError(f"export: {typed!r:.70} was typed instead of {name!r}; nothing is shown")
    held = open_key(place, name, known_password(name, password_fd, keyring))
    shown = held.phrase if phrase else hex(held.key)
    if as_json:
        print_json({"name": name, "phrase" if phrase else "private_key": shown})
    else:
        print(shown)


@app.command("list")
def list_keys(folder: Folder = None, as_json: Json = False) -> None:
    """Lists the keys."""
    from octoproof.starknet.wallet.folder import accounts, default_folder

    found = accounts(folder or default_folder())
    if as_json:
        print_json({"keys": [_document(account) for account in found]})
    elif not found:
        print("no keys yet; `octoproof wallet new NAME` makes one")
    else:
        rows = [(a.name, f"{a.address:#066x}", a.path) for a in found]
        print_table(("name", "address", "path"), rows)


@app.command()
def show(name: Name, folder: Folder = None, as_json: Json = False) -> None:
    """Shows what is known of a key without its password."""
    from octoproof.starknet.wallet.folder import default_folder, read

    sealed = read(folder or default_folder(), name)
    _print({**_document(sealed.account), "rounds": sealed.rounds}, as_json)


@app.command()
def sign(
    name: Name,
    message: Annotated[Path | None, typer.Option("--message", help="Sign this SNIP-12 document ...")] = None,
    hash: Hash = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="0x...", help="That signs the message; else the key's own.")
    ] = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Signs a typed message or a hash."""
    from octoproof.starknet.wallet.folder import default_folder, open_key, read
    from octoproof.starknet.wallet.passwords import known_password

    place = folder or default_folder()
    known = read(place, name).account
    value = _hash(message, hash, known.address if account is None else _number(account, "--account"))
    r, s = open_key(place, name, known_password(name, password_fd, keyring)).signer().sign(value)
    _print({"hash": hex(value), "public_key": hex(known.public_key), "r": hex(r), "s": hex(s)}, as_json)


@app.command()
def verify(
    signature: Annotated[str, typer.Argument(metavar="R,S", help="The signature: two numbers.")],
    message: Annotated[Path | None, typer.Option("--message", help="Of this SNIP-12 document ...")] = None,
    hash: Hash = None,
    account: Annotated[str | None, typer.Option("--account", metavar="0x...", help="That signed the message.")] = None,
    public_key: Annotated[str | None, typer.Option("--public-key", metavar="0x...", help="Of the signer ...")] = None,
    name: Annotated[str | None, typer.Option("--name", help="... or a key of this wallet.")] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Checks a signature: exit 0 if it is valid, 1 if not."""
    from octoproof.starknet.wallet import curve
    from octoproof.starknet.wallet.folder import default_folder, read

    if (public_key is None) == (name is None):
        raise typer.BadParameter("one of them is needed", param_hint="--public-key or --name")
    known = None if name is None else read(folder or default_folder(), name).account
    signer = known.public_key if known is not None else _number(public_key or "", "--public-key")
    if account is None and known is None and message is not None:
        raise typer.BadParameter("the hash of a message contains its account", param_hint="--account")
    address = _number(account, "--account") if account is not None else known.address if known is not None else 0
    parts = signature.replace(",", " ").split()
    if len(parts) != 2:
        raise typer.BadParameter(f"{len(parts)} numbers; give r,s", param_hint="R,S")
    r, s = (_number(part, "R,S") for part in parts)
    value = _hash(message, hash, address)
    valid = curve.verify(value, (r, s), signer)
    if as_json:
        print_json({"valid": valid, "hash": hex(value), "public_key": hex(signer)})
    else:
        print("valid" if valid else f"not valid: {signer:#x} did not sign {value:#x} so")
    raise typer.Exit(0 if valid else 1)


@app.command()
def rekey(
    name: Name,
    password_fd: PasswordFd = None,
    new_password_fd: Annotated[
        int | None, typer.Option("--new-password-fd", metavar="N", help="Read the new password from this one.")
    ] = None,
    keyring: Keyring = False,
    folder: Folder = None,
) -> None:
    """Changes the password of a key. Copies of the old file still open with the old one."""
    from octoproof.starknet.wallet.folder import change_password, default_folder, read
    from octoproof.starknet.wallet.passwords import known_password, new_password, remember_password

    place = folder or default_folder()
    read(place, name)
    old = known_password(name, password_fd, keyring)
    fresh = new_password(name, new_password_fd)
    change_password(place, name, old, fresh)
    if keyring:
        remember_password(name, fresh)
    print(f"{name}: has a new password")


def _add(
    name: str,
    held: tuple[Secret, str | None],
    address: str | None,
    password_fd: int | None,
    keyring: bool,
    folder: Path | None,
    as_json: bool,
    password: str | None = None,
) -> None:
    from octoproof.starknet.wallet import curve
    from octoproof.starknet.wallet.account import account_address
    from octoproof.starknet.wallet.folder import add, default_folder
    from octoproof.starknet.wallet.keystore import Account, check_name
    from octoproof.starknet.wallet.passwords import new_password, remember_password

    secret, path = held
    public = curve.public_key(secret.key)
    place = account_address([public]) if address is None else _number(address, "--address")
    account = Account(check_name(name), public, place, path)
    password = password or new_password(name, password_fd)
    file = add(folder or default_folder(), account, secret, password)
    if keyring:
        remember_password(name, password)
    _print({**_document(account), "file": str(file)}, as_json)


def _from_phrase(text: str, index: int) -> tuple[Secret, str]:
    from octoproof.starknet.wallet.hd import account_path
    from octoproof.starknet.wallet.keystore import Secret
    from octoproof.starknet.wallet.phrase import check_phrase, seed_of
    from octoproof.starknet.wallet.signer import key_at

    phrase, path = check_phrase(text), account_path(index)
    return Secret(key_at(seed_of(phrase), path), phrase), path


def _document(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "address": f"{account.address:#066x}",
        "public_key": hex(account.public_key),
        "path": account.path,
    }


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        for label, value in document.items():
            print(f"{label.replace('_', ' ')}: {'-' if value is None else value}")


def _hash(message: Path | None, hash: str | None, account: int) -> int:
    """Of the document in a file for this account, or the one that was given."""
    from octoproof.starknet.wallet.errors import WalletError
    from octoproof.starknet.wallet.messages import typed_data_hash

    if (message is None) == (hash is None):
        raise typer.BadParameter("one of them is needed", param_hint="--message or --hash")
    if message is None:
        return _number(hash or "", "--hash")
    try:
        document = json.loads(message.read_bytes())
    except ValueError as error:
        raise WalletError(f"{message}: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise WalletError(f"{message}: not a SNIP-12 document")
    return typed_data_hash(document, account)


def _number(text: str, option: str) -> int:
    """A felt, decimal or hexadecimal."""
    from octoproof.starknet.wallet.curve import PRIME

    try:
        value = int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"{text!r:.80} is not a number", param_hint=option) from None
    if not 0 <= value < PRIME:
        raise typer.BadParameter(f"{text:.80} is not between 0 and the Stark prime", param_hint=option)
    return value


def _secret_number(text: str) -> int:
    from octoproof.starknet.wallet.curve import check_private_key
    from octoproof.starknet.wallet.errors import WalletError

    try:
        return check_private_key(int(text.strip(), 0))
    except ValueError:
        raise WalletError("private key: not a number; give it like 0x1234") from None
