//! ABI encoding of calls and values, by type names.
//!
//! Flow: type texts -> `DynSolType` -> Python values checked against them -> head/tail encoding, and back.
//! Strict: `uint8` refuses 256, `bytes4` refuses five bytes and three, `address` is `bytes` of 20, `bool` is `bool`.
//! Not supported: function pointers, user-defined names (write the tuple).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{B256, I256, U256, keccak256};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::convert::{Address20, Data, Word, amount_of, bytes_to_int, number_to_python};
use crate::errors::Fault;

/// Longest type text: it bounds how deep a type can nest, and with it the stack that reading it takes.
const TYPE_CHARS_MAX: usize = 1024;

/// Signatures kept in their parsed form: reading one takes ten times as long as encoding its values.
const SIGNATURES_MAX: usize = 1024;

/// How much of a refused type is quoted [characters].
const TYPE_CHARS_SHOWN: usize = 80;

/// A function or event as it was read.
struct Signature {
    hash: B256,
    types: Vec<DynSolType>,
}

thread_local! {
    static SIGNATURES: RefCell<HashMap<String, Rc<Signature>>> = RefCell::default();
}

/// `types` of `values`, head and tail, as the arguments of a call.
#[pyfunction]
pub fn abi_encode(types: Vec<String>, values: &Bound<'_, PyAny>) -> PyResult<Data> {
    let types = parse_types(&types)?;
    Ok(Data(encode_all(&types, values)?.into()))
}

/// The values that `data` holds for `types`; addresses and byte strings as `bytes`, tuples and arrays as tuples.
#[pyfunction]
pub fn abi_decode<'py>(
    py: Python<'py>,
    types: Vec<String>,
    data: &[u8],
) -> PyResult<Bound<'py, PyTuple>> {
    let tuple = DynSolType::Tuple(parse_types(&types)?);
    let decoded = tuple.abi_decode_params(data).map_err(|error| {
        Fault::encoding(
            format!("{} bytes do not decode: {error}", data.len()),
            format!("({})", types.join(",")),
            "check the types against the contract's ABI, and that the call returned anything at all",
        )
    })?;
    match decoded {
        DynSolValue::Tuple(values) => sequence_to_python(py, &values),
        other => sequence_to_python(py, &[other]),
    }
}

/// Selector and encoded arguments: `encode_call("transfer(address,uint256)", (to, amount))`.
#[pyfunction]
pub fn encode_call(signature: &str, values: &Bound<'_, PyAny>) -> PyResult<Data> {
    let read = read_signature(signature)?;
    let mut out = read.hash[..4].to_vec();
    out.extend(encode_all(&read.types, values).map_err(|fault| fault.within(signature))?);
    Ok(Data(out.into()))
}

/// The first four bytes of the signature's hash.
#[pyfunction]
pub fn selector(signature: &str) -> Result<Data, Fault> {
    Ok(Data(read_signature(signature)?.hash[..4].to_vec().into()))
}

/// The first topic of an event: the hash of its signature.
#[pyfunction]
pub fn event_topic(signature: &str) -> Result<Word, Fault> {
    Ok(Word(read_signature(signature)?.hash))
}

fn parse_types(types: &[String]) -> Result<Vec<DynSolType>, Fault> {
    types.iter().map(|text| parse_type(text)).collect()
}

fn parse_type(text: &str) -> Result<DynSolType, Fault> {
    if text.len() > TYPE_CHARS_MAX {
        return Err(Fault::encoding(
            format!("a type of {} characters", text.len()),
            "",
            format!("give at most {TYPE_CHARS_MAX}; deeper types cannot be read safely"),
        ));
    }
    let refused = || {
        let shown: String = text.chars().take(TYPE_CHARS_SHOWN).collect();
        Fault::encoding(
            format!("{shown:?} is not an ABI type"),
            "",
            "write canonical Solidity types, such as uint256, address[] or (address,bytes)",
        )
    };
    // An empty tuple is no Solidity type, and an array of them would claim any length in no bytes.
    if text.contains("()") {
        return Err(refused());
    }
    let parsed = DynSolType::parse(text).map_err(|_| refused())?;
    // The crate writes one-element tuples in the Rust way.
    let canonical = parsed.sol_type_name().replace(",)", ")");
    if canonical != text {
        return Err(Fault::encoding(
            format!("{text:?} is not canonical"),
            "",
            format!("write {canonical}"),
        ));
    }
    Ok(parsed)
}

fn read_signature(text: &str) -> Result<Rc<Signature>, Fault> {
    if let Some(known) = SIGNATURES.with_borrow(|kept| kept.get(text).map(Rc::clone)) {
        return Ok(known);
    }
    let read = Rc::new(Signature {
        types: signature_types(text)?,
        hash: keccak256(text.as_bytes()),
    });
    SIGNATURES.with_borrow_mut(|kept| {
        if kept.len() >= SIGNATURES_MAX {
            kept.clear();
        }
        kept.insert(text.to_owned(), Rc::clone(&read));
    });
    Ok(read)
}

/// The argument types of "name(type,...)"; the name is checked too, because it is part of the hash.
fn signature_types(signature: &str) -> Result<Vec<DynSolType>, Fault> {
    let malformed = || {
        Fault::encoding(
            format!("{signature:?} is not a signature"),
            signature,
            "write name(type,type) without spaces or argument names",
        )
    };
    let open = signature.find('(').ok_or_else(malformed)?;
    let (name, arguments) = signature.split_at(open);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(malformed());
    }
    if arguments == "()" {
        return Ok(Vec::new());
    }
    match parse_type(arguments).map_err(|fault| fault.within(signature))? {
        DynSolType::Tuple(types) => Ok(types),
        _ => Err(malformed()),
    }
}

fn encode_all(types: &[DynSolType], values: &Bound<'_, PyAny>) -> Result<Vec<u8>, Fault> {
    Ok(DynSolValue::Tuple(sequence_from_python(types, values.as_borrowed())?).abi_encode_params())
}

fn mismatch(expected: &DynSolType, value: Borrowed<'_, '_, PyAny>) -> Fault {
    let got = value
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    Fault::encoding(
        format!("{} cannot hold this {got}", expected.sol_type_name()),
        "",
        "int, bool, bytes, str, list and tuple are understood; addresses are bytes of 20",
    )
}

fn items<'py>(value: Borrowed<'_, 'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return Some(tuple.iter().collect());
    }
    let list = value.cast::<PyList>().ok()?;
    Some(list.iter().collect())
}

fn sequence_from_python(
    types: &[DynSolType],
    values: Borrowed<'_, '_, PyAny>,
) -> Result<Vec<DynSolValue>, Fault> {
    let whole = || DynSolType::Tuple(types.to_vec());
    let values = items(values).ok_or_else(|| mismatch(&whole(), values))?;
    if values.len() != types.len() {
        return Err(Fault::encoding(
            format!("{} values for {} types", values.len(), types.len()),
            whole().sol_type_name(),
            "give one value for each type",
        ));
    }
    types
        .iter()
        .zip(&values)
        .enumerate()
        .map(|(index, (kind, value))| {
            from_python(kind, value.as_borrowed())
                .map_err(|fault| fault.within(&format!("value {index}")))
        })
        .collect()
}

fn from_python(kind: &DynSolType, value: Borrowed<'_, '_, PyAny>) -> Result<DynSolValue, Fault> {
    let each = |inner: &DynSolType, values: Vec<Bound<'_, PyAny>>| {
        values
            .iter()
            .enumerate()
            .map(|(index, item)| {
                from_python(inner, item.as_borrowed())
                    .map_err(|fault| fault.within(&format!("item {index}")))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    match kind {
        DynSolType::Bool => value
            .cast::<PyBool>()
            .map(|flag| DynSolValue::Bool(flag.is_true()))
            .map_err(|_| mismatch(kind, value)),
        DynSolType::Uint(bits) => unsigned(kind, *bits, value),
        DynSolType::Int(bits) => signed(kind, *bits, value),
        DynSolType::Address => value
            .extract::<Address20>()
            .map(|address| DynSolValue::Address(address.0)),
        DynSolType::FixedBytes(size) => {
            let bytes = value.cast::<PyBytes>().map_err(|_| mismatch(kind, value))?;
            let raw = bytes.as_bytes();
            if raw.len() != *size {
                return Err(Fault::encoding(
                    format!("bytes{size} cannot hold {} bytes", raw.len()),
                    "",
                    "give exactly that many; nothing is padded",
                ));
            }
            Ok(DynSolValue::FixedBytes(
                B256::right_padding_from(raw),
                *size,
            ))
        }
        DynSolType::Bytes => value
            .cast::<PyBytes>()
            .map(|raw| DynSolValue::Bytes(raw.as_bytes().to_vec()))
            .map_err(|_| mismatch(kind, value)),
        DynSolType::String => value
            .cast::<PyString>()
            .ok()
            .and_then(|text| text.extract::<String>().ok())
            .map(DynSolValue::String)
            .ok_or_else(|| mismatch(kind, value)),
        DynSolType::Array(inner) => {
            let values = items(value).ok_or_else(|| mismatch(kind, value))?;
            Ok(DynSolValue::Array(each(inner, values)?))
        }
        DynSolType::FixedArray(inner, size) => {
            let values = items(value).ok_or_else(|| mismatch(kind, value))?;
            if values.len() != *size {
                return Err(Fault::encoding(
                    format!("{} items for {}", values.len(), kind.sol_type_name()),
                    "",
                    "give exactly that many",
                ));
            }
            Ok(DynSolValue::FixedArray(each(inner, values)?))
        }
        DynSolType::Tuple(inner) => sequence_from_python(inner, value).map(DynSolValue::Tuple),
        DynSolType::Function => Err(mismatch(kind, value)),
    }
}

fn unsigned(
    kind: &DynSolType,
    bits: usize,
    value: Borrowed<'_, '_, PyAny>,
) -> Result<DynSolValue, Fault> {
    let number = amount_of(value).map_err(|_| out_of_range(kind, value))?;
    if bits < 256 && number >> bits != U256::ZERO {
        return Err(out_of_range(kind, value));
    }
    Ok(DynSolValue::Uint(number, bits))
}

fn signed(
    kind: &DynSolType,
    bits: usize,
    value: Borrowed<'_, '_, PyAny>,
) -> Result<DynSolValue, Fault> {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return Err(out_of_range(kind, value));
    }
    let py = value.py();
    let options = pyo3::types::PyDict::new(py);
    let refused = |_| out_of_range(kind, value);
    options.set_item("signed", true).map_err(refused)?;
    let raw = value
        .call_method("to_bytes", (bits / 8, "big"), Some(&options))
        .map_err(refused)?;
    let raw = raw
        .cast::<PyBytes>()
        .map_err(|_| out_of_range(kind, value))?;
    let raw = raw.as_bytes();
    let fill = if raw[0] & 0x80 == 0 { 0 } else { 0xff };
    let mut word = [fill; 32];
    word[32 - raw.len()..].copy_from_slice(raw);
    Ok(DynSolValue::Int(I256::from_be_bytes(word), bits))
}

fn out_of_range(kind: &DynSolType, value: Borrowed<'_, '_, PyAny>) -> Fault {
    if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
        return mismatch(kind, value);
    }
    Fault::encoding(
        format!("the number does not fit {}", kind.sol_type_name()),
        "",
        "check its sign and size",
    )
}

fn sequence_to_python<'py>(
    py: Python<'py>,
    values: &[DynSolValue],
) -> PyResult<Bound<'py, PyTuple>> {
    let values = values
        .iter()
        .map(|value| to_python(py, value))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, values)
}

fn to_python<'py>(py: Python<'py>, value: &DynSolValue) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        DynSolValue::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        DynSolValue::Uint(number, _) => number_to_python(py, *number)?,
        DynSolValue::Int(number, _) => bytes_to_int(py, &number.to_be_bytes::<32>(), true)?,
        DynSolValue::Address(address) => PyBytes::new(py, address.as_slice()).into_any(),
        DynSolValue::FixedBytes(word, size) => PyBytes::new(py, &word[..*size]).into_any(),
        DynSolValue::Function(function) => PyBytes::new(py, function.as_slice()).into_any(),
        DynSolValue::Bytes(raw) => PyBytes::new(py, raw).into_any(),
        DynSolValue::String(text) => PyString::new(py, text).into_any(),
        DynSolValue::Array(inner) | DynSolValue::FixedArray(inner) | DynSolValue::Tuple(inner) => {
            sequence_to_python(py, inner)?.into_any()
        }
    })
}
