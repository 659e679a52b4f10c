"""Key files, version 1: a private key, and the phrase it came from, under a password.

AES-256-GCM with a key from PBKDF2-HMAC-SHA256. Everything else in the file - name, public key, address, path and the
parameters themselves - is what GCM calls associated data: changed, the file does not open. A file is JSON:

    {"format": "octoproof key", "version": 1, "name": ..., "public_key": ..., "address": ..., "path": ...,
     "kdf": {"name": "pbkdf2-hmac-sha256", "rounds": ..., "salt": ...},
     "cipher": {"name": "aes-256-gcm", "nonce": ...}, "sealed": ciphertext and tag}
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from octoproof.starknet.wallet.curve import PRIME, public_key
from octoproof.starknet.wallet.errors import LockedError, WalletError
from octoproof.starknet.wallet.signer import KeySigner

FORMAT, VERSION = "octoproof key", 1
ROUNDS = 600_000  # OWASP's figure for PBKDF2-HMAC-SHA256; fewer are refused, else a changed file weakens the next one
MAX_ROUNDS = 10_000_000  # seconds of work; a stranger's file cannot ask for an hour
SALT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 12, 16
MAX_FILE, MAX_SECRET = 1 << 14, 1 << 11
MIN_PASSWORD = 12
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_KDF, _CIPHER = "pbkdf2-hmac-sha256", "aes-256-gcm"
_KEYS = ("format", "version", "name", "public_key", "address", "path", "kdf", "cipher", "sealed")


@dataclass(frozen=True)
class Account:
    """What a key file says without its password. `path` is None for a key that came from no phrase."""

    name: str
    public_key: int
    address: int
    path: str | None


@dataclass(frozen=True)
class Secret:
    """What a key file holds: a private key, and the phrase, if any, that leads to it along the account's path."""

    key: int = field(repr=False)
    phrase: str | None = field(default=None, repr=False)

    def signer(self) -> KeySigner:
        return KeySigner(self.key)


@dataclass(frozen=True)
class Sealed:
    """A key file as it was read: checked in form, not yet opened."""

    account: Account
    rounds: int
    salt: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    header: bytes = field(repr=False)


def check_name(name: str) -> str:
    """The name itself: what a key file is called. Raises WalletError."""
    if not NAME.fullmatch(name):
        raise WalletError(f"name: {name!r:.80}; give 1 to 64 letters, digits, '.', '_' or '-', no '.' first")
    return name


def check_password(password: str) -> str:
    """The password itself. Raises WalletError for one that is tried out too quickly."""
    if len(password) < MIN_PASSWORD:
        raise WalletError(f"password: {len(password)} characters; give at least {MIN_PASSWORD}")
    return password


def seal(account: Account, secret: Secret, password: str, rounds: int = ROUNDS) -> bytes:
    """The key file. Salt and nonce are new each time, so that no AES key ever meets a second nonce."""
    check_name(account.name)
    check_password(password)
    _check_rounds(rounds)
    if public_key(secret.key) != account.public_key:
        raise WalletError("public key: not that of the private key")
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": account.name,
        "public_key": hex(account.public_key),
        "address": hex(account.address),
        "path": account.path,
        "kdf": {"name": _KDF, "rounds": rounds, "salt": salt.hex()},
        "cipher": {"name": _CIPHER, "nonce": nonce.hex()},
    }
    plain = json.dumps({"key": hex(secret.key), "phrase": secret.phrase}).encode()
    sealed = AESGCM(_stretch(password, salt, rounds)).encrypt(nonce, plain, _header(document))
    return (json.dumps({**document, "sealed": sealed.hex()}, indent=1) + "\n").encode()


def parse(data: bytes) -> Sealed:
    """A key file, checked in form. Raises WalletError."""
    if len(data) > MAX_FILE:
        raise WalletError(f"key file: {len(data)} bytes; a key file has at most {MAX_FILE}")
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except ValueError as error:
        raise WalletError(f"key file: not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise WalletError(f'key file: "format" is not "{FORMAT}"')
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise WalletError(f"key file: version {document.get('version')!r:.20}; this program reads version {VERSION}")
    if tuple(document) != _KEYS:
        raise WalletError(f"key file: the keys have to be {', '.join(_KEYS)}")
    kdf = _part(document, "kdf", ("name", "rounds", "salt"), _KDF)
    cipher = _part(document, "cipher", ("name", "nonce"), _CIPHER)
    name, path = document["name"], document["path"]
    if not isinstance(name, str) or not (path is None or isinstance(path, str)):
        raise WalletError("key file: name or path is not a text")
    account = Account(check_name(name), _felt(document, "public_key"), _felt(document, "address"), path)
    sealed = _bytes(document["sealed"], "sealed")
    if not TAG_BYTES < len(sealed) <= MAX_SECRET:
        raise WalletError(f"key file: sealed: {len(sealed)} bytes are too few or too many")
    salt, nonce = _bytes(kdf["salt"], "salt", SALT_BYTES), _bytes(cipher["nonce"], "nonce", NONCE_BYTES)
    del document["sealed"]
    return Sealed(account, _check_rounds(kdf["rounds"]), salt, nonce, sealed, _header(document))


def unseal(file: Sealed, password: str) -> Secret:
    """The secret. Raises LockedError for another password or a changed file, after the same work for both."""
    try:
        plain = AESGCM(_stretch(password, file.salt, file.rounds)).decrypt(file.nonce, file.sealed, file.header)
    except InvalidTag:
        raise LockedError(f"{file.account.name}: wrong password, or the file was changed") from None
    held = json.loads(plain)
    return Secret(int(held["key"], 16), held["phrase"])


def _stretch(password: str, salt: bytes, rounds: int) -> bytes:
    typed = unicodedata.normalize("NFKC", password).encode()  # the same letters from any keyboard
    return hashlib.pbkdf2_hmac("sha256", typed, salt, rounds, dklen=32)


def _header(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _check_rounds(rounds: object) -> int:
    if type(rounds) is not int or not ROUNDS <= rounds <= MAX_ROUNDS:
        raise WalletError(f"kdf: {rounds!r:.30} rounds; {ROUNDS:,} to {MAX_ROUNDS:,} are taken")
    return rounds


def _part(document: dict[str, Any], key: str, names: tuple[str, ...], method: str) -> dict[str, Any]:
    part = document[key]
    if not isinstance(part, dict) or tuple(part) != names or part["name"] != method:
        raise WalletError(f"key file: {key} is not {method} with {', '.join(names[1:])}")
    return part


def _felt(document: dict[str, Any], key: str) -> int:
    value = document[key]
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-f]{1,64}", value) or int(value, 16) >= PRIME:
        raise WalletError(f"key file: {key} is not a number below the Stark prime in hexadecimal")
    return int(value, 16)


def _bytes(value: object, key: str, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"([0-9a-f]{2})*", value):
        raise WalletError(f"key file: {key} is not hexadecimal")
    if size is not None and len(value) != 2 * size:
        raise WalletError(f"key file: {key} has {len(value) // 2} bytes instead of {size}")
    return bytes.fromhex(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that occurs twice: two readers could take different ones."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)
