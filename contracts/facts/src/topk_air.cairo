//! Which evaluator a top-k statement has: there is one for each metric, for snapshots of 100 dimensions.

use octoproof_stark::air::{Air, Elements, Layout};
use octoproof_stark::airs::topk_ip_dim100::TopkIpDim100;
use octoproof_stark::airs::topk_l2_dim100::TopkL2Dim100;
use octoproof_stark::m31;
use octoproof_stark::m31::M31;
use octoproof_stark::qm31::QM31;
use crate::question::L2;
use crate::refuse::require;
use crate::topk_statement::{TopkStatement, signed};

/// Size of the range table, which lies in the main trace.
pub const TABLE_LOG: u64 = 10;
const DIMENSION: u64 = 100;

#[derive(Copy, Drop)]
pub enum TopkAir {
    Ip: TopkIpDim100,
    L2: TopkL2Dim100,
}

/// The AIR of a checked statement, its query and threshold bound. Cosine is ip on a normalised snapshot.
pub fn topk_air(statement: @TopkStatement) -> TopkAir {
    let log_size: u32 = (*statement.segment.log_size).try_into().unwrap();
    let mut values: Array<M31> = array![];
    for value in *statement.question.query {
        values.append(m31::read(signed(*value)));
    }
    values.append(m31::read(signed(*statement.threshold)));
    let parameters = values.span();
    require(*statement.header.dimension == DIMENSION, 'snapshot.dimension', 'not 100');
    if *statement.question.metric == L2 {
        TopkAir::L2(TopkL2Dim100 { log_size, parameters })
    } else {
        TopkAir::Ip(TopkIpDim100 { log_size, parameters })
    }
}

pub impl TopkAirImpl of Air<TopkAir> {
    fn layout(self: @TopkAir) -> Layout {
        match self {
            TopkAir::Ip(air) => air.layout(),
            TopkAir::L2(air) => air.layout(),
        }
    }

    fn composition(
        self: @TopkAir,
        samples: Span<Span<QM31>>,
        relations: Span<Elements>,
        claimed_sums: Span<QM31>,
        coefficient: QM31,
    ) -> QM31 {
        match self {
            TopkAir::Ip(air) => air.composition(samples, relations, claimed_sums, coefficient),
            TopkAir::L2(air) => air.composition(samples, relations, claimed_sums, coefficient),
        }
    }
}
