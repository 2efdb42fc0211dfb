//! Values at the boundary: addresses, words, amounts and byte strings.
//!
//! Each wrapper converts exactly one Python shape and refuses every other with a typed fault: an address is `bytes`
//! of 20, a word `bytes` of 32, an amount a non-negative `int` below 2^256, a count a non-negative `int` below 2^64.
//! `bool` is not an `int` here. Nothing is padded, truncated or rounded.

use alloy_primitives::{Address, B256, Bytes, U256};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyInt};
use std::convert::Infallible;

use crate::errors::Fault;

/// An address: `bytes` of 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address20(pub Address);

/// A hash or storage word: `bytes` of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub B256);

/// An amount: `int`, 0 <= x < 2^256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub U256);

/// A count, a nonce, a gas limit: `int`, 0 <= x < 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

/// A price per gas: `int`, 0 <= x < 2^128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(pub u128);

/// Any `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(pub Bytes);

impl Word {
    /// The word as a storage key or value.
    pub fn number(self) -> U256 {
        U256::from_be_bytes(self.0.0)
    }
}

impl From<U256> for Word {
    fn from(value: U256) -> Self {
        Self(B256::from(value))
    }
}

fn type_name(obj: Borrowed<'_, '_, PyAny>) -> String {
    obj.get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

fn fixed<const N: usize>(obj: Borrowed<'_, '_, PyAny>) -> Result<[u8; N], String> {
    let Ok(raw) = obj.cast::<PyBytes>() else {
        return Err(format!("expected bytes of {N}, got {}", type_name(obj)));
    };
    let raw = raw.as_bytes();
    raw.try_into()
        .map_err(|_| format!("expected bytes of {N}, got {} bytes", raw.len()))
}

/// A Python `int` as an amount below 2^256.
pub fn amount_of(obj: Borrowed<'_, '_, PyAny>) -> Result<U256, Fault> {
    if obj.is_instance_of::<PyBool>() || !obj.is_instance_of::<PyInt>() {
        return Err(Fault::encoding(
            format!("expected int, got {}", type_name(obj)),
            "",
            "give a whole number in the smallest unit",
        ));
    }
    if let Ok(small) = obj.extract::<u64>() {
        return Ok(U256::from(small));
    }
    let out_of_range = || {
        Fault::encoding(
            "a number is negative or needs more than 256 bits",
            "",
            "give 0 <= x < 2**256",
        )
    };
    let raw = obj
        .call_method1(pyo3::intern!(obj.py(), "to_bytes"), (32, "big"))
        .map_err(|_| out_of_range())?;
    let raw = raw.cast::<PyBytes>().map_err(|_| out_of_range())?;
    U256::try_from_be_slice(raw.as_bytes()).ok_or_else(out_of_range)
}

impl<'py> FromPyObject<'_, 'py> for Address20 {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        fixed::<20>(obj)
            .map(|raw| Self(raw.into()))
            .map_err(|what| {
                Fault::address(
                    what,
                    "address",
                    "convert texts with parse_address() at the edge",
                )
            })
    }
}

impl<'py> FromPyObject<'_, 'py> for Word {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        fixed::<32>(obj)
            .map(|raw| Self(raw.into()))
            .map_err(|what| Fault::encoding(what, "32-byte word", "give exactly 32 bytes"))
    }
}

impl<'py> FromPyObject<'_, 'py> for Amount {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        amount_of(obj).map(Self)
    }
}

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        u64::try_from(amount_of(obj)?).map(Self).map_err(|_| {
            Fault::encoding("a count needs more than 64 bits", "", "give 0 <= x < 2**64")
        })
    }
}

impl<'py> FromPyObject<'_, 'py> for Price {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        u128::try_from(amount_of(obj)?).map(Self).map_err(|_| {
            Fault::encoding(
                "a price per gas needs more than 128 bits",
                "",
                "give 0 <= x < 2**128",
            )
        })
    }
}

impl<'py> FromPyObject<'_, 'py> for Data {
    type Error = Fault;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> Result<Self, Fault> {
        obj.cast::<PyBytes>()
            .map(|raw| Self(Bytes::copy_from_slice(raw.as_bytes())))
            .map_err(|_| {
                Fault::encoding(
                    format!("expected bytes, got {}", type_name(obj)),
                    "",
                    "give bytes",
                )
            })
    }
}

macro_rules! as_py_bytes {
    ($type:ty) => {
        impl<'py> IntoPyObject<'py> for $type {
            type Target = PyBytes;
            type Output = Bound<'py, PyBytes>;
            type Error = Infallible;

            fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
                Ok(PyBytes::new(py, self.0.as_ref()))
            }
        }
    };
}

as_py_bytes!(Address20);
as_py_bytes!(Word);
as_py_bytes!(Data);

impl<'py> IntoPyObject<'py> for Amount {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        number_to_python(py, self.0)
    }
}

impl<'py> IntoPyObject<'py> for Count {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        self.0.into_pyobject(py)
    }
}

impl<'py> IntoPyObject<'py> for Price {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        number_to_python(py, U256::from(self.0))
    }
}

/// A number below 2^256 as a Python `int`.
pub fn number_to_python(py: Python<'_>, value: U256) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(small) = u64::try_from(value) {
        return Ok(small.into_pyobject(py)?.into_any());
    }
    bytes_to_int(py, &value.to_be_bytes::<32>(), false)
}

/// Big-endian bytes as a Python `int`; two's complement if `signed`.
pub fn bytes_to_int<'py>(py: Python<'py>, raw: &[u8], signed: bool) -> PyResult<Bound<'py, PyAny>> {
    static FROM_BYTES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_bytes = FROM_BYTES.get_or_try_init(py, || {
        py.get_type::<PyInt>()
            .getattr("from_bytes")
            .map(Bound::unbind)
    })?;
    let kwargs = pyo3::types::PyDict::new(py);
    if signed {
        kwargs.set_item("signed", true)?;
    }
    from_bytes
        .bind(py)
        .call((PyBytes::new(py, raw), "big"), Some(&kwargs))
}
