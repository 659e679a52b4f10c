//! What the market tells. States, parties and kinds are the numbers of `rules`.

use starknet::ContractAddress;

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct Staked {
    #[key]
    pub seller: ContractAddress,
    pub amount: u256,
    pub held: u256,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct Unstaked {
    #[key]
    pub seller: ContractAddress,
    pub amount: u256,
    pub held: u256,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct Slashed {
    #[key]
    pub seller: ContractAddress,
    #[key]
    pub purchase: u64,
    pub offence: u8,
    pub amount: u256,
    pub held: u256,
    pub offences: u32,
    pub banned: bool,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct EpochPublished {
    #[key]
    pub seller: ContractAddress,
    #[key]
    pub number: u64,
    pub root: u256,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct ListingChanged {
    #[key]
    pub listing: u64,
    #[key]
    pub seller: ContractAddress,
    pub state: u8,
    pub quantity: u64,
    pub sold: u64,
}

/// `agreement` is what the parties' signed messages name.
#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct PurchaseOffered {
    #[key]
    pub purchase: u64,
    #[key]
    pub buyer: ContractAddress,
    #[key]
    pub seller: ContractAddress,
    pub listing: u64,
    pub price: u256,
    pub agreement: felt252,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct PurchaseChanged {
    #[key]
    pub purchase: u64,
    pub state: u8,
    pub delivered: bool,
    pub refund_bps: u64,
    pub deadline: u64,
}

/// A price that has left escrow: `refunded` and `paid` add up to it.
#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct Settled {
    #[key]
    pub purchase: u64,
    pub refunded: u256,
    pub paid: u256,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct DisputeFiled {
    #[key]
    pub dispute: u64,
    #[key]
    pub purchase: u64,
    #[key]
    pub claimant: ContractAddress,
    pub kind: u8,
    pub bond: u256,
}

/// Of the claimant, in its envelope; of the respondent, with 0.
#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct EvidenceStored {
    #[key]
    pub dispute: u64,
    #[key]
    pub by: ContractAddress,
    pub evidence: u256,
    pub envelope: felt252,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct DisputeChanged {
    #[key]
    pub dispute: u64,
    pub state: u8,
    pub level: u8,
    pub owes: u8,
    pub decided_by: u8,
    pub refund_bps: u64,
    pub deadline: u64,
}

#[derive(Drop, Debug, PartialEq, starknet::Event)]
pub struct BondPaid {
    #[key]
    pub dispute: u64,
    #[key]
    pub to: ContractAddress,
    pub amount: u256,
}
