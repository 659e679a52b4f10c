"""Key files: what opens them, what does not, and what is not even tried."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octoproof.starknet.wallet import curve, folder, keystore
from octoproof.starknet.wallet.errors import LockedError, WalletError
from octoproof.starknet.wallet.keystore import Account, Secret, parse, seal, unseal

KEY, PHRASE, PASSWORD = 0xC0FFEE, "abandon " * 11 + "about", "correct horse battery"
ACCOUNT = Account("alice", curve.public_key(KEY), 0xADD2E55, "m/44'/9004'/0'/0/0")
SECRET = Secret(KEY, PHRASE)


@pytest.fixture(scope="module")
def data() -> bytes:
    return seal(ACCOUNT, SECRET, PASSWORD)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the key of alice."""
    home = tmp_path / "keys"
    folder.add(home, ACCOUNT, SECRET, PASSWORD)
    return home


def changed(data: bytes, change: Callable[[Any], Any]) -> bytes:
    document = json.loads(data)
    change(document)
    return json.dumps(document).encode()


def test_what_is_sealed_comes_out(data: bytes) -> None:
    file = parse(data)
    assert file.account == ACCOUNT
    assert file.rounds >= 600_000
    assert unseal(file, PASSWORD) == SECRET


def test_a_key_without_a_phrase() -> None:
    account = Account("bob", curve.public_key(5), 1, None)
    file = parse(seal(account, Secret(5), PASSWORD))
    assert (file.account, unseal(file, PASSWORD)) == (account, Secret(5))


def test_the_same_letters_from_another_keyboard() -> None:
    """A composed é and an e with an accent are one password."""
    file = parse(seal(ACCOUNT, SECRET, "caf\u00e9 au lait!"))
    assert unseal(file, "cafe\u0301 au lait!") == SECRET


def test_salt_and_nonce_are_new_each_time(data: bytes) -> None:
    first, second = parse(data), parse(seal(ACCOUNT, SECRET, PASSWORD))
    assert len({first.salt, second.salt}) == len({first.nonce, second.nonce}) == 2


@pytest.mark.parametrize("password", ["", "correct horse batterz", PASSWORD + " ", PASSWORD.upper()])
def test_another_password_does_not_open(data: bytes, password: str) -> None:
    with pytest.raises(LockedError, match="alice: wrong password, or the file was changed"):
        unseal(parse(data), password)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(name="mallory"),
        lambda d: d.update(public_key=hex(curve.public_key(6))),
        lambda d: d.update(address="0x1"),
        lambda d: d.update(path="m/44'/9004'/0'/0/1"),
        lambda d: d.update(path=None),
        lambda d: d["kdf"].update(rounds=600_001),
        lambda d: d["kdf"].update(salt="00" * 16),
        lambda d: d["cipher"].update(nonce="00" * 12),
        lambda d: d.update(sealed=flipped(d["sealed"], 0)),
        lambda d: d.update(sealed=flipped(d["sealed"], -1)),
        lambda d: d.update(sealed=d["sealed"][:-2]),
    ],
)
def test_every_part_is_authenticated(data: bytes, change: Callable[[Any], Any]) -> None:
    """An address or name that can be changed sends money elsewhere under the right password."""
    with pytest.raises(LockedError):
        unseal(parse(changed(data, change)), PASSWORD)


def flipped(text: str, place: int) -> str:
    raw = bytearray.fromhex(text)
    raw[place] ^= 1
    return raw.hex()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="other"), "format"),
        (lambda d: d.update(version=2), "version 2; this program reads version 1"),
        (lambda d: d.update(version=True), "version True"),
        (lambda d: d.update(more=1), "the keys have to be"),
        (lambda d: d.pop("path"), "the keys have to be"),
        (lambda d: d["kdf"].update(rounds=599_999), "kdf: 599999 rounds; 600,000 to 10,000,000"),
        (lambda d: d["kdf"].update(rounds=1), "kdf: 1 rounds"),
        (lambda d: d["kdf"].update(rounds=10_000_001), "kdf: 10000001 rounds"),
        (lambda d: d["kdf"].update(rounds=10**30), "kdf: 1"),
        (lambda d: d["kdf"].update(rounds=6e5), "kdf: 600000.0 rounds"),
        (lambda d: d["kdf"].update(rounds=None), "kdf: None rounds"),
        (lambda d: d["kdf"].update(name="md5"), "kdf is not pbkdf2"),
        (lambda d: d["kdf"].update(memory=1), "kdf is not pbkdf2"),
        (lambda d: d["kdf"].update(salt="00" * 15), "salt has 15 bytes"),
        (lambda d: d["cipher"].update(nonce="00" * 13), "nonce has 13 bytes"),
        (lambda d: d["cipher"].update(nonce="zz" * 12), "nonce is not hexadecimal"),
        (lambda d: d["cipher"].update(name="aes-256-cbc"), "cipher is not aes-256-gcm"),
        (lambda d: d.update(sealed="00" * 16), "sealed: 16 bytes"),
        (lambda d: d.update(sealed="00" * 4000), "sealed: 4000 bytes"),
        (lambda d: d.update(sealed=5), "sealed is not hexadecimal"),
        (lambda d: d.update(name="../alice"), "name: '../alice'"),
        (lambda d: d.update(name=3), "name or path is not a text"),
        (lambda d: d.update(address="0x"), "address is not a number"),
        (lambda d: d.update(public_key=hex(curve.PRIME)), "public_key is not a number below"),
    ],
)
def test_files_that_are_not_even_tried(
    data: bytes, change: Callable[[Any], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(keystore, "_stretch")  # no round of the file's choice is done for it
    with pytest.raises(WalletError) as error:
        unseal(parse(changed(data, change)), PASSWORD)
    assert message in str(error.value)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"{" * 5000, b'{"format": "octoproof key", "format": 1}'])
def test_what_is_no_key_file(text: bytes) -> None:
    with pytest.raises(WalletError, match="key file"):
        parse(text)


def test_a_large_file_is_not_parsed(data: bytes) -> None:
    with pytest.raises(WalletError, match="a key file has at most 16384"):
        parse(data + b" " * keystore.MAX_FILE)


def test_short_passwords_are_refused() -> None:
    with pytest.raises(WalletError, match="password: 11 characters; give at least 12"):
        seal(ACCOUNT, SECRET, "short words")


def test_a_public_key_of_another_private_key_is_refused() -> None:
    with pytest.raises(WalletError, match="public key: not that of the private key"):
        seal(ACCOUNT, Secret(KEY + 1), PASSWORD)


def test_secrets_are_not_shown(data: bytes) -> None:
    for shown in (repr(SECRET), str(SECRET), repr(parse(data)), data.decode()):
        assert hex(KEY)[2:] not in shown.lower()
        assert str(KEY) not in shown
        assert "abandon" not in shown


def test_files_are_private_and_whole(place: Path) -> None:
    (path,) = place.iterdir()
    assert path.name == "alice.key.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert folder.open_key(place, "alice", PASSWORD) == SECRET
    assert folder.accounts(place) == [ACCOUNT]


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = folder.add(tmp_path / "keys", ACCOUNT, SECRET, PASSWORD)
        folder.copy(tmp_path / "keys", "alice", tmp_path / "copy")
    finally:
        os.umask(before)
    for file in (path, tmp_path / "copy"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_key_is_never_overwritten(place: Path) -> None:
    before = (place / "alice.key.json").read_bytes()
    with pytest.raises(WalletError, match="alice: there is such a key already"):
        folder.add(place, ACCOUNT, SECRET, "quite another one")
    assert (place / "alice.key.json").read_bytes() == before
    assert len(list(place.iterdir())) == 1


def test_a_full_disk_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.add(place, Account("bob", ACCOUNT.public_key, 1, None), SECRET, PASSWORD)
    with pytest.raises(OSError, match="No space left"):
        folder.change_password(place, "alice", PASSWORD, "another password")
    assert [path.name for path in place.iterdir()] == ["alice.key.json"]
    assert folder.open_key(place, "alice", PASSWORD) == SECRET


def test_another_password(place: Path) -> None:
    with pytest.raises(LockedError):
        folder.change_password(place, "alice", "wrong password", "another password")
    folder.change_password(place, "alice", PASSWORD, "another password")
    assert folder.open_key(place, "alice", "another password") == SECRET
    with pytest.raises(LockedError):
        folder.open_key(place, "alice", PASSWORD)
    assert stat.S_IMODE((place / "alice.key.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_files_that_others_may_read(place: Path, mode: int) -> None:
    path = place / "alice.key.json"
    path.chmod(mode)
    with pytest.raises(WalletError, match="open to other users; chmod 600"):
        folder.read(place, "alice")


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_folders_that_others_may_write(place: Path, mode: int) -> None:
    place.chmod(mode)
    with pytest.raises(WalletError, match="open to other users; chmod 700"):
        folder.read(place, "alice")
    with pytest.raises(WalletError, match="open to other users; chmod 700"):
        folder.add(place, Account("bob", ACCOUNT.public_key, 1, None), SECRET, PASSWORD)


def test_links_are_not_followed(place: Path, tmp_path: Path) -> None:
    path = place / "alice.key.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WalletError, match="is a link"):
        folder.read(place, "alice")


def test_files_of_another_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(WalletError, match="belongs to another user"):
        folder.read(place, "alice")


@pytest.mark.timeout(20)
def test_what_is_no_file(place: Path) -> None:
    os.mkfifo(place / "pipe.key.json", 0o600)
    (place / "nest.key.json").mkdir(mode=0o700)
    for name in ("pipe", "nest"):
        with pytest.raises(WalletError, match="is not a regular file"):
            folder.read(place, name)


def test_a_key_under_the_name_of_another(place: Path) -> None:
    (place / "alice.key.json").rename(place / "bob.key.json")
    with pytest.raises(WalletError, match="is the key of alice; rename it back"):
        folder.read(place, "bob")


@pytest.mark.parametrize("name", ["../alice", "", ".alice", "a/b", "a" * 65, "alice\n", "älice"])
def test_names_stay_in_the_folder(place: Path, name: str) -> None:
    with pytest.raises(WalletError, match="name"):
        folder.read(place, name)
    with pytest.raises(WalletError, match="name"):
        folder.add(place, Account(name, ACCOUNT.public_key, 1, None), SECRET, PASSWORD)


def test_missing_keys(place: Path, tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="bob: no such key"):
        folder.read(place, "bob")
    assert folder.accounts(tmp_path / "nowhere") == []


def test_copies_never_overwrite(place: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    folder.copy(place, "alice", target)
    assert unseal(parse(target.read_bytes()), PASSWORD) == SECRET
    with pytest.raises(WalletError, match="exists; name a new file"):
        folder.copy(place, "alice", target)
