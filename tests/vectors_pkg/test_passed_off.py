"""Receipts that show less than they say: of candidates, segments, modes, dictionaries and certificates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from air.statement import RootKey
from octoproof.vectors.certify import certificate_of
from octoproof.vectors.claims import opened_claim, proven_claims
from octoproof.vectors.manifest import new_manifest
from octoproof.vectors.payload import Dictionary
from octoproof.vectors.query import OPENING
from octoproof.vectors.receipts import Certificate
from octoproof.vectors.segment import Segment, squared_lengths
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import SecurityError, VerificationError
from verifier.receipt import Receipt, read_receipt, write_receipt

PROVEN = ("strict", "ivf")
MODES = (*PROVEN, *OPENING)


def receipt_of(parts: Any) -> bytes:
    return write_receipt(Receipt(tuple(parts)))


# Fewer rows than the mode demands


@pytest.mark.parametrize(("mode", "shown"), [("candidates", 39), ("fast", 4)])
def test_fewer_rows_than_required(mode, shown, provider, verified):
    """Of 40 candidates or 5 results, the last one is missing."""
    answer = provider.answer(mode)
    statement = opened_claim(replace(answer, rows=replace(answer.rows, best=answer.rows.best[:shown])))
    with pytest.raises(VerificationError, match=f"rows: {shown}, at least {shown + 1} must be shown"):
        verified(provider.opened(statement))


def test_candidates_that_are_not_in_the_snapshot(provider, verified):
    """The last candidate, which is no result, is moved a little: it counts like any other."""
    truth = provider.answer("candidates")
    last = truth.rows.best[-1]

    def alter(segment: Segment) -> Segment | None:
        if segment.id != last.stored.leaf.id:
            return None
        columns = np.array(segment.columns)
        columns[0, segment.positions[last.row]] += 1
        return replace(segment, columns=columns, norms=squared_lengths(columns))

    lie = provider.answer("candidates", provider.altered(alter))
    assert lie.matches == truth.matches
    assert [f.hit for f in lie.rows.best] != [f.hit for f in truth.rows.best]
    for way, receipt in provider.receipts(lie, truth):
        with pytest.raises(VerificationError):
            pytest.fail(f"{way}: {verified(receipt).results}")


@pytest.mark.parametrize("mode", PROVEN)
def test_a_segment_left_out(mode, provider, verified):
    """Also one without a result, whose part tells of no rows."""
    parts = read_receipt(provider.honest(provider.answer(mode))).parts
    assert not all(statement.emitted for statement in provider.statements(provider.answer(mode)))
    for number in range(len(parts)):
        with pytest.raises(VerificationError, match=r"segment\.index: "):
            verified(receipt_of([*parts[:number], *parts[number + 1 :]]))


def test_another_cell_than_the_nearest(provider, verified):
    """The centroids exchange their places; or one cell is shown to be nearest, and another one searched."""

    def alter(segment: Segment) -> Segment:
        columns, places = np.array(segment.columns), segment.positions
        columns[:, places] = np.roll(columns[:, places], 1, axis=1)
        return replace(segment, columns=columns, norms=squared_lengths(columns))

    truth = provider.answer("ivf", probes=1)
    lie = provider.answer("ivf", provider.altered(alter, centroids=True), probes=1)
    assert not {m.id for m in lie.matches} & {m.id for m in truth.matches}
    receipts = dict(provider.receipts(lie, truth))
    for way, receipt in receipts.items():
        with pytest.raises(VerificationError):
            pytest.fail(f"{way}: {verified(receipt).results}")
    probe, searched = read_receipt(provider.honest(truth)).parts[0], read_receipt(receipts["own trace"]).parts[1]
    with pytest.raises(VerificationError, match="not the segments that are asked for"):
        verified(receipt_of([probe, searched]))


def test_fewer_cells_than_probed(provider, verified):
    """True proofs: that one centroid reaches a threshold, and of its cell. Two cells are said to be probed."""
    probe, *cells = proven_claims(provider.answer("ivf", probes=2))
    nearest = probe[1].emitted[0]
    alone = next(claim for claim in cells if claim[1].segment.index == nearest[0] + 1)
    claims = [(probe[0], replace(probe[1], threshold=nearest[1], emitted=(nearest,))), alone]
    assert len(probe[1].emitted) == 2
    with pytest.raises(VerificationError, match="threshold: "):
        verified(receipt_of(provider.part(*claim) for claim in claims))
    honest = [(scored, replace(statement, probes=1)) for scored, statement in claims]
    assert verified(receipt_of(provider.part(*claim) for claim in honest)).mode == "ivf"


# One mode passed off as another


def test_candidates_passed_off_as_strict(provider, verified):
    """As they are, the verdict says what they are; under statements of the other kind, they are no proof."""
    receipt = provider.honest(provider.answer("candidates"))
    assert verified(receipt).mode == "candidates"
    [part] = read_receipt(receipt).parts
    strict = provider.statements(provider.answer("strict"))
    with pytest.raises(VerificationError, match="has to be proven, but the part only opens data"):
        verified(receipt_of(replace(part, statement=tuple(s.encode())) for s in strict))
    words = list(part.statement)
    words[place_of_mode(words, provider)] = 2  # no mode of opened rows has this number
    with pytest.raises(VerificationError, match="mode: 2 is unknown"):
        verified(receipt_of([replace(part, statement=tuple(words))]))


def place_of_mode(words: list[int], provider: Any) -> int:
    """Where the words of a statement name the mode `candidates`: they differ from those of `fast` there alone."""
    [statement] = provider.statements(provider.answer("candidates"))
    fast = replace(statement, mode="fast").encode()
    [place] = [k for k, (a, b) in enumerate(zip(words, fast, strict=True)) if a != b]
    return place


def test_a_proof_passed_off_as_an_opening(provider, verified):
    part = read_receipt(provider.honest(provider.answer("strict"))).parts[0]
    [statement] = provider.statements(provider.answer("fast"))
    with pytest.raises(VerificationError, match="is shown by opening data, but the part has a proof"):
        verified(receipt_of([replace(part, statement=tuple(statement.encode()))]))


def test_fast_passed_off_as_candidates(provider, verified, under):
    answer = provider.answer("fast")
    [statement] = provider.statements(answer)
    with pytest.raises(VerificationError, match="rows: 5, at least 40 must be shown"):
        verified(under(provider.honest(answer), [replace(statement, mode="candidates")]))


@pytest.mark.parametrize("probes", [2, 3])
def test_ivf_passed_off_as_strict(probes, provider, verified, under):
    """With all three cells probed, what is said is even true; but it is not what was proven."""
    answer = provider.answer("ivf", probes=probes)
    receipt = provider.honest(answer)
    statements = [replace(s, mode="strict", probes=0) for s in provider.statements(answer)]
    with pytest.raises(VerificationError, match="not the segments that are asked for"):
        verified(under(receipt, statements))
    without_probe = receipt_of(read_receipt(receipt).parts[1:])
    with pytest.raises(VerificationError, match="lookups do not balance" if probes == 3 else "not the segments"):
        verified(under(without_probe, statements[1:]))


# Dictionaries


@pytest.mark.parametrize("mode", MODES)
def test_a_dictionary_with_a_value_twice(mode, provider, verified):
    """A snapshot made so that some rows of a label can be kept from those who ask for it."""
    old = provider.snapshot.manifest
    [dictionary] = old.dictionaries
    twice = Dictionary(dictionary.name, (*dictionary.values, dictionary.values[0]))
    header = replace(old.header, fields=(twice.field,))
    manifest = new_manifest(old.number, header, (twice,), old.segments, old.segment_rows)
    tricky = replace(provider.snapshot, manifest=manifest)
    answer = provider.answer(mode, tricky, where={"kind": dictionary.values[0]})
    with pytest.raises(VerificationError, match=r"dictionaries\.kind: a value appears twice"):
        verified(provider.honest(answer), root=tricky.root)


@pytest.mark.parametrize("mode", MODES)
def test_another_dictionary_or_code(mode, provider, verified, under):
    answer = provider.answer(mode, where={"kind": "verb"})
    receipt, made = provider.honest(answer), provider.statements(answer)
    assert made[0].dictionaries == (("verb", "noun"),)
    [item] = answer.question.filters
    noun = replace(answer.question, filters=(replace(item, value="noun"),))
    code = replace(answer.question, filters=(replace(item, code=2),))
    other = (("noun", "verb"),)
    for question, dictionaries, reason in (
        (answer.question, other, "not that of the snapshot"),
        (answer.question, (), "one is needed for every filter"),
        (noun, made[0].dictionaries, "code 1 does not stand for 'noun'"),
        (code, made[0].dictionaries, "code 2 does not stand for 'verb'"),
        (noun, other, "not that of the snapshot"),
    ):
        rest = [replace(s, question=question) for s in made[1:]]
        lie = [replace(made[0], question=question, dictionaries=dictionaries), *rest]
        with pytest.raises(VerificationError, match=reason):
            verified(under(receipt, lie))


def test_the_opened_rows_have_the_label_that_was_asked_for(provider, verified, under):
    """A noun among verbs, with its own code, or with the code of the others."""
    answer = provider.answer("fast")
    [statement] = provider.statements(answer)
    asked = provider.answer("fast", where={"kind": "verb"})
    lie = replace(statement, question=asked.question, dictionaries=provider.statements(asked)[0].dictionaries)
    with pytest.raises(VerificationError, match="one is not of kind='verb'"):
        verified(under(provider.honest(answer), [lie]))


def test_parts_of_different_kinds_are_no_receipt(provider, verified):
    parts = [read_receipt(provider.honest(provider.answer(mode))).parts[0] for mode in ("strict", "fast")]
    with pytest.raises(VerificationError, match="must be of one statement type"):
        verified(receipt_of(parts))


def test_claims_are_what_is_proven(provider, verified):
    """What the statements of an answer say is what its receipt says."""
    answer = provider.answer("strict")
    claims = [statement for _, statement in proven_claims(answer)]
    verdict = verified(provider.honest(answer))
    assert [part.statement for part in verdict.verdict.parts] == claims


# Certificates


@pytest.fixture(scope="module")
def certify(session) -> Any:
    """certify(snapshot) is the receipt that its segments are well-formed."""

    def make(snapshot: Snapshot) -> bytes:
        return certificate_of(snapshot, "bench", backend=session.device)[0]

    return make


@pytest.fixture(scope="module")
def certificates(provider, certify) -> dict[int, bytes]:
    """Of the first and the last version."""
    return {number: certify(Snapshot.open(provider.snapshot.folder, at=number)) for number in (1, 3)}


def certified(data: bytes) -> Certificate:
    return Certificate.verify(data, min_conjectured=0.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_certificate_of_these_segments(mode, provider, certificates, verified):
    """Opened rows rest on no columns, and need none."""
    receipt = provider.honest(provider.answer(mode))
    assert verified(receipt).certified == (False if mode in PROVEN else None)
    known = certified(certificates[3])
    assert verified(receipt, certificate=known).certified == (True if mode in PROVEN else None)


@pytest.mark.parametrize("mode", PROVEN)
def test_a_certificate_of_another_version(mode, provider, certificates, verified, under):
    """The cell that changed is not certified by it; nor is its proof one for the newer leaf."""
    receipt = provider.honest(provider.answer(mode))
    assert verified(receipt, certificate=certified(certificates[1])).certified is False
    old = provider.honest(provider.answer(mode, Snapshot.open(provider.snapshot.folder, at=1)))
    assert verified(old, certificate=certified(certificates[1])).certified is True
    assert verified(old, certificate=certified(certificates[3])).certified is False
    new = [statement for _, statement in certified(certificates[3]).statements]
    with pytest.raises(VerificationError, match="tree 0 is not the prescribed one"):
        certified(under(certificates[1], new))


def test_a_certificate_of_some_segments(provider, certificates, verified):
    """The centroids are needed where they are probed, and each cell where it is searched."""
    parts = read_receipt(certificates[3]).parts
    receipts = {
        mode: provider.honest(provider.answer(mode, **{"probes": 1} if mode == "ivf" else {})) for mode in PROVEN
    }
    probed = provider.answer("ivf", probes=1).rows.segments[0].stored.leaf.id
    for missing in range(4):
        known = certified(receipt_of([*parts[:missing], *parts[missing + 1 :]]))
        assert verified(receipts["strict"], certificate=known).certified == (missing == 0)
        assert verified(receipts["ivf"], certificate=known).certified == (missing not in (0, probed))


def test_a_certificate_of_other_columns(provider, certificates, verified):
    """Of another key than the query's proof rests on, or of a segment with another root under it."""
    receipt, known = provider.honest(provider.answer("strict")), certified(certificates[3])

    def result(change: Any) -> bool | None:
        bent = tuple(change(key, statement) for key, statement in known.statements)
        return verified(receipt, certificate=replace(known, statements=bent)).certified

    def other_root(key: RootKey, statement: Any) -> Any:
        leaf = statement.leaf
        return key, replace(
            statement, leaf=replace(leaf, column_roots=(replace(leaf.column_roots[0], root=bytes(32)),))
        )

    assert result(lambda key, statement: (key, statement)) is True
    assert result(other_root) is False
    for key in (RootKey("poseidon252", 1), RootKey("blake2s", 2), RootKey("blake2s", 1, 12)):
        assert result(lambda _, statement, key=key: (key, statement)) is False


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"limit": 1}, False),
        ({"scale": 5}, False),
        ({"dimension": 3}, False),
        ({"values": (1,)}, True),  # dictionaries only grow
        ({"values": (3,)}, False),
        ({"values": ()}, False),
        ({"values": (2, 0)}, False),
        ({"unit": True}, True),
    ],
)
def test_a_certificate_for_another_header(changes, expected, provider, certificates, verified):
    known = certified(certificates[3])
    bent = tuple((key, replace(statement, **changes)) for key, statement in known.statements)
    verdict = verified(provider.honest(provider.answer("ivf")), certificate=replace(known, statements=bent))
    assert verdict.certified is expected


def test_rows_of_a_normalised_snapshot_must_be_certified_as_unit_vectors(provider, certify, proved, verified, tmp_path):
    """All but the centroids, which are means."""
    vectors = np.random.default_rng(3).normal(0, 1, (40, 4))
    snapshot = Snapshot.build(vectors, tmp_path / "unit", normalise=True, cells=2, presets=("bench",))
    receipt, known = (
        proved(snapshot, vectors[0], k=2, metric="cosine", mode="ivf").receipt,
        certified(certify(snapshot)),
    )
    assert [statement.unit for _, statement in known.statements] == [False, True, True]
    assert verified(receipt, certificate=known).certified is True
    bent = tuple((key, replace(statement, unit=False)) for key, statement in known.statements)
    assert verified(receipt, certificate=replace(known, statements=bent)).certified is False


def test_a_certificate_answers_no_query_and_a_query_certifies_nothing(provider, certificates, verified):
    with pytest.raises(VerificationError, match="of type certify, which answers no query"):
        verified(certificates[3])
    for mode in MODES:
        with pytest.raises(VerificationError, match=r"certificate: a receipt of type .*, not of certify"):
            certified(provider.honest(provider.answer(mode)))


def test_a_weak_certificate_is_refused_by_default(certificates):
    with pytest.raises(SecurityError, match="are demanded"):
        Certificate.verify(certificates[3])
