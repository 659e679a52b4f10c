//! The market contract: storage, money and time around the pure rules.
//!
//! It has no owner and no upgrade. Every function that changes anything first checks, then writes, then moves money, all
//! under one lock. Times are those of blocks, seconds apart.

#[starknet::contract]
pub mod Market {
    use core::num::traits::Zero;
    use octoproof_facts::store::{IFactsDispatcher, IFactsDispatcherTrait};
    use octoproof_facts::topk_statement::Row;
    use octoproof_registry::registry::{IRegistryDispatcher, IRegistryDispatcherTrait};
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess, StoragePointerWriteAccess,
    };
    use starknet::{ContractAddress, get_block_timestamp, get_caller_address};
    use crate::answer::{Asked, answer_digest};
    use crate::dispute::{Dispute, DisputeTrait, Given, NOTHING, filed};
    use crate::events::{
        BondPaid, DisputeChanged, DisputeFiled, EpochPublished, EvidenceStored, ListingChanged, PurchaseChanged,
        PurchaseOffered, Settled, Slashed, Staked, Unstaked,
    };
    use crate::evidence::{Envelope, EnvelopeTrait, agreement_of};
    use crate::exchange::{Exchange, ExchangeTrait, Parties};
    use crate::interface::{IDisputes, IPurchases, ISellers, IViews, Setting};
    use crate::listing::{Listing, ListingTrait};
    use crate::payout::{appeal_bond, bond, bonds, split};
    use crate::purchase::{FIRST, Purchase, PurchaseTrait, price_of};
    use crate::rules::dispute::{by as party, event as dispute_event};
    use crate::rules::listing::{by as dealer, event as listing_event};
    use crate::rules::purchase::{by as trader, event as purchase_event};
    use crate::rules::{
        BPS, EVIDENCE, EVIDENCE_DOUBLE, EVIDENCE_WRONG_ANSWER, OFFENCE_TIMEOUT, Stake, dispute as dispute_rules,
        listing as listing_rules, purchase as purchase_rules, slash,
    };
    use crate::sla::{Refund, RefundTrait, SlaReceipt, SlaReceiptTrait, Subject, evidence_of, surcharge};
    use crate::vault::{Pot, vault};

    component!(path: vault, storage: vault, event: VaultEvent);
    impl VaultImpl = vault::VaultImpl<ContractState>;

    #[storage]
    struct Storage {
        #[substorage(v0)]
        vault: vault::Storage,
        setting: Setting,
        stakes: Map<ContractAddress, Stake>,
        open_purchases: Map<ContractAddress, u64>,
        epoch_roots: Map<(ContractAddress, u64), u256>,
        next_epochs: Map<ContractAddress, u64>,
        listings: Map<u64, Listing>,
        last_listing: u64,
        purchases: Map<u64, Purchase>,
        last_purchase: u64,
        disputes: Map<u64, Dispute>,
        last_dispute: u64,
        used: Map<(ContractAddress, u256), bool>,
        envelopes: Map<ContractAddress, u64>,
    }

    #[event]
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {
        #[flat]
        VaultEvent: vault::Event,
        Staked: Staked,
        Unstaked: Unstaked,
        Slashed: Slashed,
        EpochPublished: EpochPublished,
        ListingChanged: ListingChanged,
        PurchaseOffered: PurchaseOffered,
        PurchaseChanged: PurchaseChanged,
        Settled: Settled,
        DisputeFiled: DisputeFiled,
        EvidenceStored: EvidenceStored,
        DisputeChanged: DisputeChanged,
        BondPaid: BondPaid,
    }

    #[constructor]
    fn constructor(
        ref self: ContractState, payment: ContractAddress, collateral: ContractAddress, setting: Setting,
    ) {
        for address in [setting.sla_facts, setting.answer_facts, setting.registry, setting.treasury, setting.judge]
            .span() {
            assert(address.is_non_zero(), 'setting: zero address');
        }
        assert(setting.court.is_non_zero(), 'setting: zero address');
        assert(setting.judge != setting.court, 'setting: judge is the court'); // an appeal goes to somebody else
        // Without a minimum a proof of three queries would settle as much as one of seventy (ANCHORS H36).
        assert(setting.min_conjectured > 0 && setting.min_proven > 0, 'setting: no security demanded');
        self.vault.open(payment, collateral);
        self.setting.write(setting);
    }

    #[abi(embed_v0)]
    impl Sellers of ISellers<ContractState> {
        fn deposit(ref self: ContractState, amount: u256) {
            self.vault.lock();
            let seller = get_caller_address();
            let stake = self.stakes.read(seller);
            assert(!stake.banned, 'stake: banned');
            let held = stake.held + amount;
            assert(held.high == 0, 'stake: out of bounds');
            self.stakes.write(seller, Stake { held, ..stake });
            self.emit(Staked { seller, amount, held });
            self.vault.take(Pot::Stakes, seller, amount);
            self.vault.unlock();
        }

        fn withdraw(ref self: ContractState, amount: u256) {
            self.vault.lock();
            let seller = get_caller_address();
            let stake = self.stakes.read(seller);
            assert(amount > 0, 'amount: zero');
            // The stake answers for each purchase to its end.
            assert(self.open_purchases.read(seller) == 0, 'stake: purchases are open');
            assert(amount <= stake.held, 'stake: holds less');
            let held = stake.held - amount;
            self.stakes.write(seller, Stake { held, ..stake });
            self.emit(Unstaked { seller, amount, held });
            self.vault.give(Pot::Stakes, seller, amount);
            self.vault.unlock();
        }

        fn publish_epoch(ref self: ContractState, number: u64, root: u256) {
            self.vault.lock();
            let seller = get_caller_address();
            assert(root.is_non_zero(), 'epoch: root is zero');
            assert(number < 0x4000000000000000, 'epoch: out of bounds');
            // Never overwritten: a second root would let the seller choose between two logs.
            assert(number >= self.next_epochs.read(seller), 'epoch: not above the last');
            self.epoch_roots.write((seller, number), root);
            self.next_epochs.write(seller, number + 1);
            self.emit(EpochPublished { seller, number, root });
            self.vault.unlock();
        }

        fn create_listing(
            ref self: ContractState,
            provider: felt252,
            tier: u8,
            price: u256,
            quantity: u64,
            expires: u64,
            signing_key: felt252,
        ) -> u64 {
            self.vault.lock();
            let (seller, state) = (get_caller_address(), listing_rules::CREATED);
            let made = Listing { seller, provider, tier, price, quantity, sold: 0, expires, signing_key, state };
            made.check(get_block_timestamp());
            let id = self.last_listing.read() + 1;
            self.last_listing.write(id);
            self.write_listing(id, made);
            self.vault.unlock();
            id
        }

        fn activate_listing(ref self: ContractState, listing: u64) {
            self.move_listing(listing, listing_event::ACTIVATE, 0);
        }

        fn update_listing(ref self: ContractState, listing: u64, quantity: u64) {
            self.move_listing(listing, listing_event::UPDATE, quantity);
        }

        fn cancel_listing(ref self: ContractState, listing: u64) {
            self.move_listing(listing, listing_event::CANCEL, 0);
        }

        fn expire_listing(ref self: ContractState, listing: u64) {
            self.move_listing(listing, listing_event::EXPIRE, 0);
        }

        fn ban_listing(ref self: ContractState, listing: u64) {
            self.move_listing(listing, listing_event::BAN, 0);
        }
    }

    #[abi(embed_v0)]
    impl Purchases of IPurchases<ContractState> {
        fn offer(
            ref self: ContractState, listing: u64, quantity: u64, epoch: u64, snapshot: u64, buyer_key: felt252,
        ) -> u64 {
            self.vault.lock();
            let (buyer, now) = (get_caller_address(), get_block_timestamp());
            let from = self.listing(listing);
            let (seller, setting) = (from.seller, self.setting.read());
            assert(buyer != seller, 'buyer: the seller itself');
            for party in [buyer, seller].span() {
                // Nobody is judge in its own case.
                assert(*party != setting.judge && *party != setting.court, 'buyer, seller: is a judge');
            }
            assert(buyer_key.is_non_zero(), 'buyer_key: zero');
            assert(epoch >= self.next_epochs.read(seller), 'epoch: closed already');
            let _ = from.step(listing_event::SELL, dealer::MARKET, now, self.stakes.read(seller), quantity);
            let snapshot_root = if snapshot == 0 {
                0
            } else {
                IRegistryDispatcher { contract_address: setting.registry }.snapshot(seller, snapshot).root
            };
            let id = self.last_purchase.read() + 1;
            let made = Purchase {
                listing,
                buyer,
                seller,
                price: price_of(from.price, quantity, from.tier),
                quantity,
                tier: from.tier,
                epoch,
                snapshot_root,
                seller_key: from.signing_key,
                buyer_key,
                deadline: PurchaseTrait::offered_until(now),
                state: FIRST,
                delivered: false,
                refund_bps: 0,
                in_default: false,
                dispute: 0,
            };
            self.last_purchase.write(id);
            let agreement = agreement_of(id, buyer, seller);
            self.emit(PurchaseOffered { purchase: id, buyer, seller, listing, price: made.price, agreement });
            self.write_purchase(id, made);
            self.vault.unlock();
            id
        }

        fn pay(ref self: ContractState, purchase: u64, amount: u256) {
            self.vault.lock();
            let (now, found) = (get_block_timestamp(), self.purchase(purchase));
            let by = trader_of(@found, get_caller_address());
            let after = found.step(purchase_event::ESCROW, by, now, amount, 0, false);
            // An epoch that was closed meanwhile cannot have the requests of this purchase.
            assert(found.epoch >= self.next_epochs.read(found.seller), 'epoch: closed already');
            let listing = self.listing(found.listing);
            let stake = self.stakes.read(found.seller);
            self.write_listing(
                found.listing, listing.step(listing_event::SELL, dealer::MARKET, now, stake, found.quantity),
            );
            self.open_purchases.write(found.seller, self.open_purchases.read(found.seller) + 1);
            self.write_purchase(purchase, after);
            self.vault.take(Pot::Escrow, found.buyer, amount);
            self.vault.unlock();
        }

        fn deliver(ref self: ContractState, purchase: u64, receipt: SlaReceipt) {
            self.vault.lock();
            let found = self.purchase(purchase);
            let by = trader_of(@found, get_caller_address());
            let (_, refund) = self.service_of(purchase, @found, @receipt);
            let after = found.step(purchase_event::DELIVER, by, get_block_timestamp(), 0, refund.total(), true);
            self.write_purchase(purchase, after);
            self.vault.unlock();
        }

        fn concede(ref self: ContractState, purchase: u64) {
            self.vault.lock();
            let found = self.purchase(purchase);
            let by = trader_of(@found, get_caller_address());
            // Nothing has to be proven by who asks for nothing; a claim against it is possible all the same.
            let after = found.step(purchase_event::DELIVER, by, get_block_timestamp(), 0, BPS, true);
            self.write_purchase(purchase, after);
            self.vault.unlock();
        }

        fn accept(ref self: ContractState, purchase: u64) {
            self.vault.lock();
            let found = self.purchase(purchase);
            let by = trader_of(@found, get_caller_address());
            let after = found.step(purchase_event::ACCEPT, by, get_block_timestamp(), 0, 0, false);
            self.settle(purchase, after, false, OFFENCE_TIMEOUT);
            self.vault.unlock();
        }

        fn expire_purchase(ref self: ContractState, purchase: u64) {
            self.vault.lock();
            let found = self.purchase(purchase);
            let after = found.step(purchase_event::EXPIRE, trader::ANYONE, get_block_timestamp(), 0, 0, false);
            if after.state == purchase_rules::CANCELLED {
                self.write_purchase(purchase, after); // never paid
            } else {
                self.settle(purchase, after, after.in_default, OFFENCE_TIMEOUT);
            }
            self.vault.unlock();
        }
    }

    #[abi(embed_v0)]
    impl Disputes of IDisputes<ContractState> {
        fn file(ref self: ContractState, purchase: u64, kind: u8) -> u64 {
            self.vault.lock();
            let (now, found) = (get_block_timestamp(), self.purchase(purchase));
            let by = trader_of(@found, get_caller_address());
            let after = found.step(purchase_event::DISPUTE, by, now, 0, 0, false);
            let id = self.last_dispute.read() + 1;
            self.last_dispute.write(id);
            let amount = bond(found.price);
            self.write_purchase(purchase, Purchase { dispute: id, ..after });
            self.emit(DisputeFiled { dispute: id, purchase, claimant: found.buyer, kind, bond: amount });
            self.write_dispute(id, filed(purchase, found.buyer, found.seller, kind, now));
            self.vault.take(Pot::Bonds, found.buyer, amount);
            self.vault.unlock();
            id
        }

        fn collect(ref self: ContractState, dispute: u64, envelope: Envelope) {
            self.vault.lock();
            let (caller, found) = (get_caller_address(), self.dispute(dispute));
            let (nonce, evidence) = (self.envelopes.read(caller), envelope.evidence);
            envelope.check(dispute, caller, nonce);
            // What others used does not count, else anyone could spoil a claim by using its evidence first.
            let fresh = !self.used.read((caller, evidence));
            let given = Given { evidence, fresh, ..NOTHING };
            self.used.write((caller, evidence), true);
            self.envelopes.write(caller, nonce + 1);
            self.emit(EvidenceStored { dispute, by: caller, evidence, envelope: envelope.hash() });
            self.move_dispute(dispute, found, dispute_event::COLLECT, given);
            self.vault.unlock();
        }

        fn prove_service(ref self: ContractState, dispute: u64, receipt: SlaReceipt) {
            self.vault.lock();
            let found = self.dispute(dispute);
            let (evidence, refund) = self.service_of(found.purchase, @self.purchase(found.purchase), @receipt);
            assert(evidence == found.evidence, 'evidence: another');
            self.prove(dispute, found, refund.of_kind(found.kind).expect('kind: not about the service'));
            self.vault.unlock();
        }

        fn prove_answer(
            ref self: ContractState,
            dispute: u64,
            exchange: Exchange,
            asked: Asked,
            claimed: Span<Row>,
            found: Span<Row>,
        ) {
            self.vault.lock();
            let at = self.dispute(dispute);
            let purchase = self.purchase(at.purchase);
            let told = self.check_told(@at, @purchase, @exchange, @asked, claimed);
            let right = answer_digest(purchase.snapshot_root, @asked, found);
            assert(right != told, 'answer: the claimed one');
            self.require_answer(right);
            self.prove(dispute, at, BPS);
            self.vault.unlock();
        }

        fn prove_double(ref self: ContractState, dispute: u64, first: Exchange, second: Exchange) {
            self.vault.lock();
            let at = self.dispute(dispute);
            assert(at.kind == EVIDENCE_DOUBLE, 'kind: not a double answer');
            let parties = self.parties(at.purchase, @self.purchase(at.purchase));
            let hash = first.check(@parties);
            assert(at.evidence == hash.into(), 'evidence: another');
            assert(hash != second.check(@parties), 'double: the same response');
            assert(first.sequence == second.sequence, 'double: two numbers');
            self.prove(dispute, at, BPS);
            self.vault.unlock();
        }

        fn disprove_service(ref self: ContractState, dispute: u64, receipt: SlaReceipt) {
            self.vault.lock();
            let found = self.dispute(dispute);
            let (_, refund) = self.service_of(found.purchase, @self.purchase(found.purchase), @receipt);
            let bps = refund.of_kind(found.kind).expect('kind: not about the service');
            assert(bps == 0, 'service: a violation');
            self.move_dispute(dispute, found, dispute_event::DISPROVE, Given { proven: true, ..NOTHING });
            self.vault.unlock();
        }

        fn disprove_answer(ref self: ContractState, dispute: u64, exchange: Exchange, asked: Asked, claimed: Span<Row>) {
            self.vault.lock();
            let at = self.dispute(dispute);
            let told = self.check_told(@at, @self.purchase(at.purchase), @exchange, @asked, claimed);
            self.require_answer(told);
            self.move_dispute(dispute, at, dispute_event::DISPROVE, Given { proven: true, ..NOTHING });
            self.vault.unlock();
        }

        fn respond(ref self: ContractState, dispute: u64, evidence: u256) {
            self.vault.lock();
            let found = self.dispute(dispute);
            self.emit(EvidenceStored { dispute, by: get_caller_address(), evidence, envelope: 0 });
            self.move_dispute(dispute, found, dispute_event::RESPOND, NOTHING);
            self.vault.unlock();
        }

        fn rule(ref self: ContractState, dispute: u64, outcome: u8, refund_bps: u64) {
            self.vault.lock();
            let event = if outcome == dispute_rules::VALID {
                dispute_event::RULE_VALID
            } else if outcome == dispute_rules::PARTIAL {
                dispute_event::RULE_PARTIAL
            } else {
                assert(outcome == dispute_rules::INVALID, 'outcome: unknown');
                dispute_event::RULE_INVALID
            };
            self.move_dispute(dispute, self.dispute(dispute), event, Given { refund_bps, ..NOTHING });
            self.vault.unlock();
        }

        fn appeal(ref self: ContractState, dispute: u64) {
            self.vault.lock();
            let found = self.dispute(dispute);
            self.move_dispute(dispute, found, dispute_event::APPEAL, NOTHING);
            let price = self.purchase(found.purchase).price;
            self.vault.take(Pot::Bonds, get_caller_address(), appeal_bond(price));
            self.vault.unlock();
        }

        fn expire_dispute(ref self: ContractState, dispute: u64) {
            self.vault.lock();
            self.move_dispute(dispute, self.dispute(dispute), dispute_event::EXPIRE, NOTHING);
            self.vault.unlock();
        }

        fn execute(ref self: ContractState, dispute: u64) {
            self.vault.lock();
            let found = self.dispute(dispute);
            let after = self.move_dispute(dispute, found, dispute_event::EXECUTE, NOTHING);
            let purchase = self
                .purchase(after.purchase)
                .step(purchase_event::RESOLVE, trader::MARKET, get_block_timestamp(), 0, after.refund_bps, false);
            let offence = *EVIDENCE.span()[after.kind.into()].offence;
            self.settle(after.purchase, purchase, after.state == dispute_rules::SLASHED, offence);
            for bond in bonds(@after, purchase.price) {
                self.emit(BondPaid { dispute, to: bond.to, amount: bond.amount });
                self.vault.give(Pot::Bonds, bond.to, bond.amount);
            }
            self.vault.unlock();
        }
    }

    #[abi(embed_v0)]
    impl Views of IViews<ContractState> {
        fn setting(self: @ContractState) -> Setting {
            self.setting.read()
        }

        fn tokens(self: @ContractState) -> (ContractAddress, ContractAddress) {
            self.vault.tokens()
        }

        fn held(self: @ContractState, pot: Pot) -> u256 {
            self.vault.held(pot)
        }

        fn stake_of(self: @ContractState, seller: ContractAddress) -> Stake {
            self.stakes.read(seller)
        }

        fn open_purchases(self: @ContractState, seller: ContractAddress) -> u64 {
            self.open_purchases.read(seller)
        }

        fn epoch_root(self: @ContractState, seller: ContractAddress, number: u64) -> u256 {
            self.epoch_roots.read((seller, number))
        }

        fn next_epoch(self: @ContractState, seller: ContractAddress) -> u64 {
            self.next_epochs.read(seller)
        }

        fn listing(self: @ContractState, id: u64) -> Listing {
            let found = self.listings.read(id);
            assert(found.seller.is_non_zero(), 'listing: there is none');
            found
        }

        fn purchase(self: @ContractState, id: u64) -> Purchase {
            let found = self.purchases.read(id);
            assert(found.seller.is_non_zero(), 'purchase: there is none');
            found
        }

        fn dispute(self: @ContractState, id: u64) -> Dispute {
            let found = self.disputes.read(id);
            assert(found.claimant.is_non_zero(), 'dispute: there is none');
            found
        }

        fn agreement(self: @ContractState, purchase: u64) -> felt252 {
            let found = self.purchase(purchase);
            agreement_of(purchase, found.buyer, found.seller)
        }

        fn envelopes(self: @ContractState, beneficiary: ContractAddress) -> u64 {
            self.envelopes.read(beneficiary)
        }

        fn is_used(self: @ContractState, by: ContractAddress, evidence: u256) -> bool {
            self.used.read((by, evidence))
        }
    }

    #[generate_trait]
    impl Changes of ChangesTrait {
        fn write_listing(ref self: ContractState, id: u64, value: Listing) {
            self.listings.write(id, value);
            let Listing { seller, state, quantity, sold, .. } = value;
            self.emit(ListingChanged { listing: id, seller, state, quantity, sold });
        }

        fn write_purchase(ref self: ContractState, id: u64, value: Purchase) {
            self.purchases.write(id, value);
            let Purchase { state, delivered, refund_bps, deadline, .. } = value;
            self.emit(PurchaseChanged { purchase: id, state, delivered, refund_bps, deadline });
        }

        fn write_dispute(ref self: ContractState, id: u64, value: Dispute) {
            self.disputes.write(id, value);
            let Dispute { state, level, owes, decided_by, refund_bps, deadline, .. } = value;
            self.emit(DisputeChanged { dispute: id, state, level, owes, decided_by, refund_bps, deadline });
        }

        fn move_listing(ref self: ContractState, id: u64, event: u8, quantity: u64) {
            self.vault.lock();
            let found = self.listing(id);
            let by = if get_caller_address() == found.seller {
                dealer::SELLER
            } else {
                dealer::ANYONE
            };
            let stake = self.stakes.read(found.seller);
            self.write_listing(id, found.step(event, by, get_block_timestamp(), stake, quantity));
            self.vault.unlock();
        }

        fn move_dispute(ref self: ContractState, id: u64, found: Dispute, event: u8, given: Given) -> Dispute {
            let after = found.step(event, self.party_of(@found), get_block_timestamp(), given);
            self.write_dispute(id, after);
            after
        }

        fn prove(ref self: ContractState, id: u64, found: Dispute, refund_bps: u64) {
            self.move_dispute(id, found, dispute_event::PROVE, Given { proven: true, refund_bps, ..NOTHING });
        }

        /// Pays out a purchase that is over, and slashes the seller if it `failed`.
        fn settle(ref self: ContractState, id: u64, purchase: Purchase, failed: bool, offence: u8) {
            let seller = purchase.seller;
            self.write_purchase(id, purchase);
            self.open_purchases.write(seller, self.open_purchases.read(seller) - 1);
            let stake = self.stakes.read(seller);
            // Where another dispute has banned it meanwhile, the buyer does not wait for a penalty that cannot be.
            let mut lost = 0;
            if failed && !stake.banned {
                let (after, amount) = slash(stake);
                lost = amount;
                self.stakes.write(seller, after);
                let Stake { held, offences, banned, .. } = after;
                self.emit(Slashed { seller, purchase: id, offence, amount, held, offences, banned });
            }
            let (refunded, paid) = split(purchase.price, purchase.refund_bps);
            self.emit(Settled { purchase: id, refunded, paid });
            self.vault.give(Pot::Escrow, purchase.buyer, refunded);
            self.vault.give(Pot::Escrow, seller, paid);
            // Not to the claimant: a seller about to be caught could save its stake by a dispute with itself.
            self.vault.give(Pot::Stakes, self.setting.read().treasury, lost);
        }
    }

    #[generate_trait]
    impl Checks of ChecksTrait {
        /// The caller's part in a dispute.
        fn party_of(self: @ContractState, dispute: @Dispute) -> u8 {
            let (caller, setting) = (get_caller_address(), self.setting.read());
            if caller == *dispute.claimant {
                party::CLAIMANT
            } else if caller == *dispute.respondent {
                party::RESPONDENT
            } else if caller == setting.judge && *dispute.owes == party::JUDGE {
                party::JUDGE
            } else if caller == setting.court && *dispute.owes == party::VOTE {
                party::VOTE
            } else {
                party::ANYONE
            }
        }

        /// The evidence that a receipt is, and what it refunds. Panics unless all of it are facts about this purchase.
        fn service_of(self: @ContractState, id: u64, purchase: @Purchase, receipt: @SlaReceipt) -> (u256, Refund) {
            let (seller, epoch) = (*purchase.seller, *purchase.epoch);
            let epoch_root = self.epoch_roots.read((seller, epoch));
            assert(epoch_root.is_non_zero(), 'epoch: not published');
            let subject = Subject {
                seller: seller.into(),
                buyer: (*purchase.buyer).into(),
                agreement: agreement_of(id, *purchase.buyer, seller),
                epoch,
                epoch_root,
                tier: *purchase.tier,
            };
            let setting = self.setting.read();
            let facts = IFactsDispatcher { contract_address: setting.sla_facts };
            let digests = receipt.digests(@subject);
            let more = surcharge(digests.len());
            for digest in digests {
                let held = facts.is_fact(*digest, setting.min_conjectured + more, setting.min_proven + more);
                assert(held, 'service: not a fact');
            }
            (evidence_of(digests), receipt.refund(*purchase.tier))
        }

        /// The digest of the answer in the evidence. Panics unless the seller signed it, about the purchase's snapshot.
        fn check_told(
            self: @ContractState,
            dispute: @Dispute,
            purchase: @Purchase,
            exchange: @Exchange,
            asked: @Asked,
            claimed: Span<Row>,
        ) -> u256 {
            assert(*dispute.kind == EVIDENCE_WRONG_ANSWER, 'kind: not a wrong answer');
            assert(purchase.snapshot_root.is_non_zero(), 'purchase: has no snapshot');
            let hash = exchange.check(@self.parties(*dispute.purchase, purchase));
            assert(*dispute.evidence == hash.into(), 'evidence: another');
            assert(exchange.is_ok(), 'response: no answer');
            let told = answer_digest(*purchase.snapshot_root, asked, claimed);
            assert(*exchange.output == told, 'answer: not what was signed');
            told
        }

        fn require_answer(self: @ContractState, digest: u256) {
            let setting = self.setting.read();
            let facts = IFactsDispatcher { contract_address: setting.answer_facts };
            assert(facts.is_fact(digest, setting.min_conjectured, setting.min_proven), 'answer: not a fact');
        }

        fn parties(self: @ContractState, id: u64, purchase: @Purchase) -> Parties {
            Parties {
                agreement: agreement_of(id, *purchase.buyer, *purchase.seller),
                epoch: *purchase.epoch,
                buyer: (*purchase.buyer).into(),
                seller: (*purchase.seller).into(),
                seller_key: *purchase.seller_key,
            }
        }
    }

    /// The caller's part in a purchase.
    fn trader_of(purchase: @Purchase, caller: ContractAddress) -> u8 {
        if caller == *purchase.buyer {
            trader::BUYER
        } else if caller == *purchase.seller {
            trader::SELLER
        } else {
            trader::ANYONE
        }
    }
}
