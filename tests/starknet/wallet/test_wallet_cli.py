"""`octoproof wallet`: its verbs, what it refuses, and that secrets come out of `export` alone."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from octoproof.starknet.wallet import curve, passwords
from octoproof.starknet.wallet.account import account_address
from octoproof.starknet.wallet.messages import typed_data_hash
from octoproof.starknet.wallet.signer import signer_of

PASSWORD = "correct horse battery"
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
MAIL = json.loads((Path(__file__).parent / "vectors" / "snip12.json").read_text())["documents"]["mail"]


@pytest.fixture
def alice(wallet, descriptor):
    """A key from the phrase."""
    done = wallet("import", "alice", "--secret-fd", descriptor(PHRASE), "--password-fd", descriptor(PASSWORD), "--json")
    assert done.code == 0, done.err
    return done.json


@pytest.fixture
def typed(monkeypatch):
    """What somebody types when asked."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_new_then_export_then_import(wallet, descriptor, typed):
    made = wallet("new", "first", "--words", "12", "--password-fd", descriptor(PASSWORD), "--json")
    assert made.code == 0
    assert made.json["path"] == "m/44'/9004'/0'/0/0"
    typed("first\n")
    phrase = wallet("export", "first", "--phrase", "--password-fd", descriptor(PASSWORD)).out.strip()
    assert len(phrase.split()) == 12
    assert phrase not in made.out + made.err
    args = ("--secret-fd", descriptor(phrase), "--password-fd", descriptor("another password"), "--json")
    again = wallet("import", "second", *args)
    assert again.json["public_key"] == made.json["public_key"]
    assert again.json["address"] == made.json["address"]


def test_addresses_are_those_of_our_account(alice):
    public = signer_of(PHRASE).public_key
    assert int(alice["public_key"], 16) == public
    assert int(alice["address"], 16) == account_address([public])


def test_several_accounts_of_a_phrase(wallet, descriptor, alice):
    for index in (1, 2):
        args = ("--index", index, "--secret-fd", descriptor(PHRASE), "--password-fd", descriptor(PASSWORD))
        assert wallet("import", f"alice-{index}", *args).code == 0
    listed = wallet("list", "--json").json["keys"]
    assert [key["name"] for key in listed] == ["alice", "alice-1", "alice-2"]
    assert len({key["address"] for key in listed}) == 3
    table = wallet("list").out
    assert all(key["address"] in table and key["path"] in table for key in listed)


def test_importing_a_private_key(wallet, descriptor, typed):
    args = ("--secret-fd", descriptor("0xabcdef"), "--password-fd", descriptor(PASSWORD), "--address", "0x77", "--json")
    done = wallet("import", "bob", "--key", *args)
    assert (done.code, done.json["path"], int(done.json["address"], 16)) == (0, None, 0x77)
    typed("bob\n")
    assert wallet("export", "bob", "--key", "--password-fd", descriptor(PASSWORD)).out.strip() == "0xabcdef"
    none = wallet("export", "bob", "--phrase", "--password-fd", descriptor(PASSWORD))
    assert none.code == 2
    assert "came from a private key" in none.err


def test_export_asks_twice(wallet, descriptor, typed, alice):
    """The name has to be typed and the password given; either alone shows nothing."""
    typed("alicia\n")
    refused = wallet("export", "alice", "--phrase", "--password-fd", descriptor(PASSWORD))
    assert refused.code == 2
    assert "nothing is shown" in refused.err
    typed("alice\n")
    wrong = wallet("export", "alice", "--phrase", "--password-fd", descriptor("wrong password"))
    assert wrong.code == 1
    assert "wrong password" in wrong.err
    assert "legal" not in refused.out + refused.err + wrong.out + wrong.err
    typed("")
    assert wallet("export", "alice", "--phrase", "--password-fd", descriptor(PASSWORD)).code != 0
    typed("alice\n")
    shown = wallet("export", "alice", "--phrase", "--password-fd", descriptor(PASSWORD), "--json")
    assert shown.out.count("legal") == 2
    assert shown.err.count("legal") == 0


def test_key_files_move(wallet, descriptor, alice, tmp_path):
    copy = tmp_path / "alice.copy"
    assert wallet("export", "alice", "--file", copy).code == 0
    args = ("--file", copy, "--folder", tmp_path / "elsewhere", "--password-fd", descriptor(PASSWORD), "--json")
    moved = wallet("import", "alice", *args)
    assert moved.code == 0, moved.err
    assert moved.json["address"] == alice["address"]
    wrong = ("--file", copy, "--folder", tmp_path / "third", "--password-fd", descriptor("wrong password"))
    assert wallet("import", "alice", *wrong).code == 1


def test_signing_and_verifying_a_message(wallet, descriptor, alice, tmp_path):
    message = tmp_path / "mail.json"
    message.write_text(json.dumps(MAIL))
    signed = wallet("sign", "alice", "--message", message, "--password-fd", descriptor(PASSWORD), "--json").json
    assert int(signed["hash"], 16) == typed_data_hash(MAIL, int(alice["address"], 16))
    pair = f"{signed['r']},{signed['s']}"
    good = wallet("verify", pair, "--message", message, "--name", "alice", "--json")
    assert (good.code, good.json["valid"]) == (0, True)
    who = ("--account", alice["address"], "--public-key", alice["public_key"])
    assert wallet("verify", pair, "--message", message, *who).out == "valid\n"
    bad = wallet("verify", pair, "--message", message, "--account", "0x5", "--public-key", alice["public_key"])
    assert bad.code == 1
    assert bad.out.startswith("not valid")
    message.write_text(json.dumps({**MAIL, "message": {**MAIL["message"], "contents": "Pay"}}))
    assert wallet("verify", pair, "--message", message, "--name", "alice").code == 1


def test_signing_a_hash(wallet, descriptor, alice):
    signed = wallet("sign", "alice", "--hash", "0x1234", "--password-fd", descriptor(PASSWORD), "--json").json
    assert (int(signed["r"], 16), int(signed["s"], 16)) == signer_of(PHRASE).sign(0x1234)
    pair = f"{int(signed['r'], 16)} {signed['s']}"
    assert wallet("verify", pair, "--hash", "0x1234", "--name", "alice").code == 0
    assert wallet("verify", pair, "--hash", "0x1235", "--name", "alice").code == 1


def test_rekey(wallet, descriptor, alice):
    pair = descriptor(PASSWORD, "another password")
    assert wallet("rekey", "alice", "--password-fd", pair, "--new-password-fd", pair).code == 0
    assert wallet("sign", "alice", "--hash", "1", "--password-fd", descriptor(PASSWORD)).code == 1
    assert wallet("sign", "alice", "--hash", "1", "--password-fd", descriptor("another password")).code == 0


def test_show_needs_no_password(wallet, alice):
    shown = wallet("show", "alice", "--json").json
    assert {**shown, "rounds": None} == {**{k: alice[k] for k in alice if k != "file"}, "rounds": None}
    assert shown["rounds"] >= 600_000
    assert "path: m/44'" in wallet("show", "alice").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody"), "nobody: no such key"),
        (("show", "../x"), "name: '../x'"),
        (("new", "x", "--words", "15", "--password-fd", "0"), "words: 15"),
        (("new", "alice", "--password-fd", "99"), "password: file descriptor 99"),
        (("sign", "alice", "--password-fd", "0"), "--message or --hash"),
        (("sign", "alice", "--hash", "ten", "--password-fd", "0"), "'ten' is not a number"),
        (("sign", "alice", "--hash", str(curve.PRIME)), "is not between 0 and the Stark prime"),
        (("export", "alice"), "--phrase, --key or --file"),
        (("verify", "1", "--hash", "1", "--name", "alice"), "1 numbers; give r,s"),
        (("verify", "1,2", "--hash", "1"), "--public-key or --name"),
    ],
)
def test_wrong_use(wallet, alice, arguments, said):
    done = wallet(*arguments)
    assert done.code == 2
    assert said in done.err


def test_wrong_imports(wallet, descriptor, alice):
    for option, secret, said in [
        ((), "legal winner thank", "phrase: 3 words"),
        (("--key",), "zebra", "private key: not a number"),
        (("--key",), "0", "private key: not between"),
        (("--index", "-1"), PHRASE, "index: -1"),
    ]:
        args = ("--secret-fd", descriptor(secret), "--password-fd", descriptor(PASSWORD))
        done = wallet("import", "bob", *option, *args)
        assert (done.code, said in done.err) == (2, True), done.err
        assert secret == "0" or secret not in done.err
    taken = ("--secret-fd", descriptor(PHRASE), "--password-fd", descriptor(PASSWORD))
    assert "there is such a key already" in wallet("import", "alice", *taken).err
    short = ("--secret-fd", descriptor(PHRASE), "--password-fd", descriptor("short"))
    assert "give at least 12" in wallet("import", "bob", *short).err


def test_a_damaged_file_is_refused(wallet, descriptor, alice, own_wallet):
    path = own_wallet / "alice.key.json"
    path.write_text(path.read_text().replace(f"{int(alice['address'], 16):#x}", "0xbad"))
    done = wallet("sign", "alice", "--hash", "1", "--password-fd", descriptor(PASSWORD), "--json")
    assert done.code == 1
    assert json.loads(done.out.splitlines()[0])["exit_code"] == 1
    assert "the file was changed" in done.err


def test_the_keyring_holds_passwords(wallet, descriptor, alice, monkeypatch):
    """Against a keyring in memory: the system's own is the user's."""
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1
        held: dict[tuple[str, str], str] = {}

        def get_password(self, service, username):
            return self.held.get((service, username))

        def set_password(self, service, username, password):
            self.held[service, username] = password

    import keyring

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        missing = wallet("sign", "alice", "--hash", "1", "--keyring")
        assert (missing.code, "keyring: has no password for alice" in missing.err) == (2, True)
        args = ("--password-fd", descriptor(PASSWORD), "--new-password-fd", descriptor("another password"))
        assert wallet("rekey", "alice", *args, "--keyring").code == 0
        assert wallet("sign", "alice", "--hash", "1", "--keyring").code == 0
        assert InMemory.held == {("octoproof", "alice"): "another password"}
    finally:
        keyring.set_keyring(before)


def test_prompts_are_hidden_and_repeated(wallet, monkeypatch, alice):
    answers = iter([PASSWORD, PASSWORD, PASSWORD, "not the same one"])
    monkeypatch.setattr(passwords, "getpass", lambda question: next(answers))
    assert wallet("new", "bob").code == 0
    refused = wallet("new", "carol")
    assert (refused.code, "the two are not the same" in refused.err) == (2, True)


def test_no_terminal_no_prompt(wallet, monkeypatch, alice):
    def shown(question):
        import warnings

        warnings.warn("Can not control echo on the terminal.", passwords.GetPassWarning, stacklevel=2)

    monkeypatch.setattr(passwords, "getpass", shown)
    done = wallet("sign", "alice", "--hash", "1")
    assert (done.code, "Password of alice: no terminal to ask on; use --password-fd or" in done.err) == (2, True)
    done = wallet("import", "bob")
    assert (done.code, "Phrase: no terminal to ask on; use --secret-fd" in done.err) == (2, True)


def test_without_the_extra(wallet, monkeypatch):
    monkeypatch.setattr("octoproof.cli.wallet.find_spec", lambda name: None)
    done = wallet("list")
    assert (done.code, "needs cryptography, mnemonic, starknet_py; install octoproof[chain]" in done.err) == (2, True)
