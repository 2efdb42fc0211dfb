//! EIP-1559 transactions: fields, signing digest, raw bytes, and back.
//!
//! Flow: fields read once from the Python message -> RLP body in one buffer -> Keccak (the signing digest) -> the
//! signature appended -> raw bytes, whose Keccak is the transaction's hash.
//! Decoding is strict: canonical RLP, nothing left over, low `s` (EIP-2), and a signature that recovers.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, Encodable, Header};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::convert::{Address20, Amount, Count, Data, Price, Word};
use crate::errors::Fault;
use crate::wire::signature::{RawSignature, recover_address};

/// EIP-2718 type byte of EIP-1559.
const TYPE_DYNAMIC_FEE: u8 = 0x02;
/// Largest raw transaction that is decoded [bytes]; nodes refuse more.
const RAW_BYTES_MAX: usize = 128 * 1024;

/// Room for the type byte and the longest RLP header [bytes].
const PREFIX_ROOM: usize = 10;
/// Room for y parity, r and s [bytes].
const SIGNATURE_ROOM: usize = 1 + 33 + 33;

/// One entry of an access list: an address and its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessEntry {
    pub address: Address,
    pub slots: Vec<B256>,
}

/// The fields of an EIP-1559 transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicFee {
    pub chain_id: u64,
    pub nonce: u64,
    pub max_priority_fee_per_gas_wei: u128,
    pub max_fee_per_gas_wei: u128,
    pub gas_limit: u64,
    pub to: Option<Address>,
    pub value_wei: U256,
    pub data: Bytes,
    pub access_list: Vec<AccessEntry>,
}

impl<'py> FromPyObject<'_, 'py> for DynamicFee {
    type Error = PyErr;

    fn extract(obj: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = obj.py();
        macro_rules! field {
            ($name:literal, $type:ty) => {
                obj.getattr(pyo3::intern!(py, $name))?
                    .extract::<$type>()
                    .map_err(|fault| fault.within($name))?
                    .0
            };
        }
        let to = obj.getattr(pyo3::intern!(py, "to"))?;
        let access_list = obj.getattr(pyo3::intern!(py, "access_list"))?;
        let fields = Self {
            chain_id: field!("chain_id", Count),
            nonce: field!("nonce", Count),
            max_priority_fee_per_gas_wei: field!("max_priority_fee_per_gas_wei", Price),
            max_fee_per_gas_wei: field!("max_fee_per_gas_wei", Price),
            gas_limit: field!("gas_limit", Count),
            to: if to.is_none() {
                None
            } else {
                Some(
                    to.extract::<Address20>()
                        .map_err(|fault| fault.within("to"))?
                        .0,
                )
            },
            value_wei: field!("value_wei", Amount),
            data: field!("data", Data),
            access_list: access_list_of(&access_list)?,
        };
        if fields.max_priority_fee_per_gas_wei > fields.max_fee_per_gas_wei {
            return Err(Fault::encoding(
                "the priority fee is above the maximum fee",
                "max_priority_fee_per_gas_wei",
                "lower it to max_fee_per_gas_wei at most",
            )
            .into());
        }
        Ok(fields)
    }
}

/// Reads `((address, (slot, ...)), ...)`.
pub fn access_list_of(list: &Bound<'_, PyAny>) -> PyResult<Vec<AccessEntry>> {
    if let Ok(tuple) = list.cast::<PyTuple>()
        && tuple.is_empty()
    {
        return Ok(Vec::new());
    }
    list.extract::<Vec<(Address20, Vec<Word>)>>()?
        .into_iter()
        .map(|(address, slots)| {
            Ok(AccessEntry {
                address: address.0,
                slots: slots.into_iter().map(|slot| slot.0).collect(),
            })
        })
        .collect()
}

impl Encodable for AccessEntry {
    fn length(&self) -> usize {
        let payload = self.address.length() + self.slots.length();
        payload
            + Header {
                list: true,
                payload_length: payload,
            }
            .length()
    }

    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        let payload_length = self.address.length() + self.slots.length();
        Header {
            list: true,
            payload_length,
        }
        .encode(out);
        self.address.encode(out);
        self.slots.encode(out);
    }
}

impl Decodable for AccessEntry {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let entry = Self {
            address: Decodable::decode(&mut payload)?,
            slots: Decodable::decode(&mut payload)?,
        };
        if payload.is_empty() {
            Ok(entry)
        } else {
            Err(alloy_rlp::Error::UnexpectedLength)
        }
    }
}

impl DynamicFee {
    fn body_length(&self) -> usize {
        self.chain_id.length()
            + self.nonce.length()
            + self.max_priority_fee_per_gas_wei.length()
            + self.max_fee_per_gas_wei.length()
            + self.gas_limit.length()
            + self.to.map_or(1, |to| to.length())
            + self.value_wei.length()
            + self.data.length()
            + self.access_list.length()
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        self.chain_id.encode(out);
        self.nonce.encode(out);
        self.max_priority_fee_per_gas_wei.encode(out);
        self.max_fee_per_gas_wei.encode(out);
        self.gas_limit.encode(out);
        match self.to {
            Some(to) => to.encode(out),
            None => out.push(alloy_rlp::EMPTY_STRING_CODE),
        }
        self.value_wei.encode(out);
        self.data.encode(out);
        self.access_list.encode(out);
    }

    /// The body once, with room before it for type and header, and after it for a signature.
    fn unsigned(&self) -> Envelope {
        let mut buffer = Vec::with_capacity(PREFIX_ROOM + self.body_length() + SIGNATURE_ROOM);
        buffer.resize(PREFIX_ROOM, 0);
        self.encode_body(&mut buffer);
        Envelope { buffer }
    }

    /// What the key signs.
    pub fn signing_digest(&self) -> B256 {
        keccak256(self.unsigned().framed())
    }

    /// What is hashed to that digest.
    pub fn signing_payload(&self) -> Bytes {
        Bytes::copy_from_slice(self.unsigned().framed())
    }

    /// Encodes, signs and hashes: the raw bytes, ready to be broadcast, and their hash.
    pub fn seal(&self, sign: impl FnOnce(B256) -> RawSignature) -> (Bytes, B256) {
        let mut envelope = self.unsigned();
        let signature = sign(keccak256(envelope.framed()));
        signature.y_parity.encode(&mut envelope.buffer);
        U256::from_be_bytes(signature.r).encode(&mut envelope.buffer);
        U256::from_be_bytes(signature.s).encode(&mut envelope.buffer);
        let raw = envelope.framed();
        (Bytes::copy_from_slice(raw), keccak256(raw))
    }

    fn decode(raw: &[u8]) -> alloy_rlp::Result<(Self, RawSignature)> {
        let mut outer = raw;
        let mut body = Header::decode_bytes(&mut outer, true)?;
        if !outer.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        let buf = &mut body;
        let fields = Self {
            chain_id: Decodable::decode(buf)?,
            nonce: Decodable::decode(buf)?,
            max_priority_fee_per_gas_wei: Decodable::decode(buf)?,
            max_fee_per_gas_wei: Decodable::decode(buf)?,
            gas_limit: Decodable::decode(buf)?,
            to: decode_to(buf)?,
            value_wei: Decodable::decode(buf)?,
            data: Decodable::decode(buf)?,
            access_list: Decodable::decode(buf)?,
        };
        let y_parity: bool = Decodable::decode(buf)?;
        let r: U256 = Decodable::decode(buf)?;
        let s: U256 = Decodable::decode(buf)?;
        if !buf.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        let signature = RawSignature {
            r: r.to_be_bytes(),
            s: s.to_be_bytes(),
            y_parity: u8::from(y_parity),
        };
        Ok((fields, signature))
    }
}

/// A body with room for its frame: hashing unsigned and signed forms encodes the fields once.
struct Envelope {
    buffer: Vec<u8>,
}

impl Envelope {
    /// Type byte, header and body, written where the body stands.
    fn framed(&mut self) -> &[u8] {
        let header = Header {
            list: true,
            payload_length: self.buffer.len() - PREFIX_ROOM,
        };
        let start = PREFIX_ROOM - 1 - header.length();
        self.buffer[start] = TYPE_DYNAMIC_FEE;
        let mut place = &mut self.buffer[start + 1..PREFIX_ROOM];
        header.encode(&mut place);
        &self.buffer[start..]
    }
}

fn decode_to(buf: &mut &[u8]) -> alloy_rlp::Result<Option<Address>> {
    if buf.first() == Some(&alloy_rlp::EMPTY_STRING_CODE) {
        *buf = &buf[1..];
        return Ok(None);
    }
    Address::decode(buf).map(Some)
}

/// A signed transaction: raw bytes and hash.
#[pyclass(frozen, get_all, module = "seawall._native")]
pub struct SignedTransaction {
    pub raw: Data,
    pub hash: Word,
}

#[pymethods]
impl SignedTransaction {
    fn __repr__(&self) -> String {
        format!(
            "SignedTransaction(hash={}, {} bytes)",
            self.hash.0,
            self.raw.0.len()
        )
    }
}

/// What a key would sign for these fields.
#[pyfunction]
pub fn signing_digest(transaction: DynamicFee) -> Word {
    Word(transaction.signing_digest())
}

/// The fields and the signature of raw bytes; strict, and the signature is not looked at.
pub fn decode_raw(raw: &[u8]) -> Result<(DynamicFee, RawSignature), Fault> {
    let refused = |what: String| {
        Fault::encoding(
            what,
            "raw transaction",
            "give the bytes of one signed EIP-1559 (type 2) transaction",
        )
    };
    if raw.len() > RAW_BYTES_MAX {
        return Err(refused(format!("more than {RAW_BYTES_MAX} bytes")));
    }
    let Some((&TYPE_DYNAMIC_FEE, body)) = raw.split_first() else {
        return Err(refused("not a type 2 transaction".to_owned()));
    };
    DynamicFee::decode(body).map_err(|error| refused(format!("malformed RLP: {error}")))
}

/// Fields in the order of the facade's dataclass, then sender and hash.
#[pyfunction]
pub fn decode_dynamic_fee<'py>(
    py: Python<'py>,
    raw: &[u8],
) -> PyResult<(Bound<'py, PyTuple>, Address20, Word)> {
    let (fields, signature) = decode_raw(raw)?;
    let sender = recover_address(fields.signing_digest(), &signature)?;
    let access_list = fields
        .access_list
        .iter()
        .map(|entry| {
            let slots = entry.slots.iter().map(|slot| Word(*slot));
            Ok((Address20(entry.address), PyTuple::new(py, slots)?))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let values = (
        Count(fields.chain_id),
        Count(fields.nonce),
        Price(fields.max_priority_fee_per_gas_wei),
        Price(fields.max_fee_per_gas_wei),
        Count(fields.gas_limit),
        fields.to.map(Address20),
        Amount(fields.value_wei),
        Data(fields.data),
        PyTuple::new(py, access_list)?,
    );
    Ok((
        values.into_pyobject(py)?,
        Address20(sender),
        Word(keccak256(raw)),
    ))
}
