//! Private keys as handles.
//!
//! Flow: a key is generated or decrypted straight into its own page of memory, locked (best effort) and kept out of
//! core dumps; libsecp256k1 reads it there; it is wiped on `wipe()` and when the handle goes.
//! Assumption: an attacker who reads this process's memory while it runs has won anyway; what is defended is swap,
//! dumps, logs, pickles, copies and tracebacks.
//! Absent on purpose: any way to get the key as Python bytes.

use std::ptr::NonNull;
use std::sync::RwLock;

use alloy_primitives::Address;
use pyo3::prelude::*;
use secp256k1::SecretKey;
use zeroize::Zeroize;

use crate::convert::{Address20, Data, Word};
use crate::errors::Fault;
use crate::wire::keystore::{self, ScryptCost, Secret};
use crate::wire::password::{Password, random};
use crate::wire::signature::{address_of, curve, sign};
use crate::wire::transaction::{DynamicFee, SignedTransaction};

/// Most transactions in one signing call.
const BATCH_MAX: usize = 10_000;
/// One page that holds one key.
struct KeyPage {
    page: NonNull<SecretKey>,
    size: usize,
    locked: bool,
}

// SAFETY: the page is owned by exactly one `KeyPage`, written before it is shared and then only read, until `drop`.
unsafe impl Send for KeyPage {}
// SAFETY: as above; shared access is read-only.
unsafe impl Sync for KeyPage {}

impl KeyPage {
    /// Moves `secret` into a page of its own; the source is wiped when its owner drops it.
    fn new(secret: &Secret) -> Result<Self, Fault> {
        let mut key = SecretKey::from_byte_array(**secret).map_err(|_| {
            Fault::keystore(
                "the private key is zero or above the curve's order",
                "keystore",
                "restore the file from its backup",
            )
        })?;
        // SAFETY: plain libc calls with checked results; the fresh anonymous mapping is page-aligned and at least
        // one page long, which fits a `SecretKey`, and nothing else refers to it.
        let page = unsafe {
            let size = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
            let raw = libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            let page = (raw != libc::MAP_FAILED)
                .then(|| NonNull::new(raw.cast::<SecretKey>()))
                .flatten();
            page.map(|page| {
                let locked = libc::mlock(raw, size) == 0;
                libc::madvise(raw, size, libc::MADV_DONTDUMP);
                page.as_ptr().write(key);
                Self { page, size, locked }
            })
        };
        key.non_secure_erase();
        page.ok_or_else(|| {
            Fault::keystore("no memory page for the key", "mmap", "free some memory")
        })
    }

    fn key(&self) -> &SecretKey {
        // SAFETY: the page holds a valid key for as long as `self` lives.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for KeyPage {
    fn drop(&mut self) {
        let raw = self.page.as_ptr().cast::<u8>();
        // SAFETY: the page is ours, `size` long, and no reference to it outlives `self`.
        unsafe {
            std::slice::from_raw_parts_mut(raw, size_of::<SecretKey>()).zeroize();
            libc::munlock(raw.cast(), self.size);
            libc::munmap(raw.cast(), self.size);
        }
    }
}

/// A private key in locked native memory.
#[pyclass(frozen, module = "seawall._native")]
pub struct LocalKey {
    address: Address,
    locked: bool,
    page: RwLock<Option<KeyPage>>,
}

impl LocalKey {
    pub fn hold(secret: &Secret) -> Result<Self, Fault> {
        let page = KeyPage::new(secret)?;
        let address = address_of(&page.key().public_key(curve()));
        Ok(Self {
            address,
            locked: page.locked,
            page: RwLock::new(Some(page)),
        })
    }

    fn with_key<T>(&self, work: impl FnOnce(&SecretKey) -> T) -> Result<T, Fault> {
        let wiped = || {
            Fault::signature(
                "the key was wiped",
                self.address.to_checksum(None),
                "open its keystore again",
            )
        };
        let held = self.page.read().map_err(|_| wiped())?;
        held.as_ref().map(|page| work(page.key())).ok_or_else(wiped)
    }

    fn seal(&self, transactions: &[DynamicFee]) -> Result<Vec<SignedTransaction>, Fault> {
        self.with_key(|key| {
            let sealed = transactions.iter().map(|fields| {
                let (raw, hash) = fields.seal(|digest| sign(digest, key));
                SignedTransaction {
                    raw: Data(raw),
                    hash: Word(hash),
                }
            });
            sealed.collect()
        })
    }
}

fn require_few(count: usize, place: &'static str) -> Result<(), Fault> {
    if count <= BATCH_MAX {
        return Ok(());
    }
    Err(Fault::encoding(
        format!("{count} transactions in one batch"),
        place,
        format!("sign at most {BATCH_MAX} at a time"),
    ))
}

/// Encodes, signs and hashes what each of several keys is to sign, in order, and lets the GIL go once for all of it.
#[pyfunction]
pub fn sign_together(
    py: Python<'_>,
    batches: Vec<(Py<LocalKey>, Vec<DynamicFee>)>,
) -> Result<Vec<Vec<SignedTransaction>>, Fault> {
    require_few(
        batches.iter().map(|(_, batch)| batch.len()).sum(),
        "sign_together",
    )?;
    py.detach(|| {
        batches
            .iter()
            .map(|(key, batch)| key.get().seal(batch))
            .collect()
    })
}

#[pymethods]
impl LocalKey {
    /// A fresh key from the system's generator.
    #[staticmethod]
    fn generate() -> Result<Self, Fault> {
        let mut secret = Secret::default();
        random(secret.as_mut())?;
        // One draw in 2^128 is no valid key, and is refused like any other.
        Self::hold(&secret)
    }

    /// Decrypts a version 3 keystore, without the GIL.
    #[staticmethod]
    fn from_keystore(
        py: Python<'_>,
        keystore_json: &[u8],
        password: &Bound<'_, Password>,
    ) -> Result<Self, Fault> {
        let password = password.get();
        py.detach(|| {
            let (secret, named) = keystore::open(keystore_json, password.bytes())?;
            let key = Self::hold(&secret)?;
            match named {
                Some(address) if address != key.address => Err(Fault::keystore(
                    "the keystore names another address than its key has",
                    "keystore",
                    "restore the file from its backup",
                )),
                _ => Ok(key),
            }
        })
    }

    /// Encrypts this key as a version 3 keystore with scrypt, without the GIL.
    #[pyo3(signature = (password, *, n = 1 << 18, r = 8, p = 1))]
    fn to_keystore(
        &self,
        py: Python<'_>,
        password: &Bound<'_, Password>,
        n: u64,
        r: u32,
        p: u32,
    ) -> Result<String, Fault> {
        let password = password.get();
        py.detach(|| {
            let cost = ScryptCost { n, r, p };
            self.with_key(|key| {
                let secret = Secret::new(key.secret_bytes());
                keystore::seal(&secret, self.address, password.bytes(), cost)
            })?
        })
    }

    #[getter]
    fn address(&self) -> Address20 {
        Address20(self.address)
    }

    /// Whether the key's page is locked in memory (RLIMIT_MEMLOCK allowed it).
    #[getter]
    fn locked(&self) -> bool {
        self.locked
    }

    /// Whether `wipe` was called.
    #[getter]
    fn wiped(&self) -> bool {
        self.page.read().map_or(true, |held| held.is_none())
    }

    /// Signs a 32-byte digest: r, s and y parity (0 or 1), 65 bytes.
    fn sign_digest(&self, py: Python<'_>, digest: Word) -> Result<Data, Fault> {
        let signature = py.detach(|| self.with_key(|key| sign(digest.0, key)))?;
        let mut out = Vec::with_capacity(65);
        out.extend_from_slice(&signature.r);
        out.extend_from_slice(&signature.s);
        out.push(signature.y_parity);
        Ok(Data(out.into()))
    }

    /// Encodes, signs and hashes a batch, without the GIL, in order.
    fn sign_transactions(
        &self,
        py: Python<'_>,
        transactions: Vec<DynamicFee>,
    ) -> Result<Vec<SignedTransaction>, Fault> {
        require_few(transactions.len(), "sign_transactions")?;
        py.detach(|| self.seal(&transactions))
    }

    /// Overwrites the key; every later use is refused.
    fn wipe(&self) {
        if let Ok(mut held) = self.page.write() {
            held.take();
        }
    }

    fn __repr__(&self) -> String {
        format!("LocalKey({})", self.address.to_checksum(None))
    }

    fn __reduce__(&self) -> Result<(), Fault> {
        Err(Fault::signature(
            "a key can be neither copied nor pickled",
            self.address.to_checksum(None),
            "open its keystore where it is needed",
        ))
    }

    fn __copy__(&self) -> Result<(), Fault> {
        self.__reduce__()
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Result<(), Fault> {
        self.__reduce__()
    }
}
