//! Multicall3's `aggregate3`, in one pass each way.
//!
//! The general codec builds a value for every word; a bundle of a hundred calls would spend more time in it than on
//! the wire. Strict: offsets and lengths stay inside of what was returned, a bool is 0 or 1, and the data of all
//! results together is no more than what was returned, so that results cannot overlap into more.

use alloy_primitives::U256;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::Address20;
use crate::errors::Fault;

/// `aggregate3((address,bool,bytes)[])`.
const SELECTOR: [u8; 4] = [0x82, 0xad, 0x56, 0xcb];
const WORD: usize = 32;
/// Words of one call before its data: target, whether it may fail, where the data begins, and its length.
const CALL_WORDS: usize = 4;

/// The call that asks all of `calls`, pairs of target and calldata, each of which may revert for itself.
#[pyfunction]
pub fn aggregate3_calldata<'py>(
    py: Python<'py>,
    calls: Vec<(Address20, Bound<'py, PyBytes>)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let size = |data: &Bound<'_, PyBytes>| {
        CALL_WORDS * WORD + data.as_bytes().len().next_multiple_of(WORD)
    };
    let total: usize = calls.iter().map(|(_, data)| size(data)).sum();
    let mut out = Vec::with_capacity(SELECTOR.len() + (2 + calls.len()) * WORD + total);
    out.extend(SELECTOR);
    put(&mut out, WORD);
    put(&mut out, calls.len());
    let mut offset = calls.len() * WORD;
    for (_, data) in &calls {
        put(&mut out, offset);
        offset += size(data);
    }
    for (target, data) in &calls {
        let data = data.as_bytes();
        out.extend([0; WORD - 20]);
        out.extend(target.0);
        put(&mut out, 1);
        put(&mut out, (CALL_WORDS - 1) * WORD);
        put(&mut out, data.len());
        out.extend(data);
        out.resize(
            out.len() + data.len().next_multiple_of(WORD) - data.len(),
            0,
        );
    }
    Ok(PyBytes::new(py, &out))
}

/// What each of `count` calls returned, in order; None where it reverted.
#[pyfunction]
pub fn aggregate3_results<'py>(
    py: Python<'py>,
    returned: &[u8],
    count: usize,
) -> Result<Vec<Option<Bound<'py, PyBytes>>>, Fault> {
    let results = results_in(returned, count).ok_or_else(|| {
        Fault::encoding(
            format!("{} bytes are not {count} results", returned.len()),
            "aggregate3",
            "check that Multicall3 is deployed at the target and that these are the reads that were asked",
        )
    })?;
    Ok(results
        .into_iter()
        .map(|result| result.map(|data| PyBytes::new(py, data)))
        .collect())
}

fn results_in(returned: &[u8], count: usize) -> Option<Vec<Option<&[u8]>>> {
    let list = number(returned, 0)?;
    if number(returned, list)? != count || count > returned.len() / WORD {
        return None;
    }
    let base = list + WORD;
    let mut left = returned.len();
    let mut results = Vec::with_capacity(count);
    for place in 0..count {
        let result = base.checked_add(number(returned, base + place * WORD)?)?;
        let succeeded = number(returned, result)?;
        let data = result.checked_add(number(returned, result.checked_add(WORD)?)?)?;
        let size = number(returned, data)?;
        let begin = data + WORD;
        let bytes = returned.get(begin..begin.checked_add(size)?)?;
        left = left.checked_sub(size)?;
        results.push(match succeeded {
            0 => None,
            1 => Some(bytes),
            _ => return None,
        });
    }
    Some(results)
}

/// The word at `place`, if it is there and small enough to be a place.
fn number(data: &[u8], place: usize) -> Option<usize> {
    let word = data.get(place..place.checked_add(WORD)?)?;
    usize::try_from(U256::from_be_slice(word)).ok()
}

fn put(out: &mut Vec<u8>, number: usize) {
    out.extend(U256::from(number).to_be_bytes::<WORD>());
}
