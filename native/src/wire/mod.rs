//! The wire: what a node reads and what a key signs.
//!
//! Flow: ABI values -> calldata -> EIP-1559 fields -> signing digest -> recoverable signature -> raw bytes and hash.
//! Keys and passwords are handles (`keys`, `keystore`); only digests, addresses and signatures cross the boundary.
//! Assumptions: type-2 (EIP-1559) transactions only; ABI types are Solidity's canonical ones.
//! Absent on purpose: nonces, fees and sending are decided elsewhere; nothing here talks to a network.

pub mod abi;
pub mod address;
pub mod answers;
pub mod canonical;
pub mod derivation;
pub mod elsewhere;
pub mod keys;
pub mod keystore;
pub mod merkle;
pub mod multicall;
pub mod password;
pub mod signature;
pub mod transaction;
