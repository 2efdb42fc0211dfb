//! Answers: what JSON-RPC endpoints send in bulk, read in one crossing.
//!
//! Flow: a body of plain answers becomes its results, in the order asked; results become numbers or bytes.
//! Strict: ids must be exactly those that were asked, once each; quantities and data must be written as they ought.
//! Each function knows the plain form alone and gives `None` for everything else: errors, objects, escapes, and
//! whatever is malformed. Its caller has a slow way that knows those, and says what is wrong with them.

use alloy_primitives::hex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Digits of a quantity below 2^256, and of one below 2^64.
const QUANTITY_DIGITS_MAX: usize = 64;
const SMALL_DIGITS_MAX: usize = 16;

/// One answer whose result is a text without escapes.
#[derive(Deserialize)]
struct Plain<'a> {
    id: u64,
    result: &'a str,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// What JSON has as an object: a struct would be read from a list of its fields as well, which answers nothing.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Results of `count` requests with ids from `first_id`, in their order, if all of them are plain texts.
#[pyfunction]
pub fn plain_results<'py>(
    py: Python<'py>,
    body: &[u8],
    first_id: u64,
    count: usize,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(places) = placed(body, first_id, count) else {
        return Ok(None);
    };
    PyList::new(py, places.iter().map(|text| PyString::new(py, text))).map(Some)
}

fn placed(body: &[u8], first_id: u64, count: usize) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(body).ok()?;
    let answers: Vec<Object<Plain<'_>>> = if text.starts_with('{') {
        vec![serde_json::from_str(text).ok()?]
    } else {
        serde_json::from_str(text).ok()?
    };
    if answers.len() != count {
        return None;
    }
    let mut places: Vec<Option<&str>> = vec![None; count];
    for Object(answer) in answers {
        let place = usize::try_from(answer.id.checked_sub(first_id)?).ok()?;
        let free = places.get_mut(place)?;
        if free.is_some() || answer.error.is_some() {
            return None;
        }
        *free = Some(answer.result);
    }
    places.into_iter().collect()
}

/// The numbers that JSON-RPC quantities name, if every one of `values` is one below 2^256.
#[pyfunction]
pub fn plain_quantities<'py>(
    values: &Bound<'py, PyList>,
) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let py = values.py();
    let integer = py.get_type::<PyInt>();
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        let Ok(text) = value.cast::<PyString>() else {
            return Ok(None);
        };
        let Some(digits) = quantity_digits(text.to_str().unwrap_or_default()) else {
            return Ok(None);
        };
        numbers.push(if digits.len() <= SMALL_DIGITS_MAX {
            let Ok(number) = u64::from_str_radix(digits, 16) else {
                return Ok(None);
            };
            number.into_pyobject(py)?.into_any()
        } else {
            integer.call1((text, 16))?
        });
    }
    Ok(Some(numbers))
}

/// The digits of a quantity: `0x` and no leading zeros.
fn quantity_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_shortest = digits == "0" || !digits.starts_with('0');
    let fits = (1..=QUANTITY_DIGITS_MAX).contains(&digits.len());
    (fits && is_plain && is_shortest).then_some(digits)
}

/// The bytes that JSON-RPC data names: `0x` and whole bytes.
#[pyfunction]
pub fn plain_data<'py>(text: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let Some(digits) = text.to_str().ok().and_then(|text| text.strip_prefix("0x")) else {
        return Ok(None);
    };
    if !digits.len().is_multiple_of(2) {
        return Ok(None);
    }
    let mut is_whole = false;
    let raw = PyBytes::new_with(text.py(), digits.len() / 2, |place| {
        // A second `0x` would be passed over.
        is_whole = !digits.starts_with("0x") && hex::decode_to_slice(digits, place).is_ok();
        Ok(())
    })?;
    Ok(is_whole.then_some(raw))
}

/// `0x` and the digits of `data`.
#[pyfunction]
pub fn hex_text(data: &[u8]) -> String {
    hex::encode_prefixed(data)
}
