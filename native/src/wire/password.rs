//! Passwords as handles: read from a file or the environment, or generated, without ever becoming Python text; or
//! taken from a text that a source of secrets had to fetch.
//!
//! Assumption: one trailing line break in a file belongs to the editor, not to the password.
//! The bytes are wiped when the handle goes. Environment variables stay visible to this user's processes; files are
//! better.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::errors::Fault;

/// Longest password [bytes].
const PASSWORD_BYTES_MAX: usize = 1024;
/// Entropy of a generated password [bytes]; written as twice as many hex digits.
const GENERATED_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;

/// A password in native memory.
#[pyclass(frozen, module = "seawall._native")]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn checked(secret: Zeroizing<Vec<u8>>, place: &str) -> Result<Self, Fault> {
        if secret.is_empty() {
            return Err(Fault::keystore(
                "the password is empty",
                place,
                "put the keystore's password there",
            ));
        }
        if secret.len() > PASSWORD_BYTES_MAX {
            return Err(Fault::keystore(
                format!("the password is longer than {PASSWORD_BYTES_MAX} bytes"),
                place,
                "check that this is the password's file",
            ));
        }
        Ok(Self(secret))
    }
}

#[pymethods]
impl Password {
    /// The first line break at the end is not part of the password.
    #[staticmethod]
    fn from_file(path: PathBuf) -> Result<Self, Fault> {
        let place = path.display().to_string();
        let unreadable = |error: std::io::Error| {
            Fault::keystore(
                format!("the password file cannot be read: {error}"),
                place.clone(),
                "check that it exists and belongs to this user",
            )
        };
        let file = OpenOptions::new()
            .read(true)
            .open(&path)
            .map_err(unreadable)?;
        let mut secret = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX + 3));
        file.take(PASSWORD_BYTES_MAX as u64 + 3)
            .read_to_end(&mut secret)
            .map_err(unreadable)?;
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        Self::checked(secret, &place)
    }

    /// From the environment variable `name`.
    #[staticmethod]
    fn from_env(name: &str) -> Result<Self, Fault> {
        use std::os::unix::ffi::OsStringExt;
        let value = std::env::var_os(name).ok_or_else(|| {
            Fault::keystore(
                "the environment variable is not set",
                name,
                "export it, or name a password file",
            )
        })?;
        Self::checked(Zeroizing::new(value.into_vec()), name)
    }

    /// What a source of secrets gave: Python has it in memory already, and may keep it there.
    #[staticmethod]
    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::checked(Zeroizing::new(text.as_bytes().to_vec()), "password")
    }

    /// 256 random bits, as hex digits.
    #[staticmethod]
    fn generate() -> Result<Self, Fault> {
        let mut raw = Zeroizing::new([0u8; GENERATED_BYTES]);
        random(raw.as_mut())?;
        let mut text = Zeroizing::new(vec![0u8; 2 * GENERATED_BYTES]);
        for (pair, byte) in text.chunks_exact_mut(2).zip(raw.iter()) {
            pair[0] = hex_digit(byte >> 4);
            pair[1] = hex_digit(byte & 0x0f);
        }
        Ok(Self(text))
    }

    /// Writes a new file that only its owner can read; an existing file is never overwritten.
    fn write_file(&self, path: PathBuf) -> Result<(), Fault> {
        let unwritable = |error: std::io::Error| {
            Fault::keystore(
                format!("the password file cannot be written: {error}"),
                path.display().to_string(),
                "choose a new file in an existing folder",
            )
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(OWNER_ONLY)
            .open(&path)
            .map_err(unwritable)?;
        file.write_all(&self.0).map_err(unwritable)?;
        file.write_all(b"\n").map_err(unwritable)?;
        file.sync_all().map_err(unwritable)
    }

    fn __repr__(&self) -> &'static str {
        "Password(...)"
    }
}

/// Fills `out` from the system's generator.
pub fn random(out: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(out).map_err(|error| {
        Fault::keystore(
            format!("the system's random generator failed: {error}"),
            "getrandom",
            "try again; do not use this machine for keys if it persists",
        )
    })
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' + nibble - 10
    }
}
