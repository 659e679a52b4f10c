"""Which device proves: the choice, what is said where there is no card, and small proofs beside large ones."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from air.statements.native import native
from gpu.backend import GpuBackend
from octoproof import device as devices
from octoproof.cli import doctor, main
from octoproof.cli.errors import UNUSABLE, explain
from octoproof.device import DeviceError, SizedBackend, backend, choose, tree_bytes_of, wheel
from octoproof.pipeline.cluster import plan
from octoproof.pipeline.prover_actor import ProverActor
from octoproof.vectors.answers import Session, query
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.prove import Trees
from prover.cpu import CpuBackend
from prover.prove import ProvingError, prove
from verifier.config import PRESETS, PcsConfig
from verifier.spec import config_to_json

CONFIG, GB = PRESETS["test"], 1 << 30
LIFTED = PcsConfig(1, 1, 0, 3, lifting_log_size=9)
NO_CARD = "no NVIDIA driver here"


@pytest.fixture(autouse=True)
def own_choice(monkeypatch):
    monkeypatch.setattr(devices, "_choice", "auto")


@pytest.fixture
def sized(device, monkeypatch) -> SizedBackend:
    """Proofs of 2^7 rows and more are the card's."""
    monkeypatch.setattr(devices, "GPU_FROM", 7)
    return SizedBackend(CpuBackend(1), GpuBackend(device))


def document(log_size: int, table_log: int = 5):
    users = [{"log_size": log_size, "n_cols": 2, "batch": 2}]
    return native({"name": "range_check", "table_log": table_log, "users": users})


def proof(made, chosen, tree0=None, channel="blake2s"):
    tree0 = made.preprocessed() if tree0 is None else tree0
    return prove(made.air, tree0, made.main(), config=LIFTED, backend=chosen, channel=channel).proof


@pytest.mark.parametrize("log_size", [6, 7, 8])
def test_both_devices_prove_alike(sized, log_size):
    made = document(log_size)
    assert proof(made, sized) == proof(made, CpuBackend(1))
    assert sized._now is (sized.gpu if log_size >= 7 else sized.cpu)


@pytest.mark.parametrize("order", [(8, 6), (6, 8)])
def test_a_tree_of_the_other_device_is_copied(sized, order):
    """The same small table, committed on either device, serves proofs on both."""
    large, small = (document(n) for n in order)
    proof(large, sized)
    tree = sized.commit(small.preprocessed(), LIFTED, "blake2s", keep=True)
    assert not sized.gpu.holds(tree)
    for made in (large, small):
        assert proof(made, sized, tree) == proof(made, CpuBackend(1))
    on_card = sized.gpu.commit(small.preprocessed(), LIFTED, "blake2s", keep=True)
    assert sized.gpu.holds(on_card)
    for made in (large, small):
        assert proof(made, sized, on_card) == proof(made, CpuBackend(1))


def test_large_columns_are_committed_on_the_card(sized):
    column = [np.arange(1 << 7, dtype=np.uint32)]
    assert sized.gpu.holds(sized.commit(column, LIFTED, "blake2s", keep=True))
    assert not sized.gpu.holds(sized.commit([column[0][:64]], LIFTED, "blake2s", keep=True))
    assert not sized.gpu.holds(sized.commit(column, LIFTED, "poseidon252", keep=True))


def test_a_failed_proof_leaves_nothing_behind(sized):
    large, small = native({"name": "wide_fib", "components": [{"log_size": 7, "n_cols": 4}]}), document(6)
    main = large.main()
    main[3][0] ^= 1
    with pytest.raises(ProvingError):
        prove(large.air, [], main, config=CONFIG, backend=sized)
    assert sized._now is sized.gpu
    assert proof(small, sized) == proof(small, CpuBackend(1))


def test_what_a_card_has_no_room_for_is_the_cpus(emulator, monkeypatch):
    monkeypatch.setattr(devices, "GPU_FROM", 7)
    sized = SizedBackend(CpuBackend(1), GpuBackend(emulator.EmulatedDevice(1 << 20)))
    made = document(8)
    assert proof(made, sized) == proof(made, CpuBackend(1))
    assert sized._now is sized.cpu


def test_poseidon252_is_the_cpus(sized):
    made = native({"name": "wide_fib", "components": [{"log_size": 7, "n_cols": 3}]})
    found, wanted = (
        prove(made.air, [], made.main(), config=CONFIG, backend=chosen, channel="poseidon252").proof
        for chosen in (sized, CpuBackend(1))
    )
    assert found == wanted


def test_kept_trees_know_their_size(device):
    chosen = GpuBackend(device)
    tree = chosen.commit([np.zeros(16, dtype=np.uint32)], CONFIG, "blake2s", keep=True)
    trees = Trees(0)
    assert trees.get(b"root", lambda: tree) is trees.get(b"root", lambda: None)
    assert tree_bytes_of(chosen) == device.free_memory() // 2 == tree_bytes_of(SizedBackend(CpuBackend(1), chosen))
    assert tree_bytes_of(CpuBackend(1)) > 0


def test_the_choice_is_kept(monkeypatch, emulator):
    card = emulator.EmulatedDevice()
    monkeypatch.setattr(devices, "card", lambda: card)
    for name, kind in (("cpu", CpuBackend), ("gpu", GpuBackend), ("auto", SizedBackend)):
        assert choose(name) == name
        with backend(1) as chosen:
            assert type(chosen) is kind
            assert chosen.name == name
            assert chosen.workers.count == 1
    with pytest.raises(DeviceError, match="device: 'tpu' is not one of auto, cpu, gpu"):
        choose("tpu")


def test_without_a_card(monkeypatch):
    monkeypatch.setattr(devices, "card", lambda: NO_CARD)
    with pytest.raises(DeviceError, match="device: no NVIDIA driver here; use --device cpu") as refused:
        choose("gpu")
    assert explain(refused.value) == (f"device: {NO_CARD}; use --device cpu", UNUSABLE)
    choose("auto")
    with backend(1) as chosen:
        assert chosen.name == "cpu"


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(devices, "driver_version", lambda: None)
    devices.card.cache_clear()
    assert devices.card() == NO_CARD
    monkeypatch.setattr(devices, "driver_version", lambda: 13020)
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    devices.card.cache_clear()
    assert "pip install cupy-cuda13x" in devices.card()
    devices.card.cache_clear()
    assert (wheel(12000), wheel(12090), wheel(13000)) == ("cupy-cuda12x", "cupy-cuda12x", "cupy-cuda13x")


@pytest.mark.parametrize("verb", [["stark", "prove"], ["query"], ["demo"], ["snapshot", "certify"], ["bench", "query"]])
def test_verbs_that_prove_take_the_device(verb):
    done = subprocess.run([sys.executable, "-m", "octoproof", *verb, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--device" in done.stdout


def test_a_snapshot_and_its_receipts_are_the_same_from_either_device(monkeypatch, emulator, tmp_path):
    card = emulator.EmulatedDevice()
    monkeypatch.setattr(devices, "card", lambda: card)
    vectors, found = np.random.default_rng(5).standard_normal((100, 3)).astype(np.float32), []
    for name in ("cpu", "gpu"):
        choose(name)
        snapshot = build_snapshot(vectors, tmp_path / name, segment_rows=64, presets=("test",))
        with Session("test", 1) as session:
            results = [query(snapshot, id=id, k=2, prove=True, session=session) for id in (3, 70)]
        found.append((snapshot.root, [result.receipt for result in results]))
    assert found[0] == found[1]


def test_the_command_line_proves_on_the_card(monkeypatch, emulator, tmp_path, capsys):
    card = emulator.EmulatedDevice()
    monkeypatch.setattr(devices, "card", lambda: card)
    spec = {
        "air": {"name": "wide_fib", "components": [{"log_size": 5, "n_cols": 3}]},
        "channel": "blake2s",
        "config": config_to_json(CONFIG),
        "mix_config": True,
        "statement_u64": [5],
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    written = []
    for name in ("cpu", "gpu"):
        out = tmp_path / f"{name}.json"
        with pytest.raises(SystemExit) as ended:
            main(["stark", "prove", str(tmp_path / "spec.json"), "--out", str(out), "--device", name])
        assert ended.value.code == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]
    (tmp_path / "spec.json").write_text(json.dumps(spec | {"channel": "poseidon252"}))
    with pytest.raises(SystemExit) as ended:
        main(["stark", "prove", str(tmp_path / "spec.json"), "--out", str(out), "--device", "gpu"])
    assert ended.value.code == UNUSABLE
    assert capsys.readouterr().err == "octoproof: device: a card does not hash poseidon252; use --device cpu\n"


@pytest.mark.parametrize(("own_card", "name"), [(True, "auto"), (False, "cpu")])
def test_an_actor_without_a_card_of_its_own_takes_none(monkeypatch, emulator, own_card, name):
    """Other actors' cards may be visible to it."""
    card = emulator.EmulatedDevice()
    monkeypatch.setattr(devices, "card", lambda: card)
    actor = ProverActor(1, 1 << 20, own_card)
    assert actor._device.name == name
    assert actor._trees.limit == (card.free_memory() // 2 if own_card else 1 << 20)
    actor._context.__exit__(None, None, None)


def test_doctor_names_the_card_or_what_is_missing(monkeypatch, emulator):
    for found, told in ((emulator.EmulatedDevice(1 << 31), "emulated, 2.0 GiB free"), (NO_CARD, NO_CARD)):
        monkeypatch.setattr(doctor, "card", lambda found=found: found)
        assert doctor.gpu() == told


def test_one_worker_a_card():
    """Where Ray reports cards, each worker has one; machines without stay idle."""
    node = {"CPU": 16.0, "memory": 64.0 * GB}
    made = plan([node | {"GPU": 2.0}], None)
    assert (made.workers, made.threads, made.bytes_each, made.cards) == (2, 8, 32 * GB, True)
    assert plan([node | {"GPU": 1.0}, node], None).workers == 1
    assert plan([node | {"GPU": 4.0}], 3).workers == 3
    assert not plan([node], None).cards
