//! Hashing, and addresses as people write them.
//!
//! `parse_address` is strict: an all-lower or all-upper text carries no checksum and is accepted, a mixed-case text
//! must satisfy EIP-55. A wrong one is refused, with the checksum that its bytes would have.

use alloy_primitives::{Address, keccak256 as keccak};
use pyo3::prelude::*;

use crate::convert::{Address20, Data, Word};
use crate::errors::Fault;

/// Keccak-256 of `data`.
#[pyfunction]
pub fn keccak256(data: Data) -> Word {
    Word(keccak(&data.0))
}

/// The EIP-55 text of an address.
#[pyfunction]
pub fn to_checksum(address: Address20) -> String {
    address.0.to_checksum(None)
}

/// The address that `text` names.
#[pyfunction]
pub fn parse_address(text: &str) -> Result<Address20, Fault> {
    let malformed = |what: String| {
        Fault::address(
            what,
            format!("{:?}", text.chars().take(48).collect::<String>()),
            "write 0x and 40 hex digits",
        )
    };
    let Some(digits) = text.strip_prefix("0x") else {
        return Err(malformed("an address starts with 0x".to_owned()));
    };
    if digits.len() != 40 {
        return Err(malformed(format!(
            "an address has 40 hex digits, this has {}",
            digits.chars().count()
        )));
    }
    let mut raw = [0u8; 20];
    alloy_primitives::hex::decode_to_slice(digits, &mut raw)
        .map_err(|_| malformed("an address has hex digits only".to_owned()))?;
    let address = Address::from(raw);
    let upper = digits.bytes().any(|c| c.is_ascii_uppercase());
    let lower = digits.bytes().any(|c| c.is_ascii_lowercase());
    let expected = address.to_checksum(None);
    if upper && lower && expected != text {
        return Err(Fault::address(
            format!("the EIP-55 checksum of {text} is wrong"),
            text,
            format!("if the digits are right, write {expected}"),
        ));
    }
    Ok(Address20(address))
}
