//! FRI over the circle: plan of the layers, and the checks of an opening (PROTOCOL 9).

use core::panic_with_felt252;
use crate::blake;
use crate::channel::{Channel, ChannelTrait};
use crate::circle::Point;
use crate::config::Config;
use crate::lanes;
use crate::m31;
use crate::m31::{M31, to_word};
use crate::merkle;
use crate::merkle::Known;
use crate::qm31;
use crate::qm31::QM31;
use crate::twiddles;
use crate::words::{Hash, read_hash, read_secure, secure_values, take};

/// One committed layer: folds after it, root and folding challenge.
#[derive(Copy, Drop)]
pub struct Layer {
    step: u32,
    root: Hash,
    alpha: QM31,
}

/// What the commitment phase leaves behind; the last layer's coefficients are in lanes.
#[derive(Copy, Drop)]
pub struct Commitments {
    layers: Span<Layer>,
    last: Span<felt252>,
    last_degree_log: u32,
}

/// Mixes every layer's root and the last polynomial, and draws the challenges.
///
/// The plan follows from the config and the AIR alone: a proof cannot choose how often it is folded (ANCHORS E20).
pub fn read_commitments(config: Config, degree_log: u32, ref channel: Channel, ref words: Span<u32>) -> Commitments {
    let last = config.log_last_layer_degree_bound;
    let mut layers: Array<Layer> = array![];
    let (mut degree, mut step) = (degree_log, config.fold_step);
    loop {
        let root = read_hash(ref words);
        channel.mix_root(root);
        let alpha = channel.draw_secure();
        layers.append(Layer { step, root, alpha });
        degree -= step;
        if degree <= last {
            break;
        }
        step = core::cmp::min(config.fold_step, degree - last);
    }
    let coefficients = take(ref words, 4 * merkle::power_of_two(last));
    let packed = lanes::pack_all(secure_values(coefficients));
    channel.mix_words(coefficients);
    Commitments { layers: layers.span(), last: packed, last_degree_log: last }
}

/// Folds the quotients at the ascending distinct queries down to the last layer. `points` are those of the queries on
/// the circle domain, on the half with even positions; `levels` are the known nodes of a tree opened at the queries.
pub fn verify_openings(
    fri: Commitments,
    queries: Span<u32>,
    points: Span<Point>,
    quotients: Array<QM31>,
    levels: Span<Span<Known>>,
    ref words: Span<u32>,
) {
    let mut steps: Array<u32> = array![];
    for layer in fri.layers {
        steps.append(*layer.step);
    }
    let (mut inverses, ends) = twiddles::inverted(steps.span(), queries, points);
    let mut positions = queries;
    let mut values = quotients;
    let mut levels = levels;
    for layer in fri.layers {
        levels = levels.slice(*layer.step, levels.len() - *layer.step);
        let own = inverses.pop_back().unwrap();
        let (blocks, folded) = open_layer(layer, positions, values.span(), own, levels, ref words);
        positions = blocks;
        values = folded;
    }
    let mut values = values.span();
    for x in ends {
        if evaluate_line(fri.last, fri.last_degree_log, *x) != *values.pop_front().unwrap() {
            panic_with_felt252('fri: last layer');
        }
    }
}

/// Checks one layer's blocks against its root and folds each to one value. `levels` begin where the blocks are nodes.
fn open_layer(
    layer: @Layer,
    positions: Span<u32>,
    values: Span<QM31>,
    inverses: @Span<M31>,
    levels: Span<Span<Known>>,
    ref words: Span<u32>,
) -> (Span<u32>, Array<QM31>) {
    let size = merkle::power_of_two(*layer.step);
    let mut nodes: Array<Hash> = array![];
    let (mut places, mut folded): (Array<u32>, Array<QM31>) = (array![], array![]);
    let mut inverses = *inverses;
    for block in opened_blocks(positions, values, size, ref words) {
        let Block { place, values } = block;
        nodes.append(block_hash(values.span()));
        let mut rest = values.span();
        let mut alpha = *layer.alpha;
        let mut pairs = size / 2;
        let own = take_elements(ref inverses, size - 1);
        loop {
            rest = fold(rest, own.slice(pairs - 1, pairs), alpha).span();
            if pairs == 1 {
                break;
            }
            pairs /= 2;
            alpha = qm31::mul(alpha, alpha);
        }
        places.append(place);
        folded.append(*rest[0]);
    }
    merkle::verify(*layer.root, nodes, levels, ref words, 'fri: root');
    (places.span(), folded)
}

/// All values of one opened block, and its number.
#[derive(Drop)]
struct Block {
    place: u32,
    values: Array<QM31>,
}

/// Queried values where they are known, the witness in ascending order elsewhere.
fn opened_blocks(positions: Span<u32>, values: Span<QM31>, size: u32, ref words: Span<u32>) -> Array<Block> {
    let by_size: NonZero<u32> = size.try_into().unwrap();
    let (mut positions, mut values) = (positions, values);
    let mut out: Array<Block> = array![];
    let mut open = Block { place: 0, values: array![] };
    let mut first = true;
    while let Some(position) = positions.pop_front() {
        let (place, inside) = DivRem::div_rem(*position, by_size);
        if first {
            open.place = place;
            first = false;
        } else if place != open.place {
            read_until(size, ref open.values, ref words);
            out.append(open);
            open = Block { place, values: array![] };
        }
        read_until(inside, ref open.values, ref words);
        open.values.append(*values.pop_front().unwrap());
    }
    read_until(size, ref open.values, ref words);
    out.append(open);
    out
}

/// Appends witness values until there are `length`.
fn read_until(length: u32, ref values: Array<QM31>, ref words: Span<u32>) {
    for _ in values.len()..length {
        values.append(read_secure(ref words));
    }
}

/// The node above all leaves of a block: four rows a leaf, or one where the block has only two (PROTOCOL 9).
fn block_hash(rows: Span<QM31>) -> Hash {
    let mut rows = rows;
    let mut nodes: Array<Hash> = array![];
    while let Some(boxed) = rows.multi_pop_front::<4>() {
        let [p, q, r, s] = (*boxed).unbox();
        let message = BoxTrait::new(
            [
                to_word(p.a), to_word(p.b), to_word(p.c), to_word(p.d), to_word(q.a), to_word(q.b), to_word(q.c),
                to_word(q.d), to_word(r.a), to_word(r.b), to_word(r.c), to_word(r.d), to_word(s.a), to_word(s.b),
                to_word(s.c), to_word(s.d),
            ],
        );
        nodes.append(blake::block(message));
    }
    for row in rows {
        let (a, b, c, d) = (to_word(*row.a), to_word(*row.b), to_word(*row.c), to_word(*row.d));
        let message = BoxTrait::new([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        nodes.append(blake::short(message, 16));
    }
    let mut level = nodes.span();
    while level.len() > 1 {
        let mut above: Array<Hash> = array![];
        while let Some(boxed) = level.multi_pop_front::<2>() {
            let [left, right] = (*boxed).unbox();
            above.append(blake::node(left, right));
        }
        level = above.span();
    }
    return *level[0];
}

/// f(p), f(-p) to f0 + alpha f1 for every pair, without the factor 1/2.
fn fold(values: Span<QM31>, inverses: Span<M31>, alpha: QM31) -> Array<QM31> {
    let (mut values, mut inverses) = (values, inverses);
    let mut out: Array<QM31> = array![];
    while let Some(boxed) = values.multi_pop_front::<4>() {
        let [p, q, r, s] = (*boxed).unbox();
        let [first, second] = (*inverses.multi_pop_front::<2>().unwrap()).unbox();
        out.append(qm31::fold(p, q, first, alpha));
        out.append(qm31::fold(r, s, second, alpha));
    }
    if let Some(boxed) = values.multi_pop_front::<2>() {
        let [left, right] = (*boxed).unbox();
        out.append(qm31::fold(left, right, *inverses[0], alpha));
    }
    out
}

fn take_elements(ref elements: Span<M31>, count: u32) -> Span<M31> {
    let out = elements.slice(0, count);
    elements = elements.slice(count, elements.len() - count);
    out
}

/// The last-layer polynomial at a base point, its coefficients given in lanes: eval(first half of the stored list,
/// pi(x)) + x eval(second half, pi(x)), so the basis is 1, then that times pi^(E-1)(x), ..., then all that times x.
fn evaluate_line(packed: Span<felt252>, degree_log: u32, x: M31) -> QM31 {
    let mut factors: Array<M31> = array![];
    let mut factor = x;
    for _ in 0..degree_log {
        factors.append(factor);
        let square = m31::mul(factor, factor);
        factor = m31::sub(m31::add(square, square), 1);
    }
    let mut factors = factors.span();
    let mut basis: Array<M31> = array![1];
    while let Some(factor) = factors.pop_back() {
        for value in basis.span() {
            basis.append(m31::mul(*value, *factor));
        }
    }
    lanes::weighted(basis.span(), packed)
}
