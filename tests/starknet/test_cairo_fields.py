"""Fields, circle, lanes, hashes and channel in Cairo are those of the Python reference, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import blake2s
from pathlib import Path
from struct import unpack

from air import circle
from air.field import CM31, QM31, P, combine4, inverse
from tests.starknet.cairo import need_compiler
from tests.starknet.verifying import PASSED, run
from verifier.channel import Blake2sChannel
from verifier.hashes import hasher

EXTREMES = (0, 1, 2, P - 1, P - 2, (P - 1) // 2, (P + 1) // 2)
ROUNDS = 5
_IMPORTS = """\
use octoproof_stark::channel::ChannelTrait;
use octoproof_stark::circle::{Point, SecurePoint};
use octoproof_stark::qm31::{CM31, QM31};
use octoproof_stark::{air, blake, circle, lanes, m31, qm31};
"""


def _base(rng: random.Random) -> int:
    return rng.choice(EXTREMES) if rng.random() < 0.4 else rng.randrange(P)


def _secure(rng: random.Random) -> QM31:
    return QM31(*(_base(rng) for _ in range(4)))


def _q(value: QM31) -> str:
    return f"QM31 {{ a: {value.a}, b: {value.b}, c: {value.c}, d: {value.d} }}"


def _c(value: CM31) -> str:
    return f"CM31 {{ a: {value.a}, b: {value.b} }}"


def _point(value: tuple[int, int]) -> str:
    return f"Point {{ x: {value[0]}, y: {value[1]} }}"


def _m31(rng: random.Random) -> Iterator[tuple[str, str]]:
    x, y = _base(rng), _base(rng)
    yield f"m31::add({x}, {y})", f"{(x + y) % P}"
    yield f"m31::sub({x}, {y})", f"{(x - y) % P}"
    yield f"m31::neg({x})", f"{-x % P}"
    yield f"m31::mul({x}, {y})", f"{x * y % P}"
    large = rng.choice([0, P, 2**128 - 1, rng.randrange(2**128)])
    yield f"m31::reduce_u128({large})", f"{large % P}"
    if x:
        yield f"m31::inverse({x})", f"{inverse(x)}"
    word = rng.choice([P - 1, P, 2**32 - 1, rng.randrange(2**32)])
    yield f"m31::from_word({word})", f"Some({word})" if word < P else "None"


def _qm31(rng: random.Random) -> Iterator[tuple[str, str]]:
    x, y, z, t = _secure(rng), _secure(rng), _secure(rng), _base(rng)
    e = CM31(_base(rng), _base(rng))
    yield f"qm31::add({_q(x)}, {_q(y)})", _q(x + y)
    yield f"qm31::sub({_q(x)}, {_q(y)})", _q(x - y)
    yield f"qm31::neg({_q(x)})", _q(-x)
    yield f"qm31::mul({_q(x)}, {_q(y)})", _q(x * y)
    yield f"qm31::mul_add({_q(x)}, {_q(y)}, {_q(z)})", _q(x * y + z)
    yield f"qm31::mul_base({_q(x)}, {t})", _q(x * t)
    yield f"qm31::add_base({_q(x)}, {t})", _q(x + t)
    yield f"qm31::sub_base({_q(x)}, {t})", _q(x - t)
    yield f"qm31::fold({_q(x)}, {_q(y)}, {t}, {_q(z)})", _q(x + y + z * t * (x - y))
    yield f"qm31::mul_complex({_q(x)}, {_c(e)})", _q(x * QM31(e.a, e.b))
    yield f"qm31::times_u({_q(x)})", _q(x * QM31(0, 0, 1))
    yield f"qm31::times_i({_q(x)})", _q(x * QM31(0, 1))
    yield f"qm31::times_u_squared({_c(e)})", _c(e * CM31(2, 1))
    yield f"qm31::square_norm({_c(e)})", f"{(e.a * e.a + e.b * e.b) % P}"
    yield f"qm31::combine4({_q(x)}, {_q(y)}, {_q(z)}, {_q(x)})", _q(combine4((x, y, z, x)))
    if x:
        yield f"qm31::inverse({_q(x)}, 'zero')", _q(x.inverse())


def _circle(rng: random.Random) -> Iterator[tuple[str, str]]:
    log_size = rng.randrange(1, 29)
    position = rng.randrange(1 << log_size)
    index = (1 << (29 - log_size)) + circle.bit_reverse(position, log_size) * (1 << (31 - log_size))
    p, q = circle.point(rng.randrange(1 << 31)), circle.point(rng.randrange(1 << 31))
    k, bits = rng.randrange(31), rng.randrange(16)
    turn = circle.bit_reverse(bits, 4) << 27
    yield f"circle::line_point({position}, {log_size})", _point(circle.point(index % circle.ORDER))
    yield f"circle::add({_point(p)}, {_point(q)})", _point(circle.add(p, q))
    yield f"circle::subtract({_point(p)}, {_point(q)})", _point(circle.add(p, (q[0], -q[1] % P)))
    yield f"circle::double({_point(p)})", _point(circle.add(p, p))
    yield f"circle::doubled_generator({k})", _point(circle.point(1 << k))
    yield f"circle::rotation({bits})", _point(circle.point(turn))
    t = _secure(rng)
    x, y = circle.secure_point(t)
    yield f"circle::secure_point({_q(t)})", f"SecurePoint {{ x: {_q(x)}, y: {_q(y)} }}"
    x, y = circle.secure_add((x, y), p)
    yield (
        f"circle::secure_add(circle::secure_point({_q(t)}), {_point(p)})",
        f"SecurePoint {{ x: {_q(x)}, y: {_q(y)} }}",
    )
    yield f"circle::vanishing({_q(t)}, {log_size})", _q(circle.vanishing(t, log_size))


def _sums(rng: random.Random) -> Iterator[tuple[str, str]]:
    count = rng.randrange(1, 9)
    weights, values = [_base(rng) for _ in range(count)], [_secure(rng) for _ in range(count)]
    total = sum((v * w for w, v in zip(weights, values, strict=True)), QM31(0))
    inverses = ", ".join(str(inverse(w)) for w in weights if w)
    listed = ", ".join(map(_q, values))
    yield f"lanes::dot(array!{weights}.span(), array![{listed}].span())", _q(total)
    if inverses:
        nonzero = [w for w in weights if w]
        yield f"m31::batch_inverse(array!{nonzero}.span(), 'zero')", f"array![{inverses}]"
    z, alpha, combined = values[0], values[-1], -values[0]
    for power, value in enumerate(values):
        combined = combined + alpha**power * value
    elements = f"air::Elements {{ z: {_q(z)}, alpha: {_q(alpha)} }}"
    yield f"air::combine({elements}, array![{listed}].span())", _q(combined)
    n = rng.randrange(4, 27)
    yield f"air::share({_q(z)}, {n})", _q(z * inverse((1 << n) % P))


def _hashes(rng: random.Random) -> Iterator[tuple[str, str]]:
    def words(digest: object) -> str:
        return f"[{', '.join(map(str, unpack('<8I', digest)))}]"  # type: ignore[arg-type]

    kind = hasher("blake2s")
    row = [_base(rng) for _ in range(rng.choice([1, 7, 8, 9, 15, 16, 17, 24, 32, 33, 48, 50]))]
    data = b"".join(v.to_bytes(4, "little") for v in row)
    left = kind.node(data[:4] * 8, b"\1" * 32)
    yield f"blake::row(array!{row}.span()).unbox()", words(blake2s(data).digest())
    yield "blake::EMPTY_ROOT", words(kind.empty)
    boxed = f"BoxTrait::new({words(left)})"
    yield f"blake::node({boxed}, {boxed}).unbox()", words(kind.node(left, left))
    yield f"blake::chain({boxed}, array!{row}.span()).unbox()", words(blake2s(left + data).digest())  # type: ignore[operator]


def _channel_test(rng: random.Random) -> str:
    """Mixes and draws, one after the other, and the proof of work of what they come to."""
    reference = Blake2sChannel()
    lines = ["let mut channel = ChannelTrait::new();"]
    for _ in range(8):
        values = [_secure(rng) for _ in range(rng.randrange(4))]
        reference.mix_felts(values)
        flat = [c for value in values for c in value.coordinates()]
        lines.append(f"channel.mix_words(array!{flat}.span());")
        word = rng.choice([0, 2**64 - 1, rng.randrange(2**64)])
        reference.mix_u64(word)
        lines.append(f"channel.mix_u64({word});")
        for _ in range(3):
            lines.append(f"assert(channel.draw_secure() == {_q(reference.draw_secure_felt())}, 'draw');")
        first, second = reference.draw_secure_felts(2)
        lines.append(f"assert(channel.draw_pair() == ({_q(first)}, {_q(second)}), 'pair');")
        lines.append(f"assert(channel.draw_words().span() == array!{reference.draw_u32s()}.span(), 'words');")
    for bits in (0, 1, 5, 33):
        nonce = rng.randrange(2**64)
        for _ in range(40):
            nonce = (nonce + 1) % 2**64
            if reference.verify_pow_nonce(bits, nonce):
                break
        expected = str(reference.verify_pow_nonce(bits, nonce)).lower()
        high, low = divmod(nonce, 2**32)
        lines.append(f"assert(channel.check_work({bits}, {low}, {high}) == {expected}, 'work');")
    return _test("channel", lines)


def _test(name: str, lines: list[str]) -> str:
    return f"\n#[test]\nfn {name}() {{\n    " + "\n    ".join(lines) + "\n}\n"


def test_cairo_computes_what_python_does(tmp_path: Path) -> None:
    need_compiler()
    rng = random.Random(4)
    body = [_IMPORTS, _channel_test(rng)]
    for kind in (_m31, _qm31, _circle, _sums, _hashes):
        checks = [check for _ in range(ROUNDS) for check in kind(rng)]
        for start in range(0, len(checks), 40):
            lines = [f"assert({left} == {right}, '{k}');" for k, (left, right) in enumerate(checks[start : start + 40])]
            body.append(_test(f"{kind.__name__}_{start}", lines))
    outcomes = run(tmp_path, "".join(body))
    assert {name: outcome.panic for name, outcome in outcomes.items() if outcome.panic != PASSED} == {}
    assert len(outcomes) == len(body) - 1
