//! Many keys from one master, by BIP-32, hardened at every step.
//!
//! Flow: 32 random bytes are the master's seed, kept in a file of its own kind, encrypted as a keystore is; HMAC-SHA512
//! walks m/44'/60'/deal'/0'/index' from it, and the key at the end is held like any other.
//! Assumption: hardened steps only, so that no derived key, nor any number of them, tells anything of its siblings.
//! Absent on purpose: extended public keys, unhardened steps, mnemonics, and any way to get the seed as bytes.

use hmac::{Hmac, Mac};
use pyo3::prelude::*;
use secp256k1::{Scalar, SecretKey};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

use crate::errors::Fault;
use crate::wire::keys::LocalKey;
use crate::wire::keystore::{self, ScryptCost, Secret};
use crate::wire::password::{Password, random};

const HARDENED: u32 = 1 << 31;
/// Longest path below the master [steps].
const STEPS_MAX: usize = 10;

/// A node of the tree: its key and its chain code.
struct Node {
    key: SecretKey,
    chain_code: Secret,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.key.non_secure_erase();
    }
}

impl Node {
    fn master(seed: &Secret) -> Result<Self, Fault> {
        let left_right = hmac_sha512(b"Bitcoin seed", &[seed.as_ref()]);
        Ok(Self {
            key: SecretKey::from_byte_array(*half(&left_right, 0)).map_err(|_| no_key())?,
            chain_code: half(&left_right, 32),
        })
    }

    /// The hardened child `index` (0 to 2^31 - 1, without the hardened bit).
    fn child(&self, index: u32) -> Result<Self, Fault> {
        let own = Zeroizing::new(self.key.secret_bytes());
        let number = (index | HARDENED).to_be_bytes();
        let left_right = hmac_sha512(self.chain_code.as_ref(), &[&[0], own.as_ref(), &number]);
        let tweak = Scalar::from_be_bytes(*half(&left_right, 0)).map_err(|_| no_key())?;
        Ok(Self {
            key: self.key.add_tweak(&tweak).map_err(|_| no_key())?,
            chain_code: half(&left_right, 32),
        })
    }
}

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) else {
        unreachable!("HMAC refused a key");
    };
    for part in parts {
        mac.update(part);
    }
    let mut digest = mac.finalize().into_bytes();
    let mut out = Zeroizing::new([0u8; 64]);
    out.copy_from_slice(&digest);
    digest.as_mut_slice().zeroize();
    out
}

fn half(whole: &Zeroizing<[u8; 64]>, start: usize) -> Secret {
    let mut out = Secret::default();
    out.copy_from_slice(&whole[start..start + 32]);
    out
}

/// One path in 2^127 leads to no key; BIP-32 says to take the next index.
fn no_key() -> Fault {
    Fault::keystore("this path leads to no key", "path", "take another index")
}

/// A master seed in native memory. It signs nothing.
#[pyclass(frozen, module = "seawall._native")]
pub struct MasterKey(Secret);

#[pymethods]
impl MasterKey {
    /// A fresh seed from the system's generator.
    #[staticmethod]
    fn generate() -> Result<Self, Fault> {
        let mut seed = Secret::default();
        random(seed.as_mut())?;
        Ok(Self(seed))
    }

    /// Decrypts a master file, without the GIL.
    #[staticmethod]
    fn from_file_text(
        py: Python<'_>,
        master_json: &[u8],
        password: &Bound<'_, Password>,
    ) -> Result<Self, Fault> {
        let password = password.get();
        py.detach(|| keystore::open_master(master_json, password.bytes()).map(Self))
    }

    /// Encrypts this seed as a master file with scrypt, without the GIL.
    #[pyo3(signature = (password, *, n = 1 << 18, r = 8, p = 1))]
    fn to_file_text(
        &self,
        py: Python<'_>,
        password: &Bound<'_, Password>,
        n: u64,
        r: u32,
        p: u32,
    ) -> Result<String, Fault> {
        let password = password.get();
        py.detach(|| keystore::seal_master(&self.0, password.bytes(), ScryptCost { n, r, p }))
    }

    /// The key at the end of `path`, each step hardened; steps are given without the hardened bit.
    fn derive(&self, path: Vec<u32>) -> Result<LocalKey, Fault> {
        if path.is_empty() || path.len() > STEPS_MAX || path.iter().any(|step| *step >= HARDENED) {
            return Err(Fault::keystore(
                "this is no path below a master",
                "path",
                format!("give 1 to {STEPS_MAX} steps of 0 to 2147483647"),
            ));
        }
        let mut node = Node::master(&self.0)?;
        for step in path {
            node = node.child(step)?;
        }
        LocalKey::hold(&Secret::new(node.key.secret_bytes()))
    }

    fn __repr__(&self) -> &'static str {
        "MasterKey(...)"
    }

    fn __reduce__(&self) -> Result<(), Fault> {
        Err(Fault::keystore(
            "a master key can be neither copied nor pickled",
            "master",
            "open its file where it is needed",
        ))
    }

    fn __copy__(&self) -> Result<(), Fault> {
        self.__reduce__()
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Result<(), Fault> {
        self.__reduce__()
    }
}
