//! The configurations that the contracts accept, the security of proofs under them, and public roots of tree 0.
//!
//! Written by `python -m octoproof.starknet.presets` from `verifier/config.py` and `verifier/security.py`; do not edit.

use octoproof_stark::config::Config;
use crate::refuse::{require, within};
use crate::store::Security;

/// The configuration of a preset, given as its name. A proof cannot choose any other (ANCHORS E22).
pub fn config(preset: felt252) -> Config {
    *CONFIGS.span()[place(preset)]
}

fn place(preset: felt252) -> u32 {
    require(preset == ONCHAIN || preset == ONCHAIN_PROVEN, 'preset', 'unknown');
    if preset == ONCHAIN {
        0
    } else {
        1
    }
}

/// The entry of a table with an entry for every size from the first on; other sizes are refused.
fn entry<T, +Copy<T>, +Drop<T>>(table: Span<T>, first: u32, log_size: u32) -> T {
    within(log_size.into(), first.into(), (first + table.len() - 1).into(), 'log_size');
    *table[log_size - first]
}

fn security(preset: felt252, table: Span<[(u16, u16); 2]>, first: u32, log_size: u32) -> Security {
    let both = entry(table, first, log_size);
    let (conjectured, proven) = *both.span()[place(preset)];
    Security { conjectured, proven }
}

pub const ONCHAIN: felt252 = 'onchain';
pub const ONCHAIN_PROVEN: felt252 = 'onchain-proven';
const CONFIGS: [Config; 2] = [
    Config { pow_bits: 26, log_blowup_factor: 5, log_last_layer_degree_bound: 5, n_queries: 14, fold_step: 3, lifting_log_size: 0 },
    Config { pow_bits: 26, log_blowup_factor: 5, log_last_layer_degree_bound: 5, n_queries: 23, fold_step: 4, lifting_log_size: 0 },
];

const TOPK_SECURITY: [[(u16, u16); 2]; 11] = [
    [(960, 605), (1089, 784)],
    [(960, 605), (1079, 780)],
    [(960, 605), (1069, 777)],
    [(960, 604), (1059, 773)],
    [(960, 603), (1049, 768)],
    [(960, 603), (1039, 764)],
    [(960, 602), (1029, 758)],
    [(960, 601), (1019, 754)],
    [(960, 600), (1009, 749)],
    [(960, 599), (999, 743)],
    [(960, 598), (989, 735)],
];

/// For sizes 2^10 to 2^20, in tenths of a bit.
pub fn topk_security(preset: felt252, log_size: u32) -> Security {
    security(preset, TOPK_SECURITY.span(), 10, log_size)
}

const WIDE_FIB_SECURITY: [[(u16, u16); 2]; 11] = [
    [(960, 606), (1089, 791)],
    [(960, 606), (1079, 788)],
    [(960, 605), (1069, 783)],
    [(960, 605), (1059, 779)],
    [(960, 605), (1049, 776)],
    [(960, 604), (1039, 771)],
    [(960, 603), (1029, 767)],
    [(960, 603), (1019, 763)],
    [(960, 602), (1009, 757)],
    [(960, 601), (999, 753)],
    [(960, 600), (989, 748)],
];

/// For sizes 2^10 to 2^20, in tenths of a bit.
pub fn wide_fib_security(preset: felt252, log_size: u32) -> Security {
    security(preset, WIDE_FIB_SECURITY.span(), 10, log_size)
}

const RANGE_CHECK_SECURITY: [[(u16, u16); 2]; 7] = [
    [(960, 606), (1089, 790)],
    [(960, 606), (1079, 787)],
    [(960, 605), (1069, 781)],
    [(960, 605), (1059, 779)],
    [(960, 604), (1049, 775)],
    [(960, 604), (1039, 770)],
    [(960, 603), (1029, 766)],
];

/// For sizes 2^10 to 2^16, in tenths of a bit.
pub fn range_check_security(preset: felt252, log_size: u32) -> Security {
    security(preset, RANGE_CHECK_SECURITY.span(), 10, log_size)
}

const PLONK_SECURITY: [[(u16, u16); 2]; 7] = [
    [(960, 606), (1089, 791)],
    [(960, 606), (1079, 788)],
    [(960, 605), (1069, 783)],
    [(960, 605), (1059, 779)],
    [(960, 605), (1049, 776)],
    [(960, 604), (1039, 771)],
    [(960, 603), (1029, 767)],
];

/// For sizes 2^10 to 2^16, in tenths of a bit.
pub fn plonk_security(preset: felt252, log_size: u32) -> Security {
    security(preset, PLONK_SECURITY.span(), 10, log_size)
}

const RANGE_CHECK_ROOTS: [[u32; 8]; 7] = [
    [0xad078146, 0x36c2b9c3, 0xa1f1a5f5, 0xc49e79ab, 0x3d78da5e, 0xbbb64322, 0xc6a01974, 0x3fd4472c],
    [0x7716d22c, 0xe32cb0f7, 0x9eb60eed, 0x145f9d79, 0xca46804f, 0xe2bb183c, 0x114ffc77, 0xf4884c5e],
    [0xd5bd6c76, 0x764be9c5, 0x411229f2, 0x271b0fac, 0xaddbf4ee, 0xd40bf333, 0x1dfbb745, 0x6f60db03],
    [0x72914629, 0xcb68a986, 0xe4c6b3ab, 0x3ef1bab8, 0xcc22d1c3, 0xd09ebc96, 0x2dddf091, 0x1e35635d],
    [0x6b034d40, 0x2c3fe5da, 0x944355db, 0xbd1f639e, 0xfb9beccb, 0xdbefca84, 0x6c0d6f2c, 0xf60b465f],
    [0x14622bc8, 0x84325055, 0xb2b73436, 0x8350a2ca, 0x6a217926, 0x7d2a09a0, 0xaa93b44b, 0x28e581e2],
    [0xe2ae8f1c, 0x01ca2410, 0x99e8c918, 0x4cb1a5d2, 0x58e7d2cc, 0x05237dca, 0x44fb5b0b, 0x92489a02],
];

/// The root of the public tree 0 of this size, the same under all presets.
pub fn range_check_root(log_size: u32) -> [u32; 8] {
    entry(RANGE_CHECK_ROOTS.span(), 10, log_size)
}

const PLONK_ROOTS: [[u32; 8]; 7] = [
    [0x8165cbe9, 0x09fcfb1b, 0xdac5a268, 0xe94feef9, 0xee711d53, 0x93ec69b9, 0x88c1176a, 0x44f7c5c7],
    [0xd1bb4c28, 0xf762decd, 0x5fa07c2e, 0x2f150b35, 0x32f4a953, 0xee7df9ef, 0xa71fb719, 0x7722d8c9],
    [0xc3b69ac8, 0xdb98f9bc, 0xc4afe28b, 0x6206242e, 0x83c60022, 0xeed2dae6, 0xa0632caf, 0x14f4e344],
    [0xc6ea5446, 0xd9e79a49, 0x05155bda, 0xb4c254b5, 0x6b348f95, 0xac21f198, 0xd5c06da6, 0x89c53345],
    [0xf56f6739, 0x5c279bd6, 0xe06186b1, 0x1769cade, 0xef640900, 0x74092529, 0x9ebe7e98, 0x3dd361ea],
    [0x568b02eb, 0x5705db5b, 0xd357b5a8, 0x04d03136, 0x5441be98, 0xe861eac1, 0xe2c36b7f, 0x85662f8c],
    [0x59d33e90, 0x15313e16, 0x742a11b3, 0xdfda383e, 0x79d514ae, 0x423ffb3f, 0xd991455e, 0xa6584a42],
];

/// The root of the public tree 0 of this size, the same under all presets.
pub fn plonk_root(log_size: u32) -> [u32; 8] {
    entry(PLONK_ROOTS.span(), 10, log_size)
}
