//! The root of an ordered list: what a block's header commits to for its transactions, receipts and withdrawals.
//!
//! Flow: the values at 0, 1, 2 ... in the order of their keys (the RLP of each index) -> the Merkle-Patricia trie,
//! built once, bottom up, of which only the root is kept. Without the GIL: a block has hundreds of values.
//! Absent on purpose: proofs, deletion, and any other trie.
//!
//! Source of the formats: Ethereum yellow paper, appendices B (RLP), C (hex prefix) and D (trie).

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::convert::Word;
use crate::errors::Fault;

/// Most values of one list; a block holds some thousands.
const VALUES_MAX: usize = 1 << 20;
/// Nibbles of the longest key: the RLP of an index below `VALUES_MAX`.
const NIBBLES_MAX: usize = 8;
/// A node shorter than a hash stands in its parent itself.
const NODE_INLINE_MAX: usize = 31;
/// EIP-2718 type byte of a transaction with a dynamic fee.
const TYPE_DYNAMIC_FEE: u8 = 0x02;
/// Of the bloom in a receipt [bytes].
const BLOOM_BYTES: usize = 256;

/// One value and its key, a nibble a byte.
struct Entry<'a> {
    nibbles: [u8; NIBBLES_MAX],
    length: usize,
    value: &'a [u8],
}

impl<'a> Entry<'a> {
    fn new(index: usize, value: &'a [u8]) -> Self {
        let mut key = Vec::with_capacity(NIBBLES_MAX / 2);
        index.encode(&mut key);
        let mut nibbles = [0; NIBBLES_MAX];
        for (pair, byte) in nibbles.chunks_exact_mut(2).zip(&key) {
            pair.copy_from_slice(&[byte >> 4, byte & 0x0f]);
        }
        Self {
            nibbles,
            length: 2 * key.len(),
            value,
        }
    }

    fn path(&self) -> &[u8] {
        &self.nibbles[..self.length]
    }
}

/// Values by ascending key: the RLP of 0 is 0x80, which stands after that of 127 and before that of 128.
fn in_order<'a, T: AsRef<[u8]>>(values: &'a [T]) -> Vec<Entry<'a>> {
    let short = values.len().min(128);
    (1..short)
        .chain(std::iter::once(0))
        .chain(short..values.len())
        .map(|index| Entry::new(index, values[index].as_ref()))
        .collect()
}

fn root_of<T: AsRef<[u8]>>(values: &[T]) -> B256 {
    if values.is_empty() {
        return keccak256([EMPTY_STRING_CODE]);
    }
    keccak256(node(&in_order(values), 0))
}

/// The encoded node that holds `entries`, whose keys agree in their first `depth` nibbles.
fn node(entries: &[Entry<'_>], depth: usize) -> Vec<u8> {
    let first = &entries[0];
    let mut body = Vec::new();
    if entries.len() == 1 {
        body.reserve(first.value.len() + NIBBLES_MAX + 10);
        encode_path(&first.path()[depth..], true, &mut body);
        first.value.encode(&mut body);
        return list_of(&body);
    }
    let last = &entries[entries.len() - 1];
    let shared = depth
        + first.path()[depth..]
            .iter()
            .zip(&last.path()[depth..])
            .take_while(|(a, b)| a == b)
            .count(); // no key of an index is the beginning of another
    if shared > depth {
        encode_path(&first.path()[depth..shared], false, &mut body);
        refer(&node(entries, shared), &mut body);
        return list_of(&body);
    }
    body.reserve(17 * 33);
    let mut rest = entries;
    for nibble in 0..16 {
        let (here, after) = rest.split_at(rest.partition_point(|e| e.nibbles[depth] <= nibble));
        if here.is_empty() {
            body.push(EMPTY_STRING_CODE);
        } else {
            refer(&node(here, depth + 1), &mut body);
        }
        rest = after;
    }
    body.push(EMPTY_STRING_CODE); // the node's own value: none
    list_of(&body)
}

/// How a parent holds `node`.
fn refer(node: &[u8], out: &mut Vec<u8>) {
    if node.len() <= NODE_INLINE_MAX {
        out.extend_from_slice(node);
    } else {
        keccak256(node).encode(out);
    }
}

/// A path in hex prefix: its flag says leaf or extension, and whether the number of nibbles is odd.
fn encode_path(nibbles: &[u8], leaf: bool, out: &mut Vec<u8>) {
    let flag = if leaf { 0x20 } else { 0x00 };
    let mut packed = [0; NIBBLES_MAX / 2 + 1];
    let even = if nibbles.len() % 2 == 1 {
        packed[0] = flag | 0x10 | nibbles[0];
        &nibbles[1..]
    } else {
        packed[0] = flag;
        nibbles
    };
    for (byte, pair) in packed[1..].iter_mut().zip(even.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    packed[..1 + even.len() / 2].encode(out);
}

fn list_of(body: &[u8]) -> Vec<u8> {
    let header = Header {
        list: true,
        payload_length: body.len(),
    };
    let mut out = Vec::with_capacity(header.length() + body.len());
    header.encode(&mut out);
    out.extend_from_slice(body);
    out
}

/// The receipt of a transfer that succeeded and logged nothing, as the trie holds it.
fn transfer_receipt(cumulative_gas: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(BLOOM_BYTES + 16);
    1u8.encode(&mut body);
    cumulative_gas.encode(&mut body);
    [0u8; BLOOM_BYTES].as_slice().encode(&mut body);
    body.push(alloy_rlp::EMPTY_LIST_CODE);
    let mut out = vec![TYPE_DYNAMIC_FEE];
    out.extend(list_of(&body));
    out
}

fn checked(count: usize, place: &'static str) -> Result<(), Fault> {
    if count <= VALUES_MAX {
        return Ok(());
    }
    Err(Fault::encoding(
        format!("{count} values in one list"),
        place,
        format!("no block holds more than {VALUES_MAX}"),
    ))
}

/// The root of the trie that maps the RLP of each index to the value there.
#[pyfunction]
pub fn ordered_root(py: Python<'_>, values: Vec<PyBackedBytes>) -> Result<Word, Fault> {
    checked(values.len(), "ordered_root")?;
    Ok(Word(py.detach(|| root_of(&values))))
}

/// The receipts root of a block of so many transfers of `gas` each, all of which succeeded.
#[pyfunction]
pub fn transfers_root(py: Python<'_>, count: usize, gas: u32) -> Result<Word, Fault> {
    checked(count, "transfers_root")?;
    Ok(Word(py.detach(|| {
        let receipts: Vec<_> = (1..=count as u64)
            .map(|upto| transfer_receipt(upto * u64::from(gas)))
            .collect();
        root_of(&receipts)
    })))
}
