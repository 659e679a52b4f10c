//! Inverse twiddles of every fold of an opening, from one inversion.
//!
//! With (x, y) on the circle and y' = 2xy the y of the doubled point, 1/x = 2y / y' and 1/y = 2x / y'. Every fold
//! doubles, so the inverses of a layer follow from those of the next one, and the last ones are inverted together.
//!
//! A line block of 2^s positions starts at a point p; its fold k pairs points of the domain doubled k times, and the
//! j-th pair's is q(k, j) = 2^k p + j reversed, in turns. The pairs 2i and 2i + 1 are a quarter turn, (0, -1), apart:
//! (x, y) and (y, -x), and both double to q(k + 1, i). The circle block of the first layer is a line block of half its
//! size with one fold before it, by y, of pairs half a turn apart.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{add as wide_add, upcast};
use crate::circle;
use crate::circle::Point;
use crate::m31;
use crate::m31::{AddS1, M31, product, reduce};
use crate::merkle::power_of_two;

/// A layer seen from its inputs: for each whether it begins a block, and where in the block it lies.
#[derive(Copy, Drop)]
struct Plan {
    step: u32,
    circle: bool,
    members: Span<Member>,
    starts: Span<Point>,
}

#[derive(Copy, Drop)]
struct Member {
    begins: bool,
    inside: u32,
}

/// (spans, ends): for every layer, the last one first, the inverse twiddles of its blocks, 2^step - 1 each, of the
/// last fold first; and x of every point that is left. `points` are the queries' without their lowest bit.
pub fn inverted(steps: Span<u32>, queries: Span<u32>, points: Span<Point>) -> (Span<Span<M31>>, Span<M31>) {
    let mut plans: Array<Plan> = array![];
    let (mut positions, mut points) = lines(queries, points);
    let mut circle = true;
    for step in steps {
        let line_step = if circle {
            *step - 1
        } else {
            *step
        };
        let (plan, blocks, ends) = plan(line_step, circle, positions, points);
        plans.append(plan);
        positions = blocks;
        points = ends;
        circle = false;
    }
    let (mut xs, mut ys): (Array<M31>, Array<M31>) = (array![], array![]);
    for point in points {
        xs.append(*point.x);
        ys.append(*point.y);
    }
    let mut inverse_ys = m31::batch_inverse(ys.span(), 'fri: zero twiddle').span();
    let mut out: Array<Span<M31>> = array![];
    let mut plans = plans.span();
    while let Some(plan) = plans.pop_back() {
        let (twiddles, before) = backward(plan, inverse_ys);
        out.append(twiddles);
        inverse_ys = before;
    }
    (out.span(), xs.span())
}

/// Two queries that differ in the lowest bit alone are one position of the line.
fn lines(queries: Span<u32>, points: Span<Point>) -> (Span<u32>, Span<Point>) {
    let (mut positions, mut kept): (Array<u32>, Array<Point>) = (array![], array![]);
    let mut previous = None;
    let mut points = points;
    for query in queries {
        let point = points.pop_front().unwrap();
        let position = *query / 2;
        if previous != Some(position) {
            positions.append(position);
            kept.append(*point);
        }
        previous = Some(position);
    }
    (positions.span(), kept.span())
}

/// The blocks of the positions; their numbers and the points that they end in are the next layer's inputs.
fn plan(step: u32, circle: bool, positions: Span<u32>, points: Span<Point>) -> (Plan, Span<u32>, Span<Point>) {
    let size: NonZero<u32> = power_of_two(step).try_into().unwrap();
    let (mut members, mut blocks): (Array<Member>, Array<u32>) = (array![], array![]);
    let (mut starts, mut ends): (Array<Point>, Array<Point>) = (array![], array![]);
    let mut previous = None;
    let mut points = points;
    for position in positions {
        let point = *points.pop_front().unwrap();
        let (block, inside) = DivRem::div_rem(*position, size);
        let begins = previous != Some(block);
        members.append(Member { begins, inside });
        if begins {
            let start = if inside == 0 {
                point
            } else {
                circle::subtract(point, circle::rotation(inside))
            };
            let mut end = start;
            for _ in 0..step {
                end = circle::double(end);
            }
            blocks.append(block);
            starts.append(start);
            ends.append(end);
        }
        previous = Some(block);
    }
    (Plan { step, circle, members: members.span(), starts: starts.span() }, blocks.span(), ends.span())
}

/// The layer's inverse twiddles and 1/y of its inputs, given 1/y of the points that its blocks end in.
fn backward(plan: @Plan, inverse_ends: Span<M31>) -> (Span<M31>, Span<M31>) {
    let mut inverse_ends = inverse_ends;
    let mut starts = *plan.starts;
    let mut out: Array<M31> = array![];
    let mut before: Array<M31> = array![];
    let mut own: Span<M31> = array![].span();
    for member in plan.members {
        if *member.begins {
            let end = *inverse_ends.pop_front().unwrap();
            own = block(*starts.pop_front().unwrap(), *plan.step, end, ref out);
            if *plan.circle {
                circle_fold(own, *plan.step, ref out);
            }
        }
        before.append(if *plan.step == 0 {
            *own[0]
        } else {
            let (pair, odd) = DivRem::div_rem(*member.inside, 2);
            let inverse = *own[pair];
            if odd == 1 { // half a turn further
                m31::neg(inverse)
            } else {
                inverse
            }
        });
    }
    (out.span(), before.span())
}

/// Appends the inverse twiddles of a line block, the last fold's first; returns 1/y of q(0, j).
fn block(start: Point, step: u32, inverse_end: M31, ref out: Array<M31>) -> Span<M31> {
    let mut doubled: Array<Point> = array![];
    let mut point = start;
    for k in 0..step {
        doubled.append(point);
        if k + 1 != step {
            point = circle::double(point);
        }
    }
    let mut doubled = doubled.span();
    let mut inverse_ys = array![inverse_end].span();
    while let Some(point) = doubled.pop_back() {
        let mut next: Array<M31> = array![];
        // The last fold of a block has one pair, those before it twice as many each.
        let single = inverse_ys.len() == 1 && doubled.len() + 1 == step;
        for i in 0..inverse_ys.len() {
            let Point { x, y } = if i == 0 {
                *point
            } else {
                circle::add(*point, circle::rotation(4 * i))
            };
            let above = *inverse_ys[i];
            let (inverse_x, inverse_y) = (twice(y, above), twice(x, above));
            out.append(inverse_x);
            next.append(inverse_y);
            if !single {
                out.append(inverse_y);
                next.append(m31::neg(inverse_x));
            }
        }
        inverse_ys = next.span();
    }
    inverse_ys
}

/// Appends the inverse twiddles of the first layer's first fold.
fn circle_fold(inverse_ys: Span<M31>, step: u32, ref out: Array<M31>) {
    for inverse in inverse_ys {
        out.append(*inverse);
        if step != 0 {
            out.append(m31::neg(*inverse));
        }
    }
}

/// 2 x y.
fn twice(x: M31, y: M31) -> M31 {
    let once = product(x, y);
    reduce(upcast(wide_add(once, once)))
}
