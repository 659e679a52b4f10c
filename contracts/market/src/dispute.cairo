//! Disputes: filed, investigated, decided, carried out; every move has a deadline (`octoproof/market/dispute.py`).

use starknet::ContractAddress;
use crate::rules::dispute::{FILED, Guards, INVALID, INVESTIGATING, PARTIAL, VALID, by, event, is_final, next};
use crate::rules::{
    APPEAL_DEADLINE_S, APPEAL_WINDOW_S, ARBITRATION_DEADLINE_S, AUTOMATED_DEADLINE_S, BPS, EVIDENCE, EVIDENCE_DEADLINE_S,
    LEVEL_APPEAL, LEVEL_ARBITRATION, LEVEL_AUTOMATED, LEVEL_EVIDENCE,
};

/// What a decision came from.
pub const UNDECIDED: u8 = 0;
pub const PROOF: u8 = 1;
pub const RULING: u8 = 2;
pub const SILENCE: u8 = 3;
pub const NOBODY: u8 = 4;

/// `owes` is the party (`rules::dispute::by`) whose move `deadline` limits, 0 for none. `stood` and `stood_bps` are the
/// ruling that an appeal is about, FILED if there was none. `refund_bps` means nothing before a decision.
#[derive(Copy, Drop, Debug, PartialEq, Serde, starknet::Store)]
pub struct Dispute {
    pub purchase: u64,
    pub claimant: ContractAddress,
    pub respondent: ContractAddress,
    pub kind: u8,
    pub level: u8,
    pub deadline: u64,
    pub owes: u8,
    pub state: u8,
    pub evidence: u256,
    pub refund_bps: u64,
    pub decided_by: u8,
    pub appellant: u8,
    pub stood: u8,
    pub stood_bps: u64,
}

/// What comes with an event. `proven`: a proof with this refund was verified, or, for `disprove`, one that contradicts
/// the very claim; `fresh`: the claimant has not used the evidence before.
#[derive(Copy, Drop)]
pub struct Given {
    pub evidence: u256,
    pub fresh: bool,
    pub proven: bool,
    pub refund_bps: u64,
}

pub const NOTHING: Given = Given { evidence: 0, fresh: false, proven: false, refund_bps: 0 };

/// A dispute at the level where such evidence starts. Panics for a kind that there is not.
pub fn filed(purchase: u64, claimant: ContractAddress, respondent: ContractAddress, kind: u8, now: u64) -> Dispute {
    assert(kind.into() < EVIDENCE.span().len(), 'kind: unknown');
    let level = if *EVIDENCE.span()[kind.into()].automatic {
        LEVEL_AUTOMATED
    } else {
        LEVEL_EVIDENCE
    };
    Dispute {
        purchase,
        claimant,
        respondent,
        kind,
        level,
        deadline: now + deadline_of(level),
        owes: by::CLAIMANT,
        state: FILED,
        evidence: 0,
        refund_bps: 0,
        decided_by: UNDECIDED,
        appellant: by::ANYONE,
        stood: FILED,
        stood_bps: 0,
    }
}

#[generate_trait]
pub impl DisputeImpl of DisputeTrait {
    /// The dispute after an event. Panics for what is not allowed.
    fn step(self: Dispute, event: u8, by: u8, now: u64, given: Given) -> Dispute {
        assert(given.refund_bps <= BPS, 'refund: out of bounds');
        let Some(state) = next(self.state, event, by, self.guards(now, given)) else {
            core::panics::panic(array!['dispute: not allowed', self.state.into(), event.into()])
        };
        if is_final(state) {
            return Dispute { state, ..self };
        }
        if state == VALID || state == INVALID || state == PARTIAL {
            return self.decided(state, event, now, given.refund_bps);
        }
        if event == event::COLLECT {
            let deadline = now + deadline_of(self.level);
            return Dispute { state, evidence: given.evidence, owes: by::RESPONDENT, deadline, ..self };
        }
        if event == event::APPEAL {
            let raised = self.raised(LEVEL_APPEAL, by::VOTE, now);
            let (stood, stood_bps) = (self.state, self.refund_bps);
            return Dispute { state, decided_by: UNDECIDED, appellant: by, stood, stood_bps, ..raised };
        }
        if event == event::RESPOND {
            return self.raised(LEVEL_ARBITRATION, by::JUDGE, now);
        }
        self.raised(LEVEL_APPEAL, by::VOTE, now) // the judge was silent
    }

    /// Whether a decision can be appealed against: only a judge's.
    fn is_appealable(self: @Dispute) -> bool {
        *self.level == LEVEL_ARBITRATION && *self.decided_by == RULING
    }

    fn guards(self: @Dispute, now: u64, given: Given) -> Guards {
        let overdue = now > *self.deadline;
        let appealable = self.is_appealable();
        Guards {
            in_time: !overdue,
            overdue,
            evidence_unused: given.fresh,
            automatic: *EVIDENCE.span()[(*self.kind).into()].automatic,
            proven: given.proven,
            refund_partial: 0 < given.refund_bps && given.refund_bps < BPS,
            refund_full: given.refund_bps == BPS,
            respondent_owes: *self.owes == by::RESPONDENT,
            judge_owes: *self.owes == by::JUDGE,
            vote_owes: *self.owes == by::VOTE,
            stood_valid: *self.stood == VALID,
            stood_partial: *self.stood == PARTIAL,
            stood_invalid: *self.stood == INVALID || *self.stood == FILED,
            appealable,
            unappealable: !appealable,
            window_over: appealable && overdue,
        }
    }

    fn raised(self: Dispute, level: u8, owes: u8, now: u64) -> Dispute {
        Dispute { state: INVESTIGATING, level, owes, deadline: now + deadline_of(level), ..self }
    }

    fn decided(self: Dispute, state: u8, event: u8, now: u64, given_bps: u64) -> Dispute {
        let expired = event == event::EXPIRE;
        let decided_by = if expired && self.level == LEVEL_APPEAL {
            NOBODY
        } else if expired {
            SILENCE
        } else if event == event::PROVE || event == event::DISPROVE {
            PROOF
        } else {
            RULING
        };
        let refund_bps = if state == VALID {
            BPS
        } else if state == INVALID {
            0
        } else if expired {
            self.stood_bps
        } else {
            given_bps
        };
        Dispute { state, decided_by, refund_bps, owes: by::ANYONE, deadline: now + APPEAL_WINDOW_S, ..self }
    }
}

fn deadline_of(level: u8) -> u64 {
    *[AUTOMATED_DEADLINE_S, EVIDENCE_DEADLINE_S, ARBITRATION_DEADLINE_S, APPEAL_DEADLINE_S].span()[level.into()]
}
