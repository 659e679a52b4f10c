//! The verifier: the phases of PROTOCOL 6 to 10, in their order, as the Python verifier has them.
//!
//! Every phase mixes what it reads before the next challenge is drawn, so that no value can be chosen after seeing it.

use core::panic_with_felt252;
use crate::air::{Air, Elements, Run};
use crate::blake;
use crate::channel::{Channel, ChannelTrait};
use crate::circle;
use crate::circle::Point;
use crate::config;
use crate::config::Config;
use crate::fri;
use crate::logup;
pub use crate::logup::PublicTerm;
use crate::merkle;
use crate::merkle::{Known, Leaf};
use crate::qm31;
use crate::qm31::QM31;
use crate::quotients;
use crate::words::{Hash, end, read_hash, secure_values, take, unpack};

/// What is claimed, all of it chosen by the caller: the root that tree 0 must have (eight little-endian words of the
/// Blake2s hash, `blake::EMPTY_ROOT` without columns), the words mixed in before the trace, and the public terms.
#[derive(Copy, Drop, Debug)]
pub struct Claim {
    pub preprocessed_root: [u32; 8],
    pub statement_u64: Span<u64>,
    pub public_terms: Span<PublicTerm>,
}

/// Columns of the composition tree: two halves of four coordinates.
const COMPOSITION_COLUMNS: u32 = 8;

/// Verifies a Stwo 2.3.0 proof (Blake2s channel, config mixed in) of `air`. `proof` is the whole of it, as
/// `octoproof.starknet.calldata` writes it. Returns, or panics with one short felt that names the check.
pub fn verify<T, impl A: Air<T>>(air: @T, claim: Claim, config: Config, proof: Span<felt252>) {
    // 1. Config, and the shape that it prescribes together with the AIR.
    config::check(config);
    let layout = air.layout();
    let trees = with_composition(layout.trees, layout.log_size);
    let lifting_log = if config.lifting_log_size == 0 {
        layout.log_size + config.log_blowup_factor
    } else {
        config.lifting_log_size
    };
    config::check_fits(config, trees, lifting_log);
    let degree_log = lifting_log - config.log_blowup_factor;
    let mut words = unpack(proof);

    // 2. Roots, statement, lookups; the lookup challenges come after the main trace, the claimed sums after them.
    let sum_words = take(ref words, 4 * layout.claimed_sums);
    let claimed_sums = secure_values(sum_words);
    let preprocessed_root: Hash = BoxTrait::new(claim.preprocessed_root);
    let mut channel = ChannelTrait::new();
    mix_config(config, ref channel);
    channel.mix_root(preprocessed_root);
    for word in claim.statement_u64 {
        channel.mix_u64(*word);
    }
    let main_root = read_hash(ref words);
    channel.mix_root(main_root);
    let mut roots = array![preprocessed_root, main_root];
    let mut relations: Array<Elements> = array![];
    if layout.arities.len() != 0 {
        for _ in layout.arities {
            let (z, alpha) = channel.draw_pair();
            relations.append(Elements { z, alpha });
        }
        logup::check_balance(claim.public_terms, claimed_sums, relations.span(), layout.arities);
        channel.mix_words(sum_words);
        let interaction_root = read_hash(ref words);
        channel.mix_root(interaction_root);
        roots.append(interaction_root);
    } else if claim.public_terms.len() != 0 {
        panic_with_felt252('claim: public term');
    }

    // 3. Constraints at a random point outside the trace domain.
    let coefficient = channel.draw_secure();
    let composition_root = read_hash(ref words);
    channel.mix_root(composition_root);
    roots.append(composition_root);
    let oods = circle::secure_point(channel.draw_secure());
    let sample_words = take(ref words, 4 * count_samples(trees));
    let samples = by_tree(trees, secure_values(sample_words));
    let expected = air.composition(samples, relations.span(), claimed_sums, coefficient);
    check_composition(expected, *samples[trees.len() - 1], circle::vanishing(oods.x, degree_log));

    // 4. The sampled values are bound before the coefficient that combines them (Plonky3 GHSA-vrmm-4mm5-38vm).
    channel.mix_words(sample_words);
    let quotient_coefficient = channel.draw_secure();
    let commitments = fri::read_commitments(config, degree_log, ref channel, ref words);

    // 5. Proof of work after all commitments, with the bits of the config, and only then the queries.
    let nonce = take(ref words, 2);
    if !channel.check_work(config.pow_bits, *nonce[0], *nonce[1]) {
        panic_with_felt252('proof of work');
    }
    channel.mix_words(nonce);
    let queries = draw_queries(ref channel, config.n_queries, merkle::power_of_two(lifting_log));

    // 6. Openings of the trace trees.
    let levels = merkle::levels(queries, lifting_log);
    let mut rows: Array<Span<u32>> = array![];
    let mut widths: Array<u32> = array![];
    for index in 0..trees.len() {
        let runs = *trees[index];
        let width = count_columns(runs);
        rows
            .append(
                if index == 0 {
                    let height = config::height(runs, config);
                    open_tree0(preprocessed_root, height, width, queries, lifting_log, levels, ref words)
                } else {
                    open_tree(*roots[index], width, queries.len(), levels, ref words)
                },
            );
        widths.append(width);
    }

    // 7. Quotients at the queries, folded to the last layer.
    let groups = quotients::groups(
        trees, samples, layout.offsets, oods, quotient_coefficient, degree_log, lifting_log,
    );
    let (line_points, points) = query_points(queries, lifting_log);
    let values = quotients::evaluate(groups, rows.span(), widths.span(), points);
    fri::verify_openings(commitments, queries, line_points, values, levels, ref words);
    end(words);
}

fn with_composition(trees: Span<Span<Run>>, log_size: u32) -> Span<Span<Run>> {
    let mut out: Array<Span<Run>> = array![];
    out.append_span(trees);
    out.append(array![Run { log_size, columns: COMPOSITION_COLUMNS, offsets: array![0].span() }].span());
    out.span()
}

/// Binds every parameter to the transcript (PROTOCOL 6).
fn mix_config(config: Config, ref channel: Channel) {
    let Config {
        pow_bits, log_blowup_factor, log_last_layer_degree_bound, n_queries, fold_step, lifting_log_size,
    } = config;
    channel
        .mix_words(
            [
                pow_bits, log_blowup_factor, n_queries, log_last_layer_degree_bound, fold_step, lifting_log_size, 0, 0,
            ]
                .span(),
        );
}

fn count_samples(trees: Span<Span<Run>>) -> u32 {
    let mut count = 0;
    for runs in trees {
        for run in *runs {
            count += *run.columns * run.offsets.len();
        }
    }
    count
}

fn count_columns(runs: Span<Run>) -> u32 {
    let mut count = 0;
    for run in runs {
        count += *run.columns;
    }
    count
}

fn by_tree(trees: Span<Span<Run>>, samples: Span<QM31>) -> Span<Span<QM31>> {
    let mut out: Array<Span<QM31>> = array![];
    let mut start = 0;
    for runs in trees {
        let mut count = 0;
        for run in *runs {
            count += *run.columns * run.offsets.len();
        }
        out.append(samples.slice(start, count));
        start += count;
    }
    out.span()
}

/// sum / V(oods) = left + V(oods) right, all times V(oods).
fn check_composition(sum: QM31, halves: Span<QM31>, vanishing: QM31) {
    if vanishing == qm31::ZERO {
        panic_with_felt252('oods: exceptional point');
    }
    let left = qm31::combine4(*halves[0], *halves[1], *halves[2], *halves[3]);
    let right = qm31::combine4(*halves[4], *halves[5], *halves[6], *halves[7]);
    if sum != qm31::mul(qm31::mul_add(right, vanishing, left), vanishing) {
        panic_with_felt252('oods: constraints');
    }
}

/// Ascending distinct positions of the lifting domain: `count` words, masked.
fn draw_queries(ref channel: Channel, count: u32, domain: u32) -> Span<u32> {
    let domain: NonZero<u32> = domain.try_into().unwrap();
    let mut sorted: Array<u32> = array![];
    let mut left = count;
    while left != 0 {
        for word in channel.draw_words().span() {
            if left != 0 {
                let (_, query) = DivRem::div_rem(*word, domain);
                sorted = inserted(sorted, query);
                left -= 1;
            }
        }
    }
    sorted.span()
}

fn inserted(sorted: Array<u32>, query: u32) -> Array<u32> {
    let mut out: Array<u32> = array![];
    let mut waiting = true;
    for other in sorted {
        if waiting && other >= query {
            if other != query {
                out.append(query);
            }
            waiting = false;
        }
        out.append(other);
    }
    if waiting {
        out.append(query);
    }
    out
}

/// Points of the queries: on the line of the first fold, and on the circle domain, where an odd position is the
/// conjugate of the even one before it.
fn query_points(queries: Span<u32>, lifting_log: u32) -> (Span<Point>, Span<Point>) {
    let (mut lines, mut points): (Array<Point>, Array<Point>) = (array![], array![]);
    for query in queries {
        let (position, odd) = DivRem::div_rem(*query, 2);
        let point = circle::line_point(position, lifting_log - 1);
        lines.append(point);
        points.append(if odd == 1 {
            circle::conjugate(point)
        } else {
            point
        });
    }
    (lines.span(), points.span())
}

/// The opened rows of tree 0, one after the other, checked against its root; its height may be another than the other
/// trees', whose known nodes are `levels`.
fn open_tree0(
    root: Hash,
    height: u32,
    width: u32,
    queries: Span<u32>,
    lifting_log: u32,
    levels: Span<Span<Known>>,
    ref words: Span<u32>,
) -> Span<u32> {
    if width == 0 {
        // An empty tree has a fixed root and nothing to open.
        if !merkle::same(root, BoxTrait::new(blake::EMPTY_ROOT)) {
            panic_with_felt252('claim: tree 0');
        }
        return array![].span();
    }
    if height == lifting_log {
        return open_tree(root, width, queries.len(), levels, ref words);
    }
    let rows = take(ref words, queries.len() * width);
    let mut hashes = row_hashes(rows, width, queries.len());
    let mut leaves: Array<Leaf> = array![];
    for query in queries {
        let position = merkle::preprocessed_position(*query, height, lifting_log);
        leaves.append(Leaf { position, hash: hashes.pop_front().unwrap() });
    }
    // Mapped to a lower tree, ascending queries need be neither ascending nor distinct.
    let (mut positions, mut nodes): (Array<u32>, Array<Hash>) = (array![], array![]);
    for leaf in merkle::sorted(leaves.span()) {
        positions.append(leaf.position);
        nodes.append(leaf.hash);
    }
    merkle::verify(root, nodes, merkle::levels(positions.span(), height), ref words, 'merkle: root');
    rows
}

/// The opened rows of one tree, one after the other, checked against its root.
fn open_tree(root: Hash, width: u32, count: u32, levels: Span<Span<Known>>, ref words: Span<u32>) -> Span<u32> {
    let rows = take(ref words, count * width);
    merkle::verify(root, row_hashes(rows, width, count), levels, ref words, 'merkle: root');
    rows
}

fn row_hashes(rows: Span<u32>, width: u32, count: u32) -> Array<Hash> {
    let mut out: Array<Hash> = array![];
    for index in 0..count {
        out.append(blake::row(rows.slice(index * width, width)));
    }
    out
}
