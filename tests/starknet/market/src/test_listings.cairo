//! Stakes, epochs and listings.

use octoproof_market::events::{EpochPublished, ListingChanged, Staked};
use octoproof_market::interface::{
    IPurchasesDispatcherTrait, IPurchasesSafeDispatcherTrait, ISellersDispatcherTrait,
    ISellersSafeDispatcherTrait, IViewsDispatcherTrait, IViewsSafeDispatcherTrait,
};
use octoproof_market::market::Market::Event;
use octoproof_market::rules::{MIN_STAKE, Stake, listing as rules};
use octoproof_market::token::IERC20DispatcherTrait;
use octoproof_market::vault::Pot;
use starknet::testing::pop_log;
use crate::world::{EPOCH, FUNDS, NOW, UNIT, WorldTrait, at, buyer, from, market, refused, seller, stranger};

const KEY: felt252 = 1;

#[test]
fn a_stake_comes_and_goes() {
    let world = market();
    from(seller());
    world.sellers.deposit(5);
    assert(pop_log(world.address) == Some(Event::Staked(Staked { seller: seller(), amount: 5, held: 5 })), 'event');
    world.sellers.withdraw(3);
    assert(world.views.stake_of(seller()) == Stake { held: 2, base: 0, lost: 0, offences: 0, banned: false }, 'stake');
    assert(world.views.held(Pot::Stakes) == 2, 'pot');
    assert(world.collateral.balance_of(seller()) == FUNDS - 2, 'balance');
}

#[test]
#[feature("safe_dispatcher")]
fn stakes_that_are_refused() {
    let world = market();
    from(seller());
    refused(world.try_sellers.deposit(0), 'amount: zero');
    refused(world.try_sellers.withdraw(0), 'amount: zero');
    refused(world.try_sellers.withdraw(1), 'stake: holds less');
    refused(world.try_sellers.deposit(0x100000000000000000000000000000000), 'stake: out of bounds');
    let purchase = world.sold();
    from(seller());
    refused(world.try_sellers.withdraw(1), 'stake: purchases are open');
    from(buyer());
    world.purchases.accept(purchase);
    from(seller());
    world.sellers.withdraw(MIN_STAKE);
    assert(world.collateral.balance_of(seller()) == FUNDS, 'all of it');
}

#[test]
#[feature("safe_dispatcher")]
fn epochs_ascend_and_are_never_overwritten() {
    let world = market();
    from(seller());
    world.sellers.publish_epoch(3, 9);
    let told = EpochPublished { seller: seller(), number: 3, root: 9 };
    assert(pop_log(world.address) == Some(Event::EpochPublished(told)), 'event');
    assert(world.views.epoch_root(seller(), 3) == 9 && world.views.next_epoch(seller()) == 4, 'root');
    refused(world.try_sellers.publish_epoch(3, 8), 'epoch: not above the last');
    refused(world.try_sellers.publish_epoch(2, 8), 'epoch: not above the last');
    refused(world.try_sellers.publish_epoch(4, 0), 'epoch: root is zero');
    refused(world.try_sellers.publish_epoch(0x4000000000000000, 1), 'epoch: out of bounds');
    from(stranger());
    world.sellers.publish_epoch(3, 7);
    assert(world.views.epoch_root(seller(), 3) == 9, 'the other one');
}

#[test]
#[feature("safe_dispatcher")]
fn listings_that_cannot_be() {
    let world = market();
    from(seller());
    let trial = world.try_sellers;
    refused(trial.create_listing('nobody', 0, UNIT, 10, NOW + 1, KEY), 'provider: unknown');
    refused(trial.create_listing('other', 4, UNIT, 10, NOW + 1, KEY), 'tier: unknown');
    refused(trial.create_listing('other', 0, 0, 10, NOW + 1, KEY), 'price: out of bounds');
    let large = u256 { low: 0, high: 1 };
    refused(trial.create_listing('other', 0, large, 10, NOW + 1, KEY), 'price: out of bounds');
    refused(trial.create_listing('other', 0, UNIT, 9, NOW + 1, KEY), 'quantity: out of bounds');
    refused(trial.create_listing('other', 0, UNIT, 0x10000000000, NOW + 1, KEY), 'quantity: out of bounds');
    refused(trial.create_listing('other', 0, UNIT, 10, NOW, KEY), 'expires: out of bounds');
    refused(trial.create_listing('other', 0, UNIT, 10, NOW + 1, 0), 'signing_key: zero');
    refused(world.try_views.listing(1), 'listing: there is none');
}

#[test]
#[feature("safe_dispatcher")]
fn a_listing_lives() {
    let world = market();
    from(seller());
    let id = world.sellers.create_listing('openai', 0, UNIT, 20, NOW + 100, KEY);
    let told = ListingChanged { listing: id, seller: seller(), state: rules::CREATED, quantity: 20, sold: 0 };
    assert(pop_log(world.address) == Some(Event::ListingChanged(told)), 'event');
    refused(world.try_sellers.activate_listing(id), 'listing: not allowed'); // nothing is at stake
    world.sellers.deposit(MIN_STAKE - 1);
    refused(world.try_sellers.activate_listing(id), 'listing: not allowed');
    world.sellers.deposit(1);
    from(stranger());
    refused(world.try_sellers.activate_listing(id), 'listing: not allowed');
    refused(world.try_sellers.cancel_listing(id), 'listing: not allowed');
    refused(world.try_sellers.ban_listing(id), 'listing: not allowed');
    from(seller());
    world.sellers.activate_listing(id);
    refused(world.try_sellers.activate_listing(id), 'listing: not allowed');
    refused(world.try_sellers.update_listing(id, 9), 'listing: not allowed');
    world.sellers.update_listing(id, 10);
    at(NOW + 100);
    refused(world.try_sellers.expire_listing(id), 'listing: not allowed'); // the last second belongs to it
    at(NOW + 101);
    refused(world.try_sellers.update_listing(id, 30), 'listing: not allowed');
    from(stranger());
    world.sellers.expire_listing(id);
    assert(world.views.listing(id).state == rules::EXPIRED, 'expired');
    from(seller());
    refused(world.try_sellers.cancel_listing(id), 'listing: not allowed');
}

#[test]
#[feature("safe_dispatcher")]
fn a_listing_sells_out_and_not_more() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    from(buyer());
    refused(world.try_purchases.offer(listing, 1001, EPOCH, 0, KEY), 'listing: not allowed');
    refused(world.try_purchases.offer(listing, 0, EPOCH, 0, KEY), 'listing: not allowed');
    let first = world.purchases.offer(listing, 600, EPOCH, 0, KEY);
    let second = world.purchases.offer(listing, 600, EPOCH, 0, KEY); // offers bind nobody
    let third = world.purchases.offer(listing, 400, EPOCH, 0, KEY);
    world.purchases.pay(first, 1200 * UNIT);
    refused(world.try_purchases.pay(second, 1200 * UNIT), 'listing: not allowed');
    world.purchases.pay(third, 800 * UNIT);
    assert(world.views.listing(listing).state == rules::EXHAUSTED, 'sold out');
    assert(world.views.held(Pot::Escrow) == 2000 * UNIT, 'escrow');
}

#[test]
#[feature("safe_dispatcher")]
fn a_seller_without_its_stake_sells_nothing() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    from(buyer());
    let purchase = world.purchases.offer(listing, 10, EPOCH, 0, KEY);
    from(seller());
    world.sellers.withdraw(1);
    from(buyer());
    refused(world.try_purchases.offer(listing, 10, EPOCH, 0, KEY), 'listing: not allowed');
    refused(world.try_purchases.pay(purchase, 20 * UNIT), 'listing: not allowed');
}
