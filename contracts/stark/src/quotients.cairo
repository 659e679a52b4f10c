//! DEEP quotients: one function on the lifting domain, a polynomial iff every sampled value is right (PROTOCOL 8).
//!
//! The terms of one sample point s = (sx, sy) share a denominator, and with A, C, E of PROTOCOL 8 their numerators add
//! up to C N - S Y + K: N is the weighted sum of the opened values, S that of the A, and K = S sy - C W, where W is the
//! weighted sum of the sampled values. Only N has to be computed for every query and column.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::upcast;
use crate::air::Run;
use crate::circle;
use crate::circle::{Point, SecurePoint};
use crate::lanes;
use crate::lanes::LANE;
use crate::m31;
use crate::m31::M31;
use crate::qm31;
use crate::qm31::{CM31, QM31};

/// A multiple of P above every sum of products of this file: lifts a sum that may be negative.
const LIFT: felt252 = 0x1fffffffc0000000000000;

/// Columns of one run: `first` is their place in an opened row, `weights` two felts a column.
#[derive(Copy, Drop)]
struct Part {
    tree: u32,
    first: u32,
    columns: u32,
    weights: Span<felt252>,
}

/// All terms of one sample point; C = c u, and `c_squared` is (2 + i) c.
#[derive(Copy, Drop)]
pub struct Group {
    parts: Span<Part>,
    c: CM31,
    c_squared: CM31,
    s: QM31,
    k: QM31,
    denominator: CM31,
    by_x: CM31,
    by_y: CM31,
}

/// A run and where its terms, its samples and its columns begin.
#[derive(Copy, Drop)]
struct Place {
    tree: u32,
    run: Run,
    first: u32,
    term: u32,
    samples: Span<QM31>,
}

/// Terms of a column: its samples, and a periodicity term for exactly two.
fn terms_of(run: Run) -> u32 {
    let samples = run.offsets.len();
    if samples == 2 {
        3
    } else {
        samples
    }
}

/// The terms in groups; r^k weighs the k-th in the order trees, columns, samples.
///
/// A column with exactly two samples has one periodicity term more, first: the second value at the second point moved
/// by T, a point of the order of its lifting. `degree_log` is D, `lifting_log` L.
pub fn groups(
    trees: Span<Span<Run>>,
    samples: Span<Span<QM31>>,
    offsets: Span<i32>,
    oods: SecurePoint,
    r: QM31,
    degree_log: u32,
    lifting_log: u32,
) -> Span<Group> {
    let (places, count) = places(trees, samples);
    let powers = powers(r, count);
    let blowup = lifting_log - degree_log;
    let mut groups: Array<Group> = array![];
    for offset in offsets {
        let point = moved(oods, *offset, degree_log);
        let mut collector: Collector = Default::default();
        for place in places {
            let run = *place.run;
            let two = run.offsets.len() == 2;
            if two && run.log_size + blowup == lifting_log && run.offsets[1] == offset {
                collector.collect(*place, powers, 0, 1); // T is zero
            }
            for sample in 0..run.offsets.len() {
                if run.offsets[sample] == offset {
                    collector.collect(*place, powers, if two { sample + 1 } else { sample }, sample);
                }
            }
        }
        groups.append(collector.finish(point));
    }
    for place in places {
        let run = *place.run;
        if run.offsets.len() == 2 && run.log_size + blowup != lifting_log {
            let second = moved(oods, *run.offsets[1], degree_log);
            let period = circle::doubled_generator(31 - lifting_log + run.log_size + blowup);
            let mut collector: Collector = Default::default();
            collector.collect(*place, powers, 0, 1);
            groups.append(collector.finish(circle::secure_add(second, period)));
        }
    }
    groups.span()
}

/// `offset` rows away, rows being steps on the trace coset of the common degree bound.
fn moved(oods: SecurePoint, offset: i32, degree_log: u32) -> SecurePoint {
    let step = circle::doubled_generator(31 - degree_log);
    let step = if offset < 0 {
        circle::conjugate(step)
    } else {
        step
    };
    let mut point = oods;
    let mut left = offset;
    while left != 0 {
        point = circle::secure_add(point, step);
        left = if offset < 0 {
            left + 1
        } else {
            left - 1
        };
    }
    point
}

fn powers(r: QM31, count: u32) -> Span<QM31> {
    let mut out: Array<QM31> = array![];
    let mut power = qm31::ONE;
    for _ in 0..count {
        out.append(power);
        power = qm31::mul(power, r);
    }
    out.span()
}

/// Every run that is sampled, and the number of all terms.
fn places(trees: Span<Span<Run>>, samples: Span<Span<QM31>>) -> (Span<Place>, u32) {
    let mut out: Array<Place> = array![];
    let mut term = 0;
    for tree in 0..trees.len() {
        let runs = *trees[tree];
        let mut values = *samples[tree];
        for index in 0..runs.len() {
            let run = *runs[index];
            let count = run.columns * run.offsets.len();
            if count != 0 {
                let first = leaf_place(runs, index);
                out.append(Place { tree, run, first, term, samples: values.slice(0, count) });
                values = values.slice(count, values.len() - count);
                term += run.columns * terms_of(run);
            }
        }
    }
    (out.span(), term)
}

/// Where a run's columns stand in a leaf, which hashes columns by size ascending, stable in commitment order.
fn leaf_place(runs: Span<Run>, index: u32) -> u32 {
    let own = *runs[index].log_size;
    let mut place = 0;
    for other in 0..runs.len() {
        let size = *runs[other].log_size;
        if size < own || (size == own && other < index) {
            place += *runs[other].columns;
        }
    }
    place
}

/// Sums of weight times sample, apart for the two halves v0 + v1 u of the samples: eight sums of products, which may
/// be negative as felts.
#[derive(Drop, Default)]
struct Collector {
    parts: Array<Part>,
    a0: felt252,
    b0: felt252,
    c0: felt252,
    d0: felt252,
    a1: felt252,
    b1: felt252,
    c1: felt252,
    d1: felt252,
}

#[generate_trait]
impl CollectorImpl of CollectorTrait {
    /// Adds one term of every column of a run: the `term`-th of each, which has the `sample`-th value of each.
    fn collect(ref self: Collector, place: Place, powers: Span<QM31>, term: u32, sample: u32) {
        let run = place.run;
        let (term_step, sample_step) = (terms_of(run), run.offsets.len());
        let mut weights: Array<felt252> = array![];
        let (mut term, mut sample) = (place.term + term, sample);
        for _ in 0..run.columns {
            let (w, v) = (*powers[term], *place.samples[sample]);
            let (wa, wb, wc, wd) = (upcast(w.a), upcast(w.b), upcast(w.c), upcast(w.d));
            let (va, vb, vc, vd): (felt252, felt252, felt252, felt252) = (
                upcast(v.a), upcast(v.b), upcast(v.c), upcast(v.d),
            );
            weights.append(wa + wb * LANE);
            weights.append(wc + wd * LANE);
            self.a0 += wa * va - wb * vb;
            self.b0 += wa * vb + wb * va;
            self.c0 += wc * va - wd * vb;
            self.d0 += wc * vb + wd * va;
            self.a1 += wa * vc - wb * vd;
            self.b1 += wa * vd + wb * vc;
            self.c1 += wc * vc - wd * vd;
            self.d1 += wc * vd + wd * vc;
            term += term_step;
            sample += sample_step;
        }
        self.parts.append(Part { tree: place.tree, first: place.first, columns: run.columns, weights: weights.span() });
    }

    fn finish(self: Collector, point: SecurePoint) -> Group {
        let low = reduced(self.a0, self.b0, self.c0, self.d0);
        let high_u = qm31::times_u(reduced(self.a1, self.b1, self.c1, self.d1));
        let w = qm31::add(low, high_u);
        let s = qm31::neg(qm31::add(high_u, high_u)); // the sum of weight * (conj(v) - v)
        let SecurePoint { x, y } = point;
        let (by_x, by_y) = (CM31 { a: y.c, b: y.d }, CM31 { a: x.c, b: x.d });
        let (real_x, real_y) = (CM31 { a: x.a, b: x.b }, CM31 { a: y.a, b: y.b });
        let c = CM31 { a: m31::neg(m31::add(y.c, y.c)), b: m31::neg(m31::add(y.d, y.d)) };
        let whole_c = QM31 { a: 0, b: 0, c: c.a, d: c.b };
        Group {
            parts: self.parts.span(),
            c,
            c_squared: qm31::times_u_squared(c),
            s,
            k: qm31::sub(qm31::mul(s, y), qm31::mul(whole_c, w)),
            denominator: qm31::complex_sub(qm31::complex_mul(real_x, by_x), qm31::complex_mul(real_y, by_y)),
            by_x,
            by_y,
        }
    }
}

/// Four sums of products, each within 2^80 of zero, as an element.
fn reduced(a: felt252, b: felt252, c: felt252, d: felt252) -> QM31 {
    lanes::unpack((a + LIFT) + (b + LIFT) * LANE, (c + LIFT) + (d + LIFT) * LANE)
}

/// The sum of all terms at each domain point. `rows` is indexed [tree]: the opened rows one after the other, `widths`
/// the length of a row. Panics if a sample point meets the domain: the quotient would say nothing there (ANCHORS C15).
pub fn evaluate(
    groups: Span<Group>, rows: Span<Span<u32>>, widths: Span<u32>, points: Span<Point>,
) -> Array<QM31> {
    let mut denominators: Array<CM31> = array![];
    let mut norms: Array<M31> = array![];
    for point in points {
        for group in groups {
            let den = denominator(group, *point);
            norms.append(qm31::square_norm(den));
            denominators.append(den);
        }
    }
    let inverses = m31::batch_inverse(norms.span(), 'quotients: zero denominator');
    let (mut denominators, mut inverses) = (denominators.span(), inverses.span());
    let mut out: Array<QM31> = array![];
    for query in 0..points.len() {
        let opened = rows_at(rows, widths, query);
        let y = *points[query].y;
        let mut total = qm31::ZERO;
        for group in groups {
            let (den, inverse) = (denominators.pop_front().unwrap(), *inverses.pop_front().unwrap());
            let over = CM31 { a: m31::mul(*den.a, inverse), b: m31::mul(m31::neg(*den.b), inverse) };
            total = qm31::add(total, qm31::mul_complex(numerator(group, opened, y), over));
        }
        out.append(total);
    }
    out
}

fn denominator(group: @Group, point: Point) -> CM31 {
    let by_x = CM31 { a: m31::mul(*group.by_x.a, point.x), b: m31::mul(*group.by_x.b, point.x) };
    let by_y = CM31 { a: m31::mul(*group.by_y.a, point.y), b: m31::mul(*group.by_y.b, point.y) };
    let moved = qm31::complex_sub(*group.denominator, by_x);
    CM31 { a: m31::add(moved.a, by_y.a), b: m31::add(moved.b, by_y.b) }
}

fn rows_at(rows: Span<Span<u32>>, widths: Span<u32>, query: u32) -> Span<Span<u32>> {
    let mut out: Array<Span<u32>> = array![];
    for tree in 0..rows.len() {
        let width = *widths[tree];
        out.append((*rows[tree]).slice(query * width, width));
    }
    out.span()
}

/// C N - S Y + K.
fn numerator(group: @Group, opened: Span<Span<u32>>, y: M31) -> QM31 {
    let (mut low, mut high) = (0, 0);
    for part in group.parts {
        let (more_low, more_high) = weighted((*opened[*part.tree]).slice(*part.first, *part.columns), *part.weights);
        low += more_low;
        high += more_high;
    }
    let n = lanes::unpack(low, high);
    let (n0, n1) = (CM31 { a: n.a, b: n.b }, CM31 { a: n.c, b: n.d });
    let (first, second) = (qm31::complex_mul(*group.c_squared, n1), qm31::complex_mul(*group.c, n0));
    let product = QM31 { a: first.a, b: first.b, c: second.a, d: second.b };
    qm31::add(qm31::sub(product, qm31::mul_base(*group.s, y)), *group.k)
}

/// The sum of weight times value, in lanes.
fn weighted(values: Span<u32>, weights: Span<felt252>) -> (felt252, felt252) {
    let (mut values, mut weights) = (values, weights);
    let (mut low, mut high) = (0, 0);
    while let Some(boxed) = values.multi_pop_front::<8>() {
        let [v0, v1, v2, v3, v4, v5, v6, v7] = (*boxed).unbox();
        let [l0, h0, l1, h1, l2, h2, l3, h3, l4, h4, l5, h5, l6, h6, l7, h7] = (*weights
            .multi_pop_front::<16>()
            .unwrap())
            .unbox();
        let (v0, v1, v2, v3): (felt252, felt252, felt252, felt252) = (v0.into(), v1.into(), v2.into(), v3.into());
        let (v4, v5, v6, v7): (felt252, felt252, felt252, felt252) = (v4.into(), v5.into(), v6.into(), v7.into());
        low += v0 * l0 + v1 * l1 + v2 * l2 + v3 * l3 + v4 * l4 + v5 * l5 + v6 * l6 + v7 * l7;
        high += v0 * h0 + v1 * h1 + v2 * h2 + v3 * h3 + v4 * h4 + v5 * h5 + v6 * h6 + v7 * h7;
    }
    while let Some(value) = values.pop_front() {
        let [l, h] = (*weights.multi_pop_front::<2>().unwrap()).unbox();
        low += (*value).into() * l;
        high += (*value).into() * h;
    }
    (low, high)
}
