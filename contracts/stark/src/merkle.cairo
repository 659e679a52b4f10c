//! Openings of lifted Merkle trees: one decommitment for all positions (PROTOCOL 4 and 10).
//!
//! Which nodes of a tree are known is the same for all trees that are opened at the queries, and a FRI layer's blocks
//! are ancestors of them, so it is worked out once: a level lists its known nodes from left to right.

use core::panic_with_felt252;
use crate::blake;
use crate::words::{Hash, read_hash};

/// A known node of a level, or two that are siblings.
#[derive(Copy, Drop, PartialEq, Debug)]
pub enum Known {
    Left,
    Right,
    Both,
}

/// The known nodes of every level, leaves first, when the leaves at these ascending distinct positions are known.
pub fn levels(positions: Span<u32>, height: u32) -> Span<Span<Known>> {
    let mut out: Array<Span<Known>> = array![];
    let mut positions = positions;
    for _ in 0..height {
        let (level, parents) = level(positions);
        out.append(level);
        positions = parents;
    }
    out.span()
}

fn level(positions: Span<u32>) -> (Span<Known>, Span<u32>) {
    let (mut known, mut parents): (Array<Known>, Array<u32>) = (array![], array![]);
    let mut positions = positions;
    while let Some(position) = positions.pop_front() {
        let (parent, side) = DivRem::div_rem(*position, 2);
        // Ascending: only a left child can meet its sibling.
        known
            .append(
                if side == 1 {
                    Known::Right
                } else if !positions.is_empty() && *positions[0] == *position + 1 {
                    let _ = positions.pop_front();
                    Known::Both
                } else {
                    Known::Left
                },
            );
        parents.append(parent);
    }
    (known.span(), parents.span())
}

/// The walk to the root from the known nodes of the first level; siblings that are not known come from the witness.
/// Panics with `message` if it ends at another root.
pub fn verify(root: Hash, nodes: Array<Hash>, levels: Span<Span<Known>>, ref witness: Span<u32>, message: felt252) {
    let mut nodes = nodes.span();
    for level in levels {
        nodes = parents(nodes, *level, ref witness);
    }
    if !same(*nodes[0], root) {
        panic_with_felt252(message);
    }
}

fn parents(nodes: Span<Hash>, level: Span<Known>, ref witness: Span<u32>) -> Span<Hash> {
    let mut nodes = nodes;
    let mut out: Array<Hash> = array![];
    for known in level {
        let node = *nodes.pop_front().unwrap();
        let (left, right) = match known {
            Known::Left => (node, read_hash(ref witness)),
            Known::Right => (read_hash(ref witness), node),
            Known::Both => (node, *nodes.pop_front().unwrap()),
        };
        out.append(blake::node(left, right));
    }
    out.span()
}

pub fn same(left: Hash, right: Hash) -> bool {
    left.unbox() == right.unbox()
}

/// Where a query falls in a tree of another height than the lifting domain's (PROTOCOL 10).
pub fn preprocessed_position(query: u32, height: u32, lifting_log: u32) -> u32 {
    let (half, low) = DivRem::div_rem(query, 2);
    if height >= lifting_log {
        half * power_of_two(height - lifting_log + 1) + low
    } else {
        half / power_of_two(lifting_log - height) * 2 + low
    }
}

/// A leaf and where it lies.
#[derive(Copy, Drop)]
pub struct Leaf {
    pub position: u32,
    pub hash: Hash,
}

/// Leaves by ascending position, one each. Rows that claim one position must be equal: panics with 'merkle: two rows'.
pub fn sorted(leaves: Span<Leaf>) -> Array<Leaf> {
    let mut out: Array<Leaf> = array![];
    for leaf in leaves {
        let mut placed: Array<Leaf> = array![];
        let mut waiting = true;
        for other in out {
            if waiting && other.position >= *leaf.position {
                waiting = false;
                if other.position == *leaf.position {
                    if !same(other.hash, *leaf.hash) {
                        panic_with_felt252('merkle: two rows');
                    }
                } else {
                    placed.append(*leaf);
                }
            }
            placed.append(other);
        }
        if waiting {
            placed.append(*leaf);
        }
        out = placed;
    }
    out
}

pub fn power_of_two(exponent: u32) -> u32 {
    let mut value = 1;
    for _ in 0..exponent {
        value *= 2;
    }
    value
}
