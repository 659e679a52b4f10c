//! Tokens that misbehave, and what a market cannot be made with.

use core::num::traits::Zero;
use octoproof_market::interface::{
    IDisputesDispatcherTrait, IPurchasesDispatcherTrait, IPurchasesSafeDispatcherTrait, ISellersDispatcherTrait,
    ISellersSafeDispatcherTrait, IViewsDispatcherTrait, Setting,
};
use octoproof_market::market::Market;
use octoproof_market::rules::MIN_STAKE;
use octoproof_market::token::IERC20DispatcherTrait;
use octoproof_market::vault::Pot;
use starknet::ContractAddress;
use starknet::syscalls::deploy_syscall;
use crate::doubles::{
    CALLS_BACK, HONEST, HostileToken, IHostileDispatcher, IHostileDispatcherTrait, KEEPS_A_UNIT, SAYS_NO,
};
use crate::world::{
    EPOCH, NOW, UNIT, World, WorldTrait, address, all_good, buyer, court, deploy, from, judge, market, market_on,
    refused, seller, setting, token, treasury,
};

fn hostile() -> (World, IHostileDispatcher) {
    let contract_address = deploy(HostileToken::TEST_CLASS_HASH, 0, array![]);
    (market_on(contract_address, contract_address), IHostileDispatcher { contract_address })
}

#[test]
#[feature("safe_dispatcher")]
fn a_token_that_keeps_a_fee_is_refused() {
    let (world, token) = hostile();
    token.set(KEEPS_A_UNIT, world.address, 0, array![]);
    from(seller());
    refused(world.try_sellers.deposit(5), 'token: not the amount');
    token.set(SAYS_NO, world.address, 0, array![]);
    refused(world.try_sellers.deposit(5), 'token: refused');
    assert(world.views.held(Pot::Stakes) == 0 && world.views.stake_of(seller()).held == 0, 'nothing happened');
}

/// Every call that moves money, with a token that calls back into functions that move money.
#[test]
#[feature("safe_dispatcher")]
fn no_function_is_entered_twice() {
    let (world, token) = hostile();
    let purchase = world.delivered(all_good());
    let calls = array![
        (selector!("withdraw"), array![1, 0]), (selector!("deposit"), array![1, 0]),
        (selector!("accept"), array![purchase.into()]), (selector!("expire_purchase"), array![purchase.into()]),
        (selector!("concede"), array![purchase.into()]), (selector!("pay"), array![purchase.into(), 1, 0]),
        (selector!("file"), array![purchase.into(), 0]), (selector!("execute"), array![1]),
        (selector!("appeal"), array![1]), (selector!("cancel_listing"), array![1]),
        (selector!("publish_epoch"), array![99, 1, 0]), (selector!("expire_dispute"), array![1]),
        (selector!("rule"), array![1, 2, 0]), (selector!("respond"), array![1, 2, 0]),
        (selector!("offer"), array![1, 1, 9, 0, 1]),
    ];
    for (selector, calldata) in calls {
        token.set(CALLS_BACK, world.address, selector, calldata);
        from(seller());
        refused(world.try_sellers.deposit(1), 'market: re-entered');
        from(buyer());
        refused(world.try_purchases.accept(purchase), 'market: re-entered');
    }
    token.set(HONEST, world.address, 0, array![]);
    from(buyer());
    world.purchases.accept(purchase);
    assert(token.balance_of(seller()) == 200 * UNIT, 'paid once');
}

#[test]
fn a_price_of_one_unit_has_a_bond_of_one_unit() {
    let world = market();
    from(seller());
    world.sellers.deposit(MIN_STAKE);
    let listing = world.sellers.create_listing('other', 0, 1, 1000, NOW + 100, 1);
    world.sellers.activate_listing(listing);
    from(buyer());
    let purchase = world.purchases.offer(listing, 1, EPOCH, 0, 1);
    world.purchases.pay(purchase, 1);
    from(seller());
    world.purchases.concede(purchase);
    from(buyer());
    world.disputes.file(purchase, 0);
    assert(world.views.held(Pot::Bonds) == 1, 'bond');
}

#[test]
fn the_pots_are_what_the_market_has() {
    let world = market();
    world.disputed(all_good(), 0);
    let (escrow, bonds) = (world.views.held(Pot::Escrow), world.views.held(Pot::Bonds));
    assert(escrow == 200 * UNIT && bonds == 10 * UNIT, 'pots');
    assert(world.payment.balance_of(world.address) == escrow + bonds, 'payment');
    assert(world.collateral.balance_of(world.address) == world.views.held(Pot::Stakes), 'collateral');
    let (payment, collateral) = world.views.tokens();
    assert(payment == world.payment.contract_address && collateral == world.collateral.contract_address, 'tokens');
}

fn made(payment: ContractAddress, collateral: ContractAddress, setting: Setting) -> Result<(), Array<felt252>> {
    let mut calldata = array![payment.into(), collateral.into()];
    setting.serialize(ref calldata);
    match deploy_syscall(Market::TEST_CLASS_HASH, 1, calldata.span(), false) {
        Ok(_) => Ok(()),
        Err(data) => Err(data),
    }
}

#[test]
fn markets_that_cannot_be() {
    let (payment, collateral) = (token(1, treasury()), token(2, treasury()));
    let (zero, good) = (Zero::zero(), setting(address(5), address(6)));
    assert(made(payment, collateral, good).is_ok(), 'good');
    refused(made(zero, collateral, good), 'token: zero address');
    refused(made(payment, zero, good), 'token: zero address');
    let settings = [
        Setting { sla_facts: zero, ..good }, Setting { answer_facts: zero, ..good }, Setting { registry: zero, ..good },
        Setting { treasury: zero, ..good }, Setting { judge: zero, ..good }, Setting { court: zero, ..good },
    ];
    for bad in settings.span() {
        refused(made(payment, collateral, *bad), 'setting: zero address');
    }
    refused(made(payment, collateral, Setting { min_proven: 0, ..good }), 'setting: no security demanded');
    refused(made(payment, collateral, Setting { min_conjectured: 0, ..good }), 'setting: no security demanded');
    refused(made(payment, collateral, Setting { court: judge(), ..good }), 'setting: judge is the court');
    assert(good.court == court(), 'court');
}
