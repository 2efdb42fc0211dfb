//! Signatures: how they are made from a key in place, and whose they are.
//!
//! Only the one form that nodes accept is known: low s (EIP-2) and a y parity of 0 or 1.

use std::sync::OnceLock;

use alloy_primitives::{Address, B256, U256, keccak256, uint};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use zeroize::Zeroize;

use crate::convert::{Address20, Word};
use crate::errors::Fault;
use crate::wire::password::random;

/// Half of the curve's order: above it a signature is malleable (EIP-2).
pub const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// r, s and the parity of y.
#[derive(Clone, Copy)]
pub struct RawSignature {
    pub r: [u8; 32],
    pub s: [u8; 32],
    pub y_parity: u8,
}

/// The curve's context, blinded once with fresh randomness.
pub fn curve() -> &'static Secp256k1<All> {
    static CURVE: OnceLock<Secp256k1<All>> = OnceLock::new();
    CURVE.get_or_init(|| {
        let mut curve = Secp256k1::new();
        let mut seed = [0u8; 32];
        // Blinding hardens against side channels; without fresh randomness the context still signs correctly.
        if random(&mut seed).is_ok() {
            curve.seeded_randomize(&seed);
        }
        seed.zeroize();
        curve
    })
}

/// The address whose key made `signature` over `digest`.
pub fn recover_address(digest: B256, signature: &RawSignature) -> Result<Address, Fault> {
    let refused = |what: &str| {
        Fault::signature(
            what,
            "signature",
            "give r, s and the y parity (0 or 1; v less 27) of one low-s secp256k1 signature",
        )
    };
    if signature.y_parity > 1 {
        // 2 and 3 name a point whose x is r plus the order: no chain takes them.
        return Err(refused("the y parity is neither 0 nor 1"));
    }
    if U256::from_be_bytes(signature.s) > HALF_ORDER {
        return Err(refused("s is in the upper half (EIP-2)"));
    }
    let mut compact = [0u8; 64];
    compact[..32].copy_from_slice(&signature.r);
    compact[32..].copy_from_slice(&signature.s);
    let id = RecoveryId::try_from(i32::from(signature.y_parity))
        .map_err(|_| refused("the y parity is neither 0 nor 1"))?;
    let recoverable = RecoverableSignature::from_compact(&compact, id)
        .map_err(|_| refused("r or s is out of range"))?;
    let public = curve()
        .recover_ecdsa(Message::from_digest(digest.0), &recoverable)
        .map_err(|_| refused("no key recovers from it"))?;
    Ok(address_of(&public))
}

/// Of an uncompressed public key.
pub fn address_of(public: &PublicKey) -> Address {
    Address::from_raw_public_key(&public.serialize_uncompressed()[1..])
}

/// Signs with the key where it lies.
pub fn sign(digest: B256, key: &SecretKey) -> RawSignature {
    let signed = curve().sign_ecdsa_recoverable(Message::from_digest(digest.0), key);
    let (id, compact) = signed.serialize_compact();
    let mut signature = RawSignature {
        r: [0; 32],
        s: [0; 32],
        y_parity: u8::from(i32::from(id) & 1 == 1),
    };
    signature.r.copy_from_slice(&compact[..32]);
    signature.s.copy_from_slice(&compact[32..]);
    signature
}

/// The address whose key signed `digest`; `signature` is r, s and y parity (0 or 1), 65 bytes.
#[pyfunction]
pub fn recover(digest: Word, signature: &Bound<'_, PyBytes>) -> Result<Address20, Fault> {
    let raw: &[u8; 65] = signature.as_bytes().try_into().map_err(|_| {
        Fault::signature(
            format!(
                "a signature has 65 bytes, this has {}",
                signature.as_bytes().len()
            ),
            "signature",
            "give r, s and the y parity",
        )
    })?;
    let mut parts = RawSignature {
        r: [0; 32],
        s: [0; 32],
        y_parity: raw[64],
    };
    parts.r.copy_from_slice(&raw[..32]);
    parts.s.copy_from_slice(&raw[32..64]);
    recover_address(digest.0, &parts).map(Address20)
}

/// Keccak of a message, for the bench's bare loop.
pub fn hash_and_sign(message: &[u8], key: &SecretKey) -> RawSignature {
    sign(keccak256(message), key)
}
