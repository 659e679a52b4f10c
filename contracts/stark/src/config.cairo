//! Parameters of the polynomial commitment scheme: chosen by the contract, never by the proof (ANCHORS E22).

use core::panic_with_felt252;
use crate::air::Run;
use crate::circle::MAX_DOMAIN_LOG;

/// Stwo's `PcsConfig`. `lifting_log_size` 0 means none: every tree is as high as its largest column.
#[derive(Copy, Drop, Debug)]
pub struct Config {
    pub pow_bits: u32,
    pub log_blowup_factor: u32,
    pub log_last_layer_degree_bound: u32,
    pub n_queries: u32,
    pub fold_step: u32,
    pub lifting_log_size: u32,
}

/// Limits of the numbers themselves. Zero queries, or a blow-up of one, would prove nothing (ANCHORS E20). A fold step
/// above 4 is out of reach of `twiddles`, whose blocks turn by the first window of the table of rotations.
pub fn check(config: Config) {
    let within = config.pow_bits <= 60
        && config.log_blowup_factor >= 1
        && config.log_blowup_factor <= 16
        && config.log_last_layer_degree_bound <= 10
        && config.n_queries >= 1
        && config.n_queries <= 1024
        && config.fold_step >= 1
        && config.fold_step <= 4
        && config.lifting_log_size <= MAX_DOMAIN_LOG;
    if !within {
        panic_with_felt252('config: out of limits');
    }
}

/// Limits given the columns: domains exist, trees have one height, FRI has something to fold. `trees` are all trees,
/// `lifting_log` is L.
pub fn check_fits(config: Config, trees: Span<Span<Run>>, lifting_log: u32) {
    let blowup = config.log_blowup_factor;
    if lifting_log > MAX_DOMAIN_LOG || height(*trees[0], config) > MAX_DOMAIN_LOG {
        panic_with_felt252('config: domain too large');
    }
    if lifting_log < blowup + config.fold_step + config.log_last_layer_degree_bound {
        panic_with_felt252('config: trace too small');
    }
    for index in 0..trees.len() {
        let tallest = tallest(*trees[index]) + blowup;
        if config.lifting_log_size != 0 {
            if tallest > lifting_log && (*trees[index]).len() != 0 {
                panic_with_felt252('config: lifting too low');
            }
        } else if index > 0 && tallest != lifting_log {
            // Queries address all trees but the first by positions of the lifting domain, without a map between them.
            panic_with_felt252('config: tree too low');
        }
    }
}

/// Height of the lifted Merkle tree over these columns; 0 without columns.
pub fn height(runs: Span<Run>, config: Config) -> u32 {
    if runs.len() == 0 {
        0
    } else if config.lifting_log_size != 0 {
        config.lifting_log_size
    } else {
        tallest(runs) + config.log_blowup_factor
    }
}

fn tallest(runs: Span<Run>) -> u32 {
    let mut most = 0;
    for run in runs {
        most = core::cmp::max(most, *run.log_size);
    }
    most
}
