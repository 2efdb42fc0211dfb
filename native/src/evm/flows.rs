//! Token flows and allowance changes of one transaction.
//!
//! Native moves come from revm's journal, so that values of internal calls count and reverted ones do not. ERC-20
//! moves come from `Transfer` logs with three topics. A wrapped-native token's `Deposit` and `Withdrawal` are flows of
//! that token, from and to the zero address, if a native move of the same amount to or from it stands beside them
//! (a contract that only names its event so is no token), and if no `Transfer` tells the same story.
//! Assumption: a token that lies in its logs lies here too; balances are for probes. Fees are not flows.

use alloy_primitives::{Address, B256, Log, U256, address, b256};

/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// `Approval(address,address,uint256)`.
const APPROVAL: B256 = b256!("8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925");
/// `Deposit(address,uint256)`.
const DEPOSIT: B256 = b256!("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c");
/// `Withdrawal(address,uint256)`.
const WITHDRAWAL: B256 = b256!("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65");
/// EIP-7708 logs of native transfers come from here; the journal has told them already.
const SYSTEM: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

/// Native currency that moved between two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeMove {
    pub from: Address,
    pub to: Address,
    pub amount: U256,
}

/// One movement. `token` of `None` is the native currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub token: Option<Address>,
    pub from: Address,
    pub to: Address,
    pub amount: U256,
    /// Position of its log in the transaction; native moves have none.
    pub log_index: Option<u32>,
}

/// One allowance as it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub token: Address,
    pub owner: Address,
    pub spender: Address,
    pub amount: U256,
    pub log_index: u32,
}

/// Flows (native first, then by log) and allowances of a transaction.
pub fn flows_of(logs: &[Log], moves: &[NativeMove]) -> (Vec<Flow>, Vec<Allowance>) {
    let mut flows: Vec<Flow> = moves
        .iter()
        .map(|native| Flow {
            token: None,
            from: native.from,
            to: native.to,
            amount: native.amount,
            log_index: None,
        })
        .collect();
    let mut allowances = Vec::new();
    for (position, log) in logs.iter().enumerate() {
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        let topics = log.topics();
        let Some((&kind, data)) = topics.first().zip(one_word(log)) else {
            continue;
        };
        let token = log.address;
        if kind == TRANSFER && topics.len() == 3 && token != SYSTEM {
            flows.push(Flow {
                token: Some(token),
                from: Address::from_word(topics[1]),
                to: Address::from_word(topics[2]),
                amount: data,
                log_index: Some(index),
            });
        } else if kind == APPROVAL && topics.len() == 3 {
            allowances.push(Allowance {
                token,
                owner: Address::from_word(topics[1]),
                spender: Address::from_word(topics[2]),
                amount: data,
                log_index: index,
            });
        } else if topics.len() == 2 && (kind == DEPOSIT || kind == WITHDRAWAL) {
            let holder = Address::from_word(topics[1]);
            let (from, to) = if kind == DEPOSIT {
                (Address::ZERO, holder)
            } else {
                (holder, Address::ZERO)
            };
            if wraps(token, kind == DEPOSIT, data, moves)
                && !told_by_transfer(logs, token, from, to, data)
            {
                flows.push(Flow {
                    token: Some(token),
                    from,
                    to,
                    amount: data,
                    log_index: Some(index),
                });
            }
        }
    }
    (flows, allowances)
}

fn one_word(log: &Log) -> Option<U256> {
    let raw: &[u8; 32] = log.data.data.as_ref().try_into().ok()?;
    Some(U256::from_be_bytes(*raw))
}

fn wraps(token: Address, deposit: bool, amount: U256, moves: &[NativeMove]) -> bool {
    amount.is_zero()
        || moves.iter().any(|native| {
            native.amount == amount && token == if deposit { native.to } else { native.from }
        })
}

fn told_by_transfer(
    logs: &[Log],
    token: Address,
    from: Address,
    to: Address,
    amount: U256,
) -> bool {
    logs.iter().any(|log| {
        log.address == token
            && log.topics().len() == 3
            && log.topics()[0] == TRANSFER
            && Address::from_word(log.topics()[1]) == from
            && Address::from_word(log.topics()[2]) == to
            && one_word(log) == Some(amount)
    })
}
