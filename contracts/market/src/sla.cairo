//! What a purchase's requests were like in its epoch, by facts, and what that refunds (`air/statements/sla_statement.py`,
//! `octoproof/market/settle.py`).
//!
//! Who calls brings counts. Seller, epoch, its root, agreement, buyer and the tier's edges are the purchase's, so that a
//! true fact about something else has another digest.

use octoproof_facts::snapshot::{ColumnRoot, ColumnRootSerde};
use octoproof_facts::words::{WordsTrait, digest};
use crate::rules::{
    BPS, EVIDENCE_FAILED_RESPONSE, EVIDENCE_LATENCY_HIGH, EVIDENCE_OUTPUT_INVALID, EVIDENCE_PROVIDER_ERROR,
    EVIDENCE_TIMEOUT, LATENCY_BAND_REFUNDS_BPS, LATENCY_EDGES, TIERS, nearest_rank, output_refund_bps, uptime_refund_bps,
};

const TYPE: u32 = 4;
const VERSION: u32 = 1;
const FORMAT: u64 = 1;
const AGREEMENT: u64 = 0;
const OUTCOMES: u32 = 3; // failed, invalid, good
const MAX_PARTS: u32 = 64;

/// One segment of an agreement: its leaf in the epoch, its way to the root, and its counts, for each band of latency
/// (outcome, then not acknowledged and acknowledged). Sums are (low, high) limbs.
#[derive(Copy, Drop, Debug, Serde)]
pub struct SlaPart {
    pub index: u64,
    pub head: u256,
    pub count: u64,
    pub first: u64,
    pub rows: u64,
    pub log_size: u64,
    pub row_root: u256,
    pub column_roots: Span<ColumnRoot>,
    pub path: Span<u256>,
    pub counts: Span<u64>,
    pub latency: (u64, u64),
    pub tokens: (u64, u64),
}

/// All requests of one agreement in an epoch. Times are ms; `requests` and `segments` are the whole epoch's.
#[derive(Copy, Drop, Debug, Serde)]
pub struct SlaReceipt {
    pub opened: u64,
    pub closed: u64,
    pub requests: u64,
    pub segments: u64,
    pub parts: Span<SlaPart>,
}

/// What the receipt is to be about.
#[derive(Copy, Drop)]
pub struct Subject {
    pub seller: felt252,
    pub buyer: felt252,
    pub agreement: felt252,
    pub epoch: u64,
    pub epoch_root: u256,
    pub tier: u8,
}

/// Basis points by cause.
#[derive(Copy, Drop, Debug, PartialEq, Serde)]
pub struct Refund {
    pub latency: u64,
    pub uptime: u64,
    pub outputs: u64,
    pub invalid_outputs: u64,
}

#[generate_trait]
pub impl SlaReceiptImpl of SlaReceiptTrait {
    /// The digests of the statements that must all be facts. Panics unless the parts are all of the agreement's: a
    /// segment that is left out may have all the bad requests, one that comes twice all the good ones.
    fn digests(self: @SlaReceipt, subject: @Subject) -> Span<u256> {
        let parts = *self.parts;
        assert(!parts.is_empty() && parts.len() <= MAX_PARTS, 'parts: out of bounds');
        let (head, count) = (*parts[0].head, *parts[0].count);
        let mut next = 0;
        let mut out = array![];
        for part in parts {
            assert(*part.head == head && *part.count == count, 'parts: they disagree');
            assert(*part.first == next, 'parts: not all in order');
            next += *part.rows;
            out.append(self.digest(part, subject));
        }
        assert(next == count, 'parts: one is missing');
        out.span()
    }

    /// `SlaStatement.digest`. A number of 2^63 or more would encode as a negative one, of which there are no facts.
    fn digest(self: @SlaReceipt, part: @SlaPart, subject: @Subject) -> u256 {
        let mut words = array![TYPE, VERSION];
        words.add_u64(FORMAT);
        words.add_bytes32((*subject.seller).into());
        for value in [*subject.epoch, *self.opened, *self.closed, *self.requests, *self.segments].span() {
            words.add_u64(*value);
        }
        words.add_bytes32(*subject.epoch_root);
        words.add_u64(*part.index);
        words.add_bytes32((*subject.agreement).into());
        words.add_bytes32((*subject.buyer).into());
        words.add_bytes32(*part.head);
        for value in [*part.count, *part.first, *part.rows, *part.log_size].span() {
            words.add_u64(*value);
        }
        words.add_bytes32(*part.row_root);
        words.add_u32((*part.column_roots).len());
        for item in *part.column_roots {
            words.add_u64(*item.channel);
            words.add_u64(*item.log_blowup);
            words.add_u64(*item.lifting);
            words.add_bytes32(*item.root);
        }
        words.add_u32((*part.path).len());
        for sibling in *part.path {
            words.add_bytes32(*sibling);
        }
        words.add_u64(AGREEMENT);
        add_u64s(edges(*subject.tier), ref words);
        add_u64s(*part.counts, ref words);
        let ((latency_low, latency_high), (tokens_low, tokens_high)) = (*part.latency, *part.tokens);
        for value in [latency_low, latency_high, tokens_low, tokens_high].span() {
            words.add_u64(*value);
        }
        digest(words.span())
    }

    /// What the counts refund, given that the statements are facts (`epoch_refund`, without witnesses' pings).
    fn refund(self: @SlaReceipt, tier: u8) -> Refund {
        let classes = 2 * OUTCOMES * (edges(tier).len() + 1);
        let (mut failed, mut invalid, mut answered) = (0, 0, 0);
        let mut bands: Array<u64> = array![];
        for band in 0..edges(tier).len() + 1 {
            let (mut lost, mut bad, mut good) = (0, 0, 0);
            for part in *self.parts {
                assert((*part.counts).len() == classes, 'counts: not one for each class');
                let counts = (*part.counts).slice(2 * OUTCOMES * band, 2 * OUTCOMES);
                lost += *counts[0] + *counts[1];
                bad += *counts[2] + *counts[3];
                good += *counts[4] + *counts[5];
            }
            failed += lost;
            invalid += bad;
            answered += bad + good;
            bands.append(bad + good);
        }
        let (requests, tier) = (answered + failed, *TIERS.span()[tier.into()]);
        Refund {
            latency: latency_bps(bands.span(), answered, tier.percentile_bps),
            uptime: uptime_refund_bps(tier.uptime_ppm, answered, requests),
            outputs: output_refund_bps(answered - invalid, failed, invalid),
            invalid_outputs: output_refund_bps(requests - invalid, 0, invalid),
        }
    }
}

#[generate_trait]
pub impl RefundImpl of RefundTrait {
    /// The largest of all causes: what a delivery refunds.
    fn total(self: @Refund) -> u64 {
        core::cmp::max(*self.latency, core::cmp::max(*self.uptime, *self.outputs))
    }

    /// By the cause that a claim of this kind is about; None for kinds that counts say nothing of.
    fn of_kind(self: @Refund, kind: u8) -> Option<u64> {
        if kind == EVIDENCE_LATENCY_HIGH {
            Some(*self.latency)
        } else if kind == EVIDENCE_TIMEOUT {
            Some(core::cmp::max(*self.latency, *self.uptime))
        } else if kind == EVIDENCE_PROVIDER_ERROR || kind == EVIDENCE_FAILED_RESPONSE {
            Some(core::cmp::max(*self.uptime, *self.outputs))
        } else if kind == EVIDENCE_OUTPUT_INVALID {
            Some(*self.invalid_outputs)
        } else {
            None
        }
    }
}

/// What names a receipt as evidence: the hash of its statements' digests.
pub fn evidence_of(digests: Span<u256>) -> u256 {
    let mut words = array![];
    for one in digests {
        words.add_bytes32(*one);
    }
    digest(words.span())
}

/// Bits that each of so many proofs must have more, in tenths: a forger needs to break one of them.
pub fn surcharge(parts: u32) -> u16 {
    let (mut tenths, mut reached) = (0, 1);
    while reached < parts {
        reached *= 2;
        tenths += 10;
    }
    tenths
}

/// By the band that holds the percentile of answered requests; of none there is no latency, and uptime refunds all.
fn latency_bps(bands: Span<u64>, answered: u64, percentile_bps: u64) -> u64 {
    if answered == 0 {
        return 0;
    }
    let rank = nearest_rank(answered, percentile_bps);
    let (mut reached, mut refund) = (0, BPS);
    for band in 0..bands.len() {
        reached += *bands[band];
        if reached >= rank {
            refund = *LATENCY_BAND_REFUNDS_BPS.span()[band];
            break;
        }
    }
    refund
}

fn edges(tier: u8) -> Span<u64> {
    LATENCY_EDGES.span()[tier.into()].span()
}

fn add_u64s(values: Span<u64>, ref words: Array<u32>) {
    words.add_u32(values.len());
    for value in values {
        words.add_u64(*value);
    }
}
