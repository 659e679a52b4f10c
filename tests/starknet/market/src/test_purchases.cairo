//! Purchases without a dispute: escrow, delivery, acceptance, silence, and the edges of their times.

use octoproof_market::events::{PurchaseChanged, Settled, Slashed};
use octoproof_market::interface::{
    IPurchasesDispatcherTrait, IPurchasesSafeDispatcherTrait, ISellersDispatcherTrait, IViewsDispatcherTrait,
    IViewsSafeDispatcherTrait,
};
use octoproof_market::market::Market::Event;
use octoproof_market::rules::{
    CHALLENGE_S, DELIVERY_S, ESCROW_S, MIN_STAKE, OFFENCE_TIMEOUT, purchase as rules,
};
use octoproof_market::token::IERC20DispatcherTrait;
use octoproof_market::vault::Pot;
use crate::world::{
    EPOCH, NOW, UNIT, WorldTrait, all_good, at, buyer, court, from, judge, late, market, receipt, refused, seller,
    stranger, told, treasury,
};

#[test]
fn what_is_delivered_and_accepted_is_paid() {
    let world = market();
    let purchase = world.delivered(all_good());
    assert(world.views.held(Pot::Escrow) == 200 * UNIT && world.views.open_purchases(seller()) == 1, 'escrow');
    from(buyer());
    world.purchases.accept(purchase);
    assert(world.views.purchase(purchase).state == rules::COMPLETED, 'state');
    assert(world.moved(seller()) == (200 * UNIT, 0) && world.moved(buyer()) == (0, 200 * UNIT), 'paid');
    assert(world.views.held(Pot::Escrow) == 0 && world.views.open_purchases(seller()) == 0, 'closed');
    assert(told(@world, Event::Settled(Settled { purchase, refunded: 0, paid: 200 * UNIT })), 'event');
}

#[test]
fn a_late_service_refunds_a_tenth() { // US-4: 1,180 ms where less than 1,000 were promised
    let world = market();
    let purchase = world.delivered(late());
    from(buyer());
    world.purchases.accept(purchase);
    assert(world.views.purchase(purchase).state == rules::PARTIALLY_REFUNDED, 'state');
    assert(world.moved(seller()) == (180 * UNIT, 0) && world.moved(buyer()) == (0, 180 * UNIT), 'paid');
}

#[test]
fn a_silent_buyer_pays() {
    let world = market();
    let purchase = world.delivered(all_good());
    at(NOW + CHALLENGE_S + 1);
    from(stranger());
    world.purchases.expire_purchase(purchase);
    assert(world.views.purchase(purchase).state == rules::COMPLETED, 'state');
    assert(world.moved(seller()) == (200 * UNIT, 0), 'paid');
}

#[test]
fn a_silent_seller_refunds_and_is_slashed() {
    let world = market();
    let purchase = world.sold();
    at(NOW + DELIVERY_S + 1);
    from(stranger());
    world.purchases.expire_purchase(purchase);
    let found = world.views.purchase(purchase);
    assert(found.state == rules::REFUNDED && found.in_default && found.refund_bps == 10000, 'state');
    assert(world.moved(buyer()) == (0, 0), 'refunded');
    assert(world.views.stake_of(seller()).held == 900 * UNIT, 'slashed');
    assert(world.collateral.balance_of(treasury()) == 10 * crate::world::FUNDS - 3 * crate::world::FUNDS + 100 * UNIT, 'treasury');
    let event = Slashed {
        seller: seller(), purchase, offence: OFFENCE_TIMEOUT, amount: 100 * UNIT, held: 900 * UNIT, offences: 1,
        banned: false,
    };
    assert(told(@world, Event::Slashed(event)), 'event');
}

#[test]
#[feature("safe_dispatcher")]
fn a_seller_may_give_all_back() {
    let world = market();
    let purchase = world.sold();
    from(buyer());
    refused(world.try_purchases.concede(purchase), 'purchase: not allowed');
    from(seller());
    world.purchases.concede(purchase);
    refused(world.try_purchases.concede(purchase), 'purchase: not allowed');
    at(NOW + CHALLENGE_S + 1);
    world.purchases.expire_purchase(purchase);
    assert(world.views.purchase(purchase).state == rules::REFUNDED, 'state');
    assert(world.moved(buyer()) == (0, 0) && world.views.stake_of(seller()).held == MIN_STAKE, 'no offence');
}

#[test]
#[feature("safe_dispatcher")]
fn offers_that_cannot_be() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    let trial = world.try_purchases;
    refused(trial.offer(listing, 10, EPOCH, 0, 1), 'buyer: the seller itself');
    from(judge());
    refused(trial.offer(listing, 10, EPOCH, 0, 1), 'buyer, seller: is a judge');
    from(court());
    refused(trial.offer(listing, 10, EPOCH, 0, 1), 'buyer, seller: is a judge');
    from(buyer());
    refused(trial.offer(9, 10, EPOCH, 0, 1), 'listing: there is none');
    refused(trial.offer(listing, 10, EPOCH, 0, 0), 'buyer_key: zero');
    refused(trial.offer(listing, 10, EPOCH, 3, 1), 'version: not published');
    let early = world.purchases.offer(listing, 10, EPOCH, 0, 1);
    world.close_epoch();
    from(buyer());
    refused(trial.offer(listing, 10, EPOCH, 0, 1), 'epoch: closed already');
    refused(trial.pay(early, 20 * UNIT), 'epoch: closed already');
    refused(world.try_views.purchase(77), 'purchase: there is none');
}

#[test]
#[feature("safe_dispatcher")]
fn the_price_is_paid_in_full_by_the_buyer_in_time() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    from(buyer());
    let purchase = world.purchases.offer(listing, 100, EPOCH, 0, 1);
    refused(world.try_purchases.pay(purchase, 200 * UNIT - 1), 'purchase: not allowed');
    refused(world.try_purchases.pay(purchase, 200 * UNIT + 1), 'purchase: not allowed');
    refused(world.try_purchases.pay(purchase, 0), 'purchase: not allowed');
    from(stranger());
    refused(world.try_purchases.pay(purchase, 200 * UNIT), 'purchase: not allowed');
    from(buyer());
    at(NOW + ESCROW_S);
    refused(world.try_purchases.expire_purchase(purchase), 'purchase: not allowed');
    at(NOW + ESCROW_S + 1);
    refused(world.try_purchases.pay(purchase, 200 * UNIT), 'purchase: not allowed');
    world.purchases.expire_purchase(purchase);
    assert(world.views.purchase(purchase).state == rules::CANCELLED, 'cancelled');
    assert(world.moved(buyer()) == (0, 0) && world.views.open_purchases(seller()) == 0, 'nothing was paid');
    let second = world.purchases.offer(listing, 100, EPOCH, 0, 1);
    at(NOW + 2 * ESCROW_S + 1);
    world.purchases.pay(second, 200 * UNIT); // the last second
    refused(world.try_purchases.pay(second, 200 * UNIT), 'purchase: not allowed'); // not twice
}

#[test]
#[feature("safe_dispatcher")]
fn a_delivery_is_the_sellers_in_time_and_once() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let shown = world.fact(purchase, receipt(all_good()));
    from(buyer());
    refused(world.try_purchases.deliver(purchase, shown), 'purchase: not allowed');
    from(seller());
    at(NOW + DELIVERY_S + 1);
    refused(world.try_purchases.deliver(purchase, shown), 'purchase: not allowed');
    at(NOW + DELIVERY_S);
    refused(world.try_purchases.expire_purchase(purchase), 'purchase: not allowed');
    world.purchases.deliver(purchase, shown);
    refused(world.try_purchases.deliver(purchase, shown), 'purchase: not allowed');
    let deadline = NOW + DELIVERY_S + CHALLENGE_S;
    let (state, delivered, refund_bps) = (rules::ESCROWED, true, 0);
    assert(
        told(@world, Event::PurchaseChanged(PurchaseChanged { purchase, state, delivered, refund_bps, deadline })),
        'event',
    );
}

#[test]
#[feature("safe_dispatcher")]
fn nothing_is_paid_twice() {
    let world = market();
    let purchase = world.delivered(all_good());
    from(buyer());
    world.purchases.accept(purchase);
    at(NOW + 100_000_000);
    let trial = world.try_purchases;
    refused(trial.accept(purchase), 'purchase: not allowed');
    refused(trial.expire_purchase(purchase), 'purchase: not allowed');
    from(seller());
    refused(trial.concede(purchase), 'purchase: not allowed');
    refused(trial.accept(purchase), 'purchase: not allowed');
}

#[test]
fn rounding_leaves_the_dust_with_the_seller() {
    let world = market();
    from(seller());
    world.sellers.deposit(MIN_STAKE);
    let listing = world.sellers.create_listing('other', 2, 5, 1000, NOW + 100, 1);
    world.sellers.activate_listing(listing);
    from(buyer());
    let purchase = world.purchases.offer(listing, 11, EPOCH, 0, 1);
    assert(world.views.purchase(purchase).price == 110, 'price');
    world.purchases.pay(purchase, 110);
    world.close_epoch();
    world.purchases.deliver(purchase, world.fact(purchase, receipt(crate::world::counts(90, 0, 0, [0, 10, 0, 0]))));
    from(buyer());
    world.purchases.accept(purchase); // 5 % of 110 is 5.5
    assert(world.moved(seller()) == (105, 0) && world.moved(buyer()) == (0, 105), 'dust');
}
