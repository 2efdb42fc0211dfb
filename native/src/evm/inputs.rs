//! What Python gives: block environment, transactions, probes, overrides, accounts.
//!
//! Each class is checked once, when it is made, and immutable afterwards; running it costs no conversion.

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use pyo3::prelude::*;
use revm::context::{BlockEnv, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::transaction::{AccessList, AccessListItem};
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;

use crate::convert::{Address20, Amount, Count, Data, Price, Word};
use crate::errors::Fault;
use crate::wire::transaction::access_list_of;

/// Gas of a probe that names none.
pub const PROBE_GAS_LIMIT: u64 = 30_000_000;

/// Every hardfork that can be named, oldest first. Forks that no network runs yet are absent on purpose.
const HARDFORKS: [(&str, SpecId); 14] = [
    ("frontier", SpecId::FRONTIER),
    ("homestead", SpecId::HOMESTEAD),
    ("tangerine", SpecId::TANGERINE),
    ("spurious_dragon", SpecId::SPURIOUS_DRAGON),
    ("byzantium", SpecId::BYZANTIUM),
    ("petersburg", SpecId::PETERSBURG),
    ("istanbul", SpecId::ISTANBUL),
    ("berlin", SpecId::BERLIN),
    ("london", SpecId::LONDON),
    ("paris", SpecId::MERGE),
    ("shanghai", SpecId::SHANGHAI),
    ("cancun", SpecId::CANCUN),
    ("prague", SpecId::PRAGUE),
    ("osaka", SpecId::OSAKA),
];

/// The names that `BlockEnvironment` takes, oldest first.
#[pyfunction]
pub fn hardforks() -> Vec<&'static str> {
    HARDFORKS.iter().map(|(name, _)| *name).collect()
}

fn hardfork(name: &str) -> Result<SpecId, Fault> {
    HARDFORKS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, spec)| *spec)
        .ok_or_else(|| {
            Fault::evm(
                format!("{name:?} is not a hardfork that this build knows"),
                "hardfork",
                format!("name one of {}", hardforks().join(", ")),
            )
        })
}

/// The block that a bundle is run in: the one after the pinned base, as a rule.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone)]
pub struct BlockEnvironment {
    pub number: Count,
    pub timestamp_s: Count,
    pub base_fee_wei: Count,
    pub gas_limit: Count,
    pub coinbase: Address20,
    pub prevrandao: Word,
    pub hardfork: String,
    pub blob_base_fee_wei: Price,
}

#[pymethods]
impl BlockEnvironment {
    #[new]
    #[pyo3(signature = (number, timestamp_s, base_fee_wei, gas_limit, coinbase, prevrandao, hardfork, blob_base_fee_wei = Price(1)))]
    #[expect(
        clippy::too_many_arguments,
        reason = "a block header has this many fields"
    )]
    fn new(
        number: Count,
        timestamp_s: Count,
        base_fee_wei: Count,
        gas_limit: Count,
        coinbase: Address20,
        prevrandao: Word,
        hardfork: String,
        blob_base_fee_wei: Price,
    ) -> Result<Self, Fault> {
        self::hardfork(&hardfork)?;
        Ok(Self {
            number,
            timestamp_s,
            base_fee_wei,
            gas_limit,
            coinbase,
            prevrandao,
            hardfork,
            blob_base_fee_wei,
        })
    }

    fn __repr__(&self) -> String {
        format!(
            "BlockEnvironment(number={}, hardfork={:?})",
            self.number.0, self.hardfork
        )
    }
}

impl BlockEnvironment {
    pub fn spec(&self) -> Result<SpecId, Fault> {
        hardfork(&self.hardfork)
    }

    pub fn to_env(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number.0),
            beneficiary: self.coinbase.0,
            timestamp: U256::from(self.timestamp_s.0),
            gas_limit: self.gas_limit.0,
            basefee: self.base_fee_wei.0,
            prevrandao: Some(self.prevrandao.0),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: self.blob_base_fee_wei.0,
            }),
            ..BlockEnv::default()
        }
    }
}

/// A transaction to simulate.
#[pyclass(frozen, module = "seawall._native")]
pub struct EvmTransaction {
    pub env: TxEnv,
    /// `None`: whatever nonce the sender has.
    pub nonce: Option<u64>,
}

#[pymethods]
impl EvmTransaction {
    #[new]
    #[pyo3(signature = (sender, to, data, value_wei, gas_limit, gas_price_wei, nonce = None, access_list = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "a transaction has this many fields"
    )]
    fn new(
        sender: Address20,
        to: Option<Address20>,
        data: Data,
        value_wei: Amount,
        gas_limit: Count,
        gas_price_wei: Price,
        nonce: Option<Count>,
        access_list: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let entries = access_list.map_or_else(|| Ok(Vec::new()), |list| access_list_of(&list))?;
        let access_list = AccessList(
            entries
                .into_iter()
                .map(|entry| AccessListItem {
                    address: entry.address,
                    storage_keys: entry.slots,
                })
                .collect(),
        );
        Ok(Self {
            nonce: nonce.map(|nonce| nonce.0),
            env: TxEnv {
                // Legacy unless it carries an access list: the price given is what is paid, whatever the type.
                tx_type: u8::from(!access_list.0.is_empty()),
                caller: sender.0,
                kind: to.map_or(TxKind::Create, |to| TxKind::Call(to.0)),
                data: data.0,
                value: value_wei.0,
                gas_limit: gas_limit.0,
                gas_price: gas_price_wei.0,
                nonce: nonce.map_or(0, |nonce| nonce.0),
                chain_id: None,
                access_list,
                ..TxEnv::default()
            },
        })
    }

    #[getter]
    fn sender(&self) -> Address20 {
        Address20(self.env.caller)
    }

    #[getter]
    fn to(&self) -> Option<Address20> {
        self.env.kind.to().copied().map(Address20)
    }

    #[getter]
    fn data(&self) -> Data {
        Data(self.env.data.clone())
    }

    #[getter]
    fn value_wei(&self) -> Amount {
        Amount(self.env.value)
    }

    #[getter]
    fn gas_limit(&self) -> Count {
        Count(self.env.gas_limit)
    }

    #[getter]
    fn gas_price_wei(&self) -> Price {
        Price(self.env.gas_price)
    }

    #[getter]
    fn nonce(&self) -> Option<Count> {
        self.nonce.map(Count)
    }

    fn __repr__(&self) -> String {
        format!(
            "EvmTransaction(sender={}, to={:?}, {} bytes, value_wei={})",
            self.env.caller,
            self.env.kind.to(),
            self.env.data.len(),
            self.env.value
        )
    }
}

/// A view call on the state after the transactions.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone)]
pub struct Probe {
    pub target: Address20,
    pub data: Data,
    pub sender: Address20,
    pub gas_limit: Count,
}

#[pymethods]
impl Probe {
    #[new]
    #[pyo3(signature = (target, data, sender = Address20(Address::ZERO), gas_limit = Count(PROBE_GAS_LIMIT)))]
    fn new(target: Address20, data: Data, sender: Address20, gas_limit: Count) -> Self {
        Self {
            target,
            data,
            sender,
            gas_limit,
        }
    }
}

/// Replaces parts of one account for one run.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone)]
pub struct StateOverride {
    pub address: Address20,
    pub balance_wei: Option<Amount>,
    pub nonce: Option<Count>,
    pub code: Option<Data>,
    pub slots: Vec<(Word, Word)>,
}

#[pymethods]
impl StateOverride {
    #[new]
    #[pyo3(signature = (address, balance_wei = None, nonce = None, code = None, slots = Vec::new()))]
    fn new(
        address: Address20,
        balance_wei: Option<Amount>,
        nonce: Option<Count>,
        code: Option<Data>,
        slots: Vec<(Word, Word)>,
    ) -> Self {
        Self {
            address,
            balance_wei,
            nonce,
            code,
            slots,
        }
    }
}

/// An account of the base block. Without `code_hash`, its code must be loaded with it.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone)]
pub struct AccountState {
    pub address: Address20,
    pub balance_wei: Amount,
    pub nonce: Count,
    pub code_hash: Option<Word>,
}

#[pymethods]
impl AccountState {
    #[new]
    #[pyo3(signature = (address, balance_wei, nonce, code_hash = None))]
    fn new(address: Address20, balance_wei: Amount, nonce: Count, code_hash: Option<Word>) -> Self {
        // Nodes answer zero for the code hash of an account that does not exist.
        let code_hash = code_hash.map(|hash| {
            if hash.0 == B256::ZERO {
                Word(KECCAK256_EMPTY)
            } else {
                hash
            }
        });
        Self {
            address,
            balance_wei,
            nonce,
            code_hash,
        }
    }
}

/// One independent run of `Evm.run_many`.
#[pyclass(frozen, module = "seawall._native")]
pub struct Bundle {
    pub transactions: Vec<Py<EvmTransaction>>,
    pub probes: Vec<Py<Probe>>,
    pub overrides: Vec<Py<StateOverride>>,
}

#[pymethods]
impl Bundle {
    #[new]
    #[pyo3(signature = (transactions, probes = Vec::new(), overrides = Vec::new()))]
    fn new(
        transactions: Vec<Py<EvmTransaction>>,
        probes: Vec<Py<Probe>>,
        overrides: Vec<Py<StateOverride>>,
    ) -> Self {
        Self {
            transactions,
            probes,
            overrides,
        }
    }
}

/// The digest of what a verdict binds: chain, sender, target, data, value and gas limit. Fees and nonce are outside.
pub fn payload_digest(
    chain_id: u64,
    sender: Address,
    to: Option<Address>,
    data: &[u8],
    value_wei: U256,
    gas_limit: u64,
) -> B256 {
    let mut preimage = Vec::with_capacity(32 * 5 + data.len());
    preimage.extend_from_slice(&chain_id.to_be_bytes());
    preimage.extend_from_slice(sender.as_slice());
    match to {
        Some(to) => {
            preimage.push(1);
            preimage.extend_from_slice(to.as_slice());
        }
        None => preimage.push(0),
    }
    preimage.extend_from_slice(&value_wei.to_be_bytes::<32>());
    preimage.extend_from_slice(&gas_limit.to_be_bytes());
    preimage.extend_from_slice(keccak256(data).as_slice());
    keccak256(preimage)
}
