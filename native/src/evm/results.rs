//! What Python receives. Everything is computed when the bundle runs; Python objects are made when they are read.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::convert::{Address20, Amount, Count, Data, Word};
use crate::evm::machine::{Answer, ExecutionData, Status, TransactionData, Writes};
use crate::evm::reasons::RevertReason;
use crate::evm::state::{MissingKeys, Reads};
use crate::evm::trace::CallFrame;

/// A log, as emitted.
#[pyclass(frozen, get_all, module = "seawall._native")]
pub struct EvmLog {
    pub address: Address20,
    pub topics: Py<PyTuple>,
    pub data: Data,
    /// Position in its transaction.
    pub log_index: u32,
}

/// A movement of a token, or of native currency (`token` of `None`).
#[pyclass(frozen, get_all, eq, module = "seawall._native")]
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFlow {
    pub token: Option<Address20>,
    pub sender: Address20,
    pub recipient: Address20,
    pub amount: Amount,
    pub log_index: Option<u32>,
}

#[pymethods]
impl TokenFlow {
    fn __repr__(&self) -> String {
        format!(
            "TokenFlow(token={:?}, {} -> {}, amount={})",
            self.token.map(|token| token.0),
            self.sender.0,
            self.recipient.0,
            self.amount.0
        )
    }
}

/// An allowance as it was set.
#[pyclass(frozen, get_all, eq, module = "seawall._native")]
#[derive(Clone, PartialEq, Eq)]
pub struct AllowanceChange {
    pub token: Address20,
    pub owner: Address20,
    pub spender: Address20,
    pub amount: Amount,
    pub log_index: u32,
}

#[derive(Clone, Copy)]
enum Part {
    Transaction(usize),
    Probe(usize),
}

/// One transaction's or probe's result.
#[pyclass(frozen, module = "seawall._native")]
pub struct CallResult {
    execution: Arc<ExecutionData>,
    part: Part,
}

impl CallResult {
    fn data(&self) -> &TransactionData {
        match self.part {
            Part::Transaction(index) => &self.execution.transactions[index],
            Part::Probe(index) => &self.execution.probes[index],
        }
    }
}

fn slots_tuple<'py>(
    py: Python<'py>,
    slots: impl ExactSizeIterator<Item = (Address, U256)>,
) -> PyResult<Bound<'py, PyTuple>> {
    let pairs = slots
        .map(|(address, slot)| (Address20(address), Word::from(slot)).into_pyobject(py))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, pairs)
}

fn addresses_tuple<'py>(
    py: Python<'py>,
    addresses: impl ExactSizeIterator<Item = Address>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, addresses.map(Address20))
}

#[pymethods]
impl CallResult {
    /// "success", "reverted", "halted" or "rejected" (never ran: funds, nonce or fee).
    #[getter]
    fn status(&self) -> &'static str {
        match self.data().status {
            Status::Success => "success",
            Status::Reverted => "reverted",
            Status::Halted => "halted",
            Status::Rejected => "rejected",
        }
    }

    #[getter]
    fn success(&self) -> bool {
        self.data().status == Status::Success
    }

    /// After refunds, as a receipt says it.
    #[getter]
    fn gas_used(&self) -> u64 {
        self.data().gas_used
    }

    /// Native balance of who sent it, after the fee; `None` of a probe, and where nothing was looked at.
    #[getter]
    fn sender_balance_wei(&self) -> Option<Amount> {
        self.data().sender_balance.map(Amount)
    }

    #[getter]
    fn return_data(&self) -> Data {
        Data(self.data().output.clone())
    }

    #[getter]
    fn created_address(&self) -> Option<Address20> {
        self.data().created.map(Address20)
    }

    #[getter]
    fn revert_reason(&self) -> Option<RevertReason> {
        self.data().revert.clone()
    }

    /// Why the machine stopped it, or why it never ran.
    #[getter]
    fn halt_reason(&self) -> Option<String> {
        self.data().halt.clone()
    }

    /// One sentence for a person; empty on success.
    #[getter]
    fn failure(&self) -> String {
        let data = self.data();
        match (data.status, &data.revert, &data.halt) {
            (Status::Success, _, _) => String::new(),
            (Status::Rejected, _, Some(reason)) => format!("rejected: {reason}"),
            (_, _, Some(reason)) => format!("halted: {reason}"),
            (_, Some(reason), _) => format!("reverted: {}", reason.describe()),
            _ => "failed".to_owned(),
        }
    }

    #[getter]
    fn logs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let logs = self
            .data()
            .logs
            .iter()
            .enumerate()
            .map(|(index, log)| {
                let topics = log.topics().iter().map(|topic| Word(*topic));
                Py::new(
                    py,
                    EvmLog {
                        address: Address20(log.address),
                        topics: PyTuple::new(py, topics)?.unbind(),
                        data: Data(log.data.data.clone()),
                        log_index: u32::try_from(index).unwrap_or(u32::MAX),
                    },
                )
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, logs)
    }

    /// Native moves first (internal calls included), then token moves by log.
    #[getter]
    fn flows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let flows = self.data().flows.iter().map(|flow| TokenFlow {
            token: flow.token.map(Address20),
            sender: Address20(flow.from),
            recipient: Address20(flow.to),
            amount: Amount(flow.amount),
            log_index: flow.log_index,
        });
        PyTuple::new(py, flows)
    }

    #[getter]
    fn allowances<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let allowances = self
            .data()
            .allowances
            .iter()
            .map(|allowance| AllowanceChange {
                token: Address20(allowance.token),
                owner: Address20(allowance.owner),
                spender: Address20(allowance.spender),
                amount: Amount(allowance.amount),
                log_index: allowance.log_index,
            });
        PyTuple::new(py, allowances)
    }

    /// Frames in the order of entry; `None` unless the run was traced.
    #[getter]
    fn trace<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let frames: Option<&Vec<CallFrame>> = self.data().trace.as_ref();
        frames
            .map(|frames| PyTuple::new(py, frames.iter().cloned()))
            .transpose()
    }

    fn __repr__(&self) -> String {
        format!(
            "CallResult({}, gas_used={})",
            self.status(),
            self.gas_used()
        )
    }
}

/// Keys read from base and overlay: what an execution stands on.
#[pyclass(frozen, module = "seawall._native")]
pub struct ReadSet(Arc<ExecutionData>);

impl ReadSet {
    fn reads(&self) -> &Reads {
        &self.0.reads
    }
}

#[pymethods]
impl ReadSet {
    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        addresses_tuple(
            py,
            self.reads().accounts.iter().map(|(address, _)| *address),
        )
    }

    /// Pairs of (account, slot).
    #[getter]
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        slots_tuple(
            py,
            self.reads()
                .slots
                .iter()
                .map(|(address, slot, _)| (*address, *slot)),
        )
    }

    /// Numbers whose hashes were read.
    #[getter]
    fn block_numbers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.reads().block_hashes)
    }

    fn __repr__(&self) -> String {
        let reads = self.reads();
        format!(
            "ReadSet({} accounts, {} slots)",
            reads.accounts.len(),
            reads.slots.len()
        )
    }
}

/// Keys whose values a bundle changed.
#[pyclass(frozen, module = "seawall._native")]
pub struct WriteSet(Arc<ExecutionData>);

impl WriteSet {
    fn writes(&self) -> &Writes {
        &self.0.writes
    }
}

#[pymethods]
impl WriteSet {
    /// Accounts whose balance, nonce or code changed.
    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        addresses_tuple(py, self.writes().accounts.iter().copied())
    }

    /// Pairs of (account, slot).
    #[getter]
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        slots_tuple(py, self.writes().slots.iter().copied())
    }

    fn __repr__(&self) -> String {
        let writes = self.writes();
        format!(
            "WriteSet({} accounts, {} slots)",
            writes.accounts.len(),
            writes.slots.len()
        )
    }
}

/// A run on known state.
#[pyclass(frozen, module = "seawall._native")]
pub struct Execution(Arc<ExecutionData>);

#[pymethods]
impl Execution {
    #[getter]
    fn transactions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let results = (0..self.0.transactions.len()).map(|index| CallResult {
            execution: Arc::clone(&self.0),
            part: Part::Transaction(index),
        });
        PyTuple::new(py, results)
    }

    #[getter]
    fn probes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let results = (0..self.0.probes.len()).map(|index| CallResult {
            execution: Arc::clone(&self.0),
            part: Part::Probe(index),
        });
        PyTuple::new(py, results)
    }

    /// Whether every transaction succeeded; probes fail alone.
    #[getter]
    fn success(&self) -> bool {
        self.0
            .transactions
            .iter()
            .all(|transaction| transaction.status == Status::Success)
    }

    /// Of all transactions.
    #[getter]
    fn gas_used(&self) -> u64 {
        self.0
            .transactions
            .iter()
            .map(|transaction| transaction.gas_used)
            .sum()
    }

    /// Of one that succeeded, what most judgements need, in one crossing: gas used, the sender's balance after it,
    /// flows as (token, sender, recipient, amount), allowances as (token, owner, spender, amount), what each probe
    /// answered (`None`: it failed), and whether there are logs. `None` where there is not one transaction, or it failed.
    fn brief<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let [transaction] = self.0.transactions.as_slice() else {
            return Ok(None);
        };
        if transaction.status != Status::Success {
            return Ok(None);
        }
        let flows = transaction.flows.iter().map(|flow| {
            (
                flow.token.map(Address20),
                Address20(flow.from),
                Address20(flow.to),
                Amount(flow.amount),
            )
        });
        let allowances = transaction.allowances.iter().map(|allowance| {
            (
                Address20(allowance.token),
                Address20(allowance.owner),
                Address20(allowance.spender),
                Amount(allowance.amount),
            )
        });
        let answers = self
            .0
            .probes
            .iter()
            .map(|probe| (probe.status == Status::Success).then(|| Data(probe.output.clone())));
        (
            transaction.gas_used,
            transaction.sender_balance.map(Amount),
            PyTuple::new(py, flows)?,
            PyTuple::new(py, allowances)?,
            PyTuple::new(py, answers)?,
            !transaction.logs.is_empty(),
        )
            .into_pyobject(py)
            .map(Some)
    }

    /// How many slots were read.
    #[getter]
    fn slots_read(&self) -> usize {
        self.0.reads.slots.len()
    }

    #[getter]
    fn read_set(&self) -> ReadSet {
        ReadSet(Arc::clone(&self.0))
    }

    #[getter]
    fn write_set(&self) -> WriteSet {
        WriteSet(Arc::clone(&self.0))
    }

    /// Number of the block that was simulated.
    #[getter]
    fn block_number(&self) -> Count {
        Count(self.0.block_number)
    }

    #[getter]
    fn base_hash(&self) -> Word {
        Word(self.0.base_hash)
    }

    /// Of the overlay that the bundle ran on.
    #[getter]
    fn overlay_digest(&self) -> Word {
        Word(self.0.overlay_digest)
    }

    fn __repr__(&self) -> String {
        format!(
            "Execution(success={}, {} transactions, gas_used={})",
            self.success(),
            self.0.transactions.len(),
            self.gas_used()
        )
    }
}

/// Keys to fetch at the base's hash and load before running again. Never an execution.
#[pyclass(frozen, module = "seawall._native")]
pub struct Missing(MissingKeys);

#[pymethods]
impl Missing {
    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        addresses_tuple(py, self.0.accounts.iter().copied())
    }

    /// Pairs of (account, slot).
    #[getter]
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        slots_tuple(py, self.0.slots.iter().copied())
    }

    /// Accounts that are loaded, but not their code.
    #[getter]
    fn codes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        addresses_tuple(py, self.0.codes.iter().copied())
    }

    /// Numbers of the blocks whose hashes are wanted.
    #[getter]
    fn block_hashes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.block_hashes)
    }

    fn __repr__(&self) -> String {
        format!(
            "Missing({} accounts, {} slots, {} codes, {} block hashes)",
            self.0.accounts.len(),
            self.0.slots.len(),
            self.0.codes.len(),
            self.0.block_hashes.len()
        )
    }
}

/// Either class, as Python sees it.
#[derive(IntoPyObject)]
pub enum Outcome {
    Execution(Execution),
    Missing(Missing),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Execution(data) => Self::Execution(Execution(Arc::new(data))),
            Answer::Missing(keys) => Self::Missing(Missing(keys)),
        }
    }
}

/// The zero digest, from which the overlay's chain starts.
pub const EMPTY_OVERLAY: B256 = B256::ZERO;
