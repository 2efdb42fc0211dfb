//! Why a call reverted, decoded as far as the bytes tell.
//!
//! `Error(string)` and `Panic(uint256)` are Solidity's own; anything else is a custom error, named by its selector.

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{Bytes, U256};
use pyo3::prelude::*;

use crate::convert::Data;

/// Selector of `Error(string)`.
const ERROR_STRING: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
/// Longest message that is kept [characters].
const MESSAGE_CHARS_MAX: usize = 512;

/// A decoded revert.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone, Debug)]
pub struct RevertReason {
    /// "error", "panic", "custom" or "empty".
    pub kind: &'static str,
    /// The message, the panic's meaning, or the selector as hex.
    pub message: String,
    /// First four bytes, if there are four.
    pub selector: Option<Data>,
    pub data: Data,
}

#[pymethods]
impl RevertReason {
    fn __str__(&self) -> String {
        self.describe()
    }

    fn __repr__(&self) -> String {
        format!("RevertReason({}, {:?})", self.kind, self.message)
    }
}

impl RevertReason {
    /// One phrase for a person.
    pub fn describe(&self) -> String {
        match self.kind {
            "custom" => format!("custom error {}", self.message),
            "panic" => format!("panic: {}", self.message),
            "empty" => "no reason given".to_owned(),
            _ => self.message.clone(),
        }
    }

    pub fn decode(output: &Bytes) -> Self {
        let data = Data(output.clone());
        let Some((selector, arguments)) = output.split_first_chunk::<4>() else {
            let (kind, message) = if output.is_empty() {
                ("empty", String::new())
            } else {
                ("custom", format!("{output}"))
            };
            return Self {
                kind,
                message,
                selector: None,
                data,
            };
        };
        let (kind, message) = match *selector {
            ERROR_STRING => text_of(arguments).map(|text| ("error", text)),
            PANIC => U256::try_from_be_slice(arguments)
                .filter(|_| arguments.len() == 32)
                .map(|code| ("panic", panic_meaning(code))),
            _ => None,
        }
        .unwrap_or_else(|| ("custom", format!("{}", Bytes::copy_from_slice(selector))));
        Self {
            kind,
            message,
            selector: Some(Data(Bytes::copy_from_slice(selector))),
            data,
        }
    }
}

fn text_of(arguments: &[u8]) -> Option<String> {
    let decoded = DynSolType::Tuple(vec![DynSolType::String])
        .abi_decode_params(arguments)
        .ok()?;
    let DynSolValue::Tuple(values) = decoded else {
        return None;
    };
    let text = values.first()?.as_str()?;
    Some(text.chars().take(MESSAGE_CHARS_MAX).collect())
}

fn panic_meaning(code: U256) -> String {
    let meaning = match u64::try_from(code).unwrap_or(u64::MAX) {
        0x00 => "generic panic",
        0x01 => "assertion failed",
        0x11 => "arithmetic overflow or underflow",
        0x12 => "division by zero",
        0x21 => "invalid enum value",
        0x22 => "corrupt storage byte array",
        0x31 => "pop from an empty array",
        0x32 => "array index out of bounds",
        0x41 => "out of memory",
        0x51 => "call of an uninitialised function",
        _ => "unknown panic",
    };
    format!("{meaning} (0x{code:02x})")
}
