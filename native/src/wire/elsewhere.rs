//! Signatures made elsewhere: by a token, a key service, or a signing program.
//!
//! Flow: the payload or digest goes out; r and s come back; here the lower s is taken, the y parity is found by
//! recovering, and the recovered address must be the key's. Only then raw bytes are made.
//! Assumption: whoever signed may be broken or hostile, so nothing of the answer is believed.
//! Absent on purpose: the parity that the signer says. It is found, never taken.

use alloy_primitives::{Address, B256, U256, uint};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{Address20, Data, Word};
use crate::errors::Fault;
use crate::wire::signature::{HALF_ORDER, RawSignature, recover_address};
use crate::wire::transaction::{DynamicFee, SignedTransaction, decode_raw};

const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// r and s of somebody's signature as the one signature of `address` over `digest` that nodes accept.
fn complete(digest: B256, compact: &[u8], address: Address) -> Result<RawSignature, Fault> {
    let refused = |what: String, fix: &str| Fault::signature(what, "signature", fix);
    let (r, s) = compact
        .split_first_chunk::<32>()
        .and_then(|(r, rest)| Some((*r, <[u8; 32]>::try_from(rest).ok()?)))
        .ok_or_else(|| {
            refused(
                format!("r and s have 64 bytes, these have {}", compact.len()),
                "give 32 bytes of each",
            )
        })?;
    let in_range = |value: U256| !value.is_zero() && value < ORDER;
    let high = U256::from_be_bytes(s);
    if !in_range(U256::from_be_bytes(r)) || !in_range(high) {
        return Err(refused(
            "r or s is out of range".to_owned(),
            "look at what signs",
        ));
    }
    let low = if high > HALF_ORDER {
        ORDER - high
    } else {
        high
    };
    let mut found = RawSignature {
        r,
        s: low.to_be_bytes(),
        y_parity: 0,
    };
    for y_parity in [0, 1] {
        found.y_parity = y_parity;
        if recover_address(digest, &found).is_ok_and(|signer| signer == address) {
            return Ok(found);
        }
    }
    Err(refused(
        format!(
            "this is no signature of {} over what was to be signed",
            address.to_checksum(None)
        ),
        "another key signed, or another digest: look at what signs",
    ))
}

/// 65 bytes (r, s, y parity) from 64 (r, s): low s, and the parity by which it recovers to `address`.
#[pyfunction]
pub fn complete_signature(
    digest: Word,
    compact: &Bound<'_, PyBytes>,
    address: Address20,
) -> Result<Data, Fault> {
    Ok(bytes_of(&complete(
        digest.0,
        compact.as_bytes(),
        address.0,
    )?))
}

/// What a signer that hashes for itself is given: the type byte and the unsigned fields.
#[pyfunction]
pub fn signing_payload(transaction: DynamicFee) -> Data {
    Data(transaction.signing_payload())
}

/// The transaction with r and s that somebody else made over its digest, checked as `complete_signature` does.
#[pyfunction]
pub fn seal_transaction(
    transaction: DynamicFee,
    compact: &Bound<'_, PyBytes>,
    address: Address20,
) -> Result<SignedTransaction, Fault> {
    let signature = complete(transaction.signing_digest(), compact.as_bytes(), address.0)?;
    let (raw, hash) = transaction.seal(|_| signature);
    Ok(SignedTransaction {
        raw: Data(raw),
        hash: Word(hash),
    })
}

/// r, s and y parity of one raw signed transaction.
#[pyfunction]
pub fn signature_of(raw: &[u8]) -> Result<Data, Fault> {
    Ok(bytes_of(&decode_raw(raw)?.1))
}

fn bytes_of(signature: &RawSignature) -> Data {
    let mut out = Vec::with_capacity(65);
    out.extend_from_slice(&signature.r);
    out.extend_from_slice(&signature.s);
    out.push(signature.y_parity);
    Data(out.into())
}
