//! A request and its response, as the seller signed it: SNIP-12 messages of `octoproof/market/messages.py`.

use core::ecdsa::check_ecdsa_signature;
use core::hash::HashStateTrait;
use core::poseidon::PoseidonTrait;
use starknet::get_tx_info;

const DOMAIN_TYPE: felt252 = selector!(
    "\"StarknetDomain\"(\"name\":\"shortstring\",\"version\":\"shortstring\",\"chainId\":\"shortstring\",\"revision\":\"shortstring\")",
);
const REQUEST_TYPE: felt252 = selector!(
    "\"Request\"(\"provider\":\"ContractAddress\",\"agreement\":\"felt\",\"epoch\":\"u128\",\"sequence\":\"u128\",\"previous\":\"felt\",\"input_low\":\"u128\",\"input_high\":\"u128\",\"sent_at\":\"u128\")",
);
const RESPONSE_TYPE: felt252 = selector!(
    "\"Response\"(\"request\":\"felt\",\"received_at\":\"u128\",\"answered_at\":\"u128\",\"status\":\"u128\",\"valid\":\"bool\",\"tokens\":\"u128\",\"output_low\":\"u128\",\"output_high\":\"u128\")",
);

/// Times are ms. The request's provider, agreement and epoch are the purchase's; `r` and `s` sign the response.
///
/// The buyer's signature is not needed: the seller signed a response to exactly this request.
#[derive(Copy, Drop, Debug, Serde)]
pub struct Exchange {
    pub sequence: u64,
    pub previous: felt252,
    pub input: u256,
    pub sent_at: u64,
    pub received_at: u64,
    pub answered_at: u64,
    pub status: u64,
    pub valid: bool,
    pub tokens: u64,
    pub output: u256,
    pub r: felt252,
    pub s: felt252,
}

/// Between whom, and by which key the seller signs.
#[derive(Copy, Drop)]
pub struct Parties {
    pub agreement: felt252,
    pub epoch: u64,
    pub buyer: felt252,
    pub seller: felt252,
    pub seller_key: felt252,
}

#[generate_trait]
pub impl ExchangeImpl of ExchangeTrait {
    /// The hash of the response, which names the exchange. Panics unless the seller signed it.
    fn check(self: @Exchange, parties: @Parties) -> felt252 {
        let hash = self.response_hash(parties);
        assert(check_ecdsa_signature(hash, *parties.seller_key, *self.r, *self.s), 'response: not signed by seller');
        hash
    }

    fn request_hash(self: @Exchange, parties: @Parties) -> felt252 {
        let fields = array![
            REQUEST_TYPE, *parties.seller, *parties.agreement, (*parties.epoch).into(), (*self.sequence).into(),
            *self.previous, (*self.input.low).into(), (*self.input.high).into(), (*self.sent_at).into(),
        ];
        message_hash(fields.span(), *parties.buyer)
    }

    fn response_hash(self: @Exchange, parties: @Parties) -> felt252 {
        let fields = array![
            RESPONSE_TYPE, self.request_hash(parties), (*self.received_at).into(), (*self.answered_at).into(),
            (*self.status).into(), (*self.valid).into(), (*self.tokens).into(), (*self.output.low).into(),
            (*self.output.high).into(),
        ];
        message_hash(fields.span(), *parties.seller)
    }

    /// Whether the seller says that it answered.
    fn is_ok(self: @Exchange) -> bool {
        200 <= *self.status && *self.status < 300
    }
}

/// SNIP-12, revision 1; the domain has the chain that this runs on. Its version "1" is encoded as a number.
fn message_hash(fields: Span<felt252>, signer: felt252) -> felt252 {
    let chain = get_tx_info().unbox().chain_id;
    let domain = poseidon(array![DOMAIN_TYPE, 'Octoproof log', 1, chain, 1].span());
    poseidon(array!['StarkNet Message', domain, signer, poseidon(fields)].span())
}

fn poseidon(felts: Span<felt252>) -> felt252 {
    let mut state = PoseidonTrait::new();
    for felt in felts {
        state = state.update(*felt);
    }
    state.finalize()
}
