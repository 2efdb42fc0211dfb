//! Faults: how the core refuses its input.
//!
//! Flow: pure Rust returns `Result<T, Fault>`; at the boundary a fault becomes the Python class of the same meaning
//! (`seawall.native.errors`), with its three sentences: what was wrong, where, and what to do.
//! Assumption: the facade package is importable whenever the core is called, because only it imports the core.
//! Absent on purpose: secrets. No fault ever carries key or password material.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Which leaf of the error tree a fault becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Keystore,
    Encoding,
    Address,
    Signature,
    EvmInput,
}

/// One refusal.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: Kind,
    what: String,
    place: String,
    fix: String,
}

impl Fault {
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        place: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            what: what.into(),
            place: place.into(),
            fix: fix.into(),
        }
    }

    pub fn keystore(
        what: impl Into<String>,
        place: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Keystore, what, place, fix)
    }

    pub fn encoding(
        what: impl Into<String>,
        place: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Encoding, what, place, fix)
    }

    pub fn address(
        what: impl Into<String>,
        place: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Address, what, place, fix)
    }

    pub fn signature(
        what: impl Into<String>,
        place: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Signature, what, place, fix)
    }

    pub fn evm(what: impl Into<String>, place: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Kind::EvmInput, what, place, fix)
    }

    /// The same fault, seen from an outer place ("values[2]" of "transfer(address,uint256)").
    pub fn within(mut self, outer: &str) -> Self {
        self.place = if self.place.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}, {}", self.place)
        };
        self
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        Python::attach(|py| match class_of(py, fault.kind) {
            Ok(class) => Self::from_type(class, (fault.what, fault.place, fault.fix)),
            Err(error) => error,
        })
    }
}

fn class_of(py: Python<'_>, kind: Kind) -> PyResult<Bound<'_, PyType>> {
    static KEYSTORE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static ENCODING: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static ADDRESS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static SIGNATURE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static EVM_INPUT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (cell, name) = match kind {
        Kind::Keystore => (&KEYSTORE, "KeystoreError"),
        Kind::Encoding => (&ENCODING, "EncodingError"),
        Kind::Address => (&ADDRESS, "AddressError"),
        Kind::Signature => (&SIGNATURE, "SignatureError"),
        Kind::EvmInput => (&EVM_INPUT, "EvmInputError"),
    };
    cell.import(py, "seawall.native.errors", name).cloned()
}
