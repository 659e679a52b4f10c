//! The token: OpenZeppelin's names, events and errors.

use core::num::traits::Bounded;
use octoproof_market::token::Token::{Approval, Event, Transfer};
use octoproof_market::token::{
    IERC20CamelDispatcher, IERC20CamelDispatcherTrait, IERC20Dispatcher, IERC20DispatcherTrait, IERC20SafeDispatcher,
    IERC20SafeDispatcherTrait,
};
use starknet::testing::pop_log;
use crate::world::{FUNDS, address, buyer, from, refused, seller, stranger, token};

fn made() -> (IERC20Dispatcher, IERC20SafeDispatcher, IERC20CamelDispatcher) {
    let contract_address = token(9, seller());
    from(seller());
    (
        IERC20Dispatcher { contract_address },
        IERC20SafeDispatcher { contract_address },
        IERC20CamelDispatcher { contract_address },
    )
}

#[test]
fn everything_is_made_at_construction() {
    let (token, _, camel) = made();
    assert(token.name() == "Octo work" && token.symbol() == "OCTO-W" && token.decimals() == 18, 'names');
    assert(token.total_supply() == 10 * FUNDS && camel.totalSupply() == 10 * FUNDS, 'supply');
    assert(token.balance_of(seller()) == 10 * FUNDS && camel.balanceOf(seller()) == 10 * FUNDS, 'balance');
    let minted = Transfer { from: address(0), to: seller(), value: 10 * FUNDS };
    assert(pop_log(token.contract_address) == Some(Event::Transfer(minted)), 'event');
}

#[test]
fn moves_and_allowances() {
    let (token, _, camel) = made();
    let _: Option<Event> = pop_log(token.contract_address);
    assert(token.transfer(buyer(), 5), 'true');
    let moved = Transfer { from: seller(), to: buyer(), value: 5 };
    assert(pop_log(token.contract_address) == Some(Event::Transfer(moved)), 'moved');
    assert(token.approve(stranger(), 7), 'true');
    let approved = Approval { owner: seller(), spender: stranger(), value: 7 };
    assert(pop_log(token.contract_address) == Some(Event::Approval(approved)), 'approved');
    from(stranger());
    assert(token.transfer_from(seller(), buyer(), 3) && camel.transferFrom(seller(), buyer(), 1), 'true');
    assert(token.allowance(seller(), stranger()) == 3 && token.balance_of(buyer()) == 9, 'used up');
    from(seller());
    token.approve(stranger(), Bounded::MAX);
    from(stranger());
    token.transfer_from(seller(), buyer(), 3);
    assert(token.allowance(seller(), stranger()) == Bounded::MAX, 'without end');
    token.transfer_from(seller(), seller(), 3);
    assert(token.balance_of(seller()) == 10 * FUNDS - 12, 'to oneself');
}

#[test]
#[feature("safe_dispatcher")]
fn what_it_refuses() {
    let (token, trial, _) = made();
    refused(trial.transfer(address(0), 1), 'ERC20: transfer to 0');
    refused(trial.transfer(buyer(), 10 * FUNDS + 1), 'ERC20: insufficient balance');
    refused(trial.approve(address(0), 1), 'ERC20: approve to 0');
    token.approve(stranger(), 2);
    from(stranger());
    refused(trial.transfer_from(seller(), buyer(), 3), 'ERC20: insufficient allowance');
    refused(trial.transfer_from(buyer(), seller(), 1), 'ERC20: insufficient allowance');
    refused(trial.transfer_from(address(0), seller(), 0), 'ERC20: transfer from 0');
}
