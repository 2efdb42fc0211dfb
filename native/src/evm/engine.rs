//! The `Evm` class: one chain's pinned state, shared by threads.
//!
//! Flow: `pin` -> `load` -> `push_overlay` for each unlanded attempt in commit order -> `run`, many times, from many
//! threads. Runs share the state under a read lock and without the GIL; `pin`, `load` and `push_overlay` write it.
//! A series runs transactions one upon the other; what each of the last series left behind is kept until the state
//! changes, so that `adopt` can put the first of them on the overlay without running them again.
//! Invariants: `push_overlay` that answers `Missing` pushed nothing; `adopt` leaves exactly the overlay that
//! `push_overlay` of the same transactions would have left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy_primitives::{B256, keccak256};
use pyo3::prelude::*;
use pyo3::types::PyList;
use rayon::prelude::*;
use revm::context::CfgEnv;
use revm::state::EvmState;

use crate::convert::{Address20, Amount, Count, Data, Word};
use crate::errors::Fault;
use crate::evm::inputs::{
    self, AccountState, BlockEnvironment, Bundle, EvmTransaction, Probe, StateOverride,
};
use crate::evm::machine::{Answer, Environment, Order, Status, run};
use crate::evm::results::{EMPTY_OVERLAY, Outcome};
use crate::evm::state::{Base, Layer, LayeredState};

/// Most transactions, probes or overrides in one bundle.
const BUNDLE_PARTS_MAX: usize = 1024;
/// Most bundles in one call.
const BUNDLES_MAX: usize = 65_536;

/// State of one chain at a pinned block, with our overlay.
pub struct Pinned {
    chain_id: u64,
    pub environment: Option<Environment>,
    pub base: Base,
    pub overlay: Layer,
    overlay_digest: B256,
    /// Grows with every change of what runs stand on.
    version: u64,
}

/// What each transaction of a series left behind, on the state of that version.
struct Kept {
    version: u64,
    after: Vec<Left>,
}

/// What a transaction of a series left behind, and the digest of the overlay with it.
type Left = (EvmState, B256);

/// One transaction of a series, and view calls on the state after it.
type Step = (Py<EvmTransaction>, Vec<Py<Probe>>);

impl Pinned {
    pub fn environment(&self) -> Result<&Environment, Fault> {
        self.environment
            .as_ref()
            .ok_or_else(|| Fault::evm("no block is pinned", "Evm", "call pin() before this"))
    }

    fn answer(
        &self,
        transactions: &[Py<EvmTransaction>],
        probes: &[Py<Probe>],
        overrides: &[Py<StateOverride>],
        trace: bool,
        keep: bool,
    ) -> Result<(Answer, Option<EvmState>), Fault> {
        let on = On {
            overlay: &self.overlay,
            series: &Layer::default(),
            digest: self.overlay_digest,
        };
        self.answer_on(&on, transactions, probes, overrides, trace, keep)
    }

    fn answer_on(
        &self,
        on: &On<'_>,
        transactions: &[Py<EvmTransaction>],
        probes: &[Py<Probe>],
        overrides: &[Py<StateOverride>],
        trace: bool,
        keep: bool,
    ) -> Result<(Answer, Option<EvmState>), Fault> {
        for parts in [transactions.len(), probes.len(), overrides.len()] {
            if parts > BUNDLE_PARTS_MAX {
                return Err(Fault::evm(
                    format!("{parts} parts in one bundle"),
                    "run",
                    format!("give at most {BUNDLE_PARTS_MAX} transactions, probes or overrides"),
                ));
            }
        }
        let environment = self.environment()?;
        let mut state = LayeredState::new(&self.base, on.overlay, on.series);
        for change in overrides {
            state.apply_override(change.get())?;
        }
        let orders: Vec<Order<'_>> = transactions
            .iter()
            .map(|transaction| {
                let transaction = transaction.get();
                Order {
                    env: &transaction.env,
                    nonce: transaction.nonce,
                }
            })
            .collect();
        let probes: Vec<&Probe> = probes.iter().map(Py::get).collect();
        // revm states its own bugs by panicking; such a run has no answer, and the state is untouched by it.
        catch_unwind(AssertUnwindSafe(|| {
            run(environment, state, &orders, &probes, trace, keep, on.digest)
        }))
        .unwrap_or_else(|_| {
            Err(Fault::evm(
                "the machine contradicted itself",
                "run",
                "report the bundle; nothing was simulated",
            ))
        })
    }

    /// Runs the steps one upon the other, as far as they succeed.
    fn series(&self, steps: &[Step]) -> Result<(Vec<Outcome>, Vec<Left>), Fault> {
        let (mut outcomes, mut kept) = (Vec::with_capacity(steps.len()), Vec::new());
        let (mut layer, mut digest) = (Layer::default(), self.overlay_digest);
        for (transaction, probes) in steps {
            let on = On {
                overlay: &self.overlay,
                series: &layer,
                digest,
            };
            let one = std::slice::from_ref(transaction);
            let (answer, after) = match self.answer_on(&on, one, probes, &[], false, true) {
                Ok(answered) => answered,
                // Whoever is at fault is told when a series begins with it.
                Err(_) if !outcomes.is_empty() => break,
                Err(fault) => return Err(fault),
            };
            let succeeded = matches!(&answer, Answer::Execution(execution)
                if execution.transactions[0].status == Status::Success);
            outcomes.push(answer.into());
            let Some(after) = after.filter(|_| succeeded) else {
                break;
            };
            layer.commit(after.clone());
            digest = chained(digest, self.chain_id, transaction.get());
            kept.push((after, digest));
        }
        Ok((outcomes, kept))
    }
}

/// What a run stands on beside the base: the overlay, and what lies on that while a part of a series runs.
struct On<'a> {
    overlay: &'a Layer,
    series: &'a Layer,
    digest: B256,
}

/// Simulates on a pinned block, its fetched state and our overlay.
#[pyclass(frozen, module = "seawall._native")]
pub struct Evm {
    pinned: RwLock<Pinned>,
    kept: Mutex<Option<Kept>>,
}

impl Evm {
    fn poisoned<T>(_: T) -> Fault {
        Fault::evm("an earlier call failed half-way", "Evm", "make a new Evm")
    }

    pub fn read(&self) -> Result<RwLockReadGuard<'_, Pinned>, Fault> {
        self.pinned.read().map_err(Self::poisoned)
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Pinned>, Fault> {
        let mut pinned = self.pinned.write().map_err(Self::poisoned)?;
        pinned.version += 1;
        Ok(pinned)
    }
}

#[pymethods]
impl Evm {
    #[new]
    fn new(chain_id: Count) -> Self {
        Self {
            pinned: RwLock::new(Pinned {
                chain_id: chain_id.0,
                environment: None,
                base: Base::default(),
                overlay: Layer::default(),
                overlay_digest: EMPTY_OVERLAY,
                version: 0,
            }),
            kept: Mutex::new(None),
        }
    }

    #[getter]
    fn chain_id(&self) -> Result<Count, Fault> {
        Ok(Count(self.read()?.chain_id))
    }

    /// A new head: forgets fetched state and overlay. Code is kept, because its hash names it.
    fn pin(
        &self,
        py: Python<'_>,
        block: &Bound<'_, BlockEnvironment>,
        base_hash: Word,
    ) -> Result<(), Fault> {
        let block = block.get();
        let spec = block.spec()?;
        py.detach(|| {
            let mut pinned = self.write()?;
            let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(pinned.chain_id);
            cfg.tx_chain_id_check = false;
            pinned.environment = Some(Environment {
                cfg,
                block: block.to_env(),
                base_hash: base_hash.0,
            });
            pinned.base.clear();
            pinned.overlay.clear();
            pinned.overlay_digest = EMPTY_OVERLAY;
            Ok(())
        })
    }

    /// State of the pinned block. Later values replace earlier ones.
    #[pyo3(signature = (accounts = Vec::new(), slots = Vec::new(), codes = Vec::new(), block_hashes = Vec::new()))]
    fn load(
        &self,
        py: Python<'_>,
        accounts: Vec<Py<AccountState>>,
        slots: Vec<(Address20, Word, Word)>,
        codes: Vec<(Address20, Data)>,
        block_hashes: Vec<(Count, Word)>,
    ) -> Result<(), Fault> {
        py.detach(|| {
            let mut pinned = self.write()?;
            let base = &mut pinned.base;
            for account in &accounts {
                base.set_account(account.get());
            }
            for (address, slot, value) in slots {
                base.set_slot(address.0, slot.number(), value.number());
            }
            for (number, hash) in block_hashes {
                base.set_block_hash(number.0, hash.0);
            }
            codes
                .iter()
                .try_for_each(|(address, code)| base.set_code(address.0, &code.0))
        })
    }

    /// Whether code of this hash is at hand, so that an account may be loaded with the hash alone.
    fn has_code(&self, code_hash: Word) -> Result<bool, Fault> {
        Ok(self.read()?.base.has_code(code_hash.0))
    }

    /// Runs a committed, unlanded attempt and keeps what it leaves behind. `Missing`: load, and push again.
    fn push_overlay(&self, py: Python<'_>, tx: Py<EvmTransaction>) -> Result<Outcome, Fault> {
        py.detach(|| {
            let mut pinned = self.write()?;
            let (answer, after) =
                pinned.answer(std::slice::from_ref(&tx), &[], &[], false, true)?;
            if let Some(after) = after {
                pinned.overlay_digest = chained(pinned.overlay_digest, pinned.chain_id, tx.get());
                pinned.overlay.commit(after);
            }
            Ok(answer.into())
        })
    }

    /// Runs transactions one upon the other, each with its probes on the state after it. Changes nothing.
    ///
    /// As many answers as that goes: one that does not succeed, or misses state, is the last.
    fn run_series<'py>(&self, py: Python<'py>, steps: Vec<Step>) -> PyResult<Bound<'py, PyList>> {
        if steps.len() > BUNDLE_PARTS_MAX {
            let what = format!("{} transactions in one series", steps.len());
            let fix = format!("give at most {BUNDLE_PARTS_MAX}");
            return Err(Fault::evm(what, "run_series", fix).into());
        }
        let outcomes = py.detach(|| -> Result<_, Fault> {
            let pinned = self.read()?;
            let (outcomes, after) = pinned.series(&steps)?;
            let version = pinned.version;
            *self.kept.lock().map_err(Self::poisoned)? = Some(Kept { version, after });
            Ok(outcomes)
        })?;
        PyList::new(py, outcomes)
    }

    /// Puts the first `count` transactions of the last series onto the overlay, as pushing them would, once.
    /// False, and nothing done, where fewer of them succeeded, or the state changed since.
    fn adopt(&self, py: Python<'_>, count: usize) -> Result<bool, Fault> {
        py.detach(|| {
            let Some(kept) = self.kept.lock().map_err(Self::poisoned)?.take() else {
                return Ok(false);
            };
            let mut pinned = self.write()?;
            // Taking the lock for writing is a change itself.
            if kept.version + 1 != pinned.version || kept.after.len() < count {
                return Ok(false);
            }
            for (after, digest) in kept.after.into_iter().take(count) {
                pinned.overlay.commit(after);
                pinned.overlay_digest = digest;
            }
            Ok(true)
        })
    }

    /// Keccak chain over what was pushed: chain, sender, target, data, value, gas limit and nonce. Fees do not count.
    fn overlay_digest(&self) -> Result<Word, Fault> {
        Ok(Word(self.read()?.overlay_digest))
    }

    /// Forgets what was pushed; fetched state stays.
    fn reset_overlay(&self, py: Python<'_>) -> Result<(), Fault> {
        py.detach(|| {
            let mut pinned = self.write()?;
            pinned.overlay.clear();
            pinned.overlay_digest = EMPTY_OVERLAY;
            Ok(())
        })
    }

    /// Runs transactions in order on base and overlay, then probes on the state after them. Changes nothing.
    #[pyo3(signature = (transactions, probes = Vec::new(), overrides = Vec::new(), trace = false))]
    fn run(
        &self,
        py: Python<'_>,
        transactions: Vec<Py<EvmTransaction>>,
        probes: Vec<Py<Probe>>,
        overrides: Vec<Py<StateOverride>>,
        trace: bool,
    ) -> Result<Outcome, Fault> {
        py.detach(|| {
            let pinned = self.read()?;
            let (answer, _) = pinned.answer(&transactions, &probes, &overrides, trace, false)?;
            Ok(answer.into())
        })
    }

    /// Runs one transaction on the base alone, as if nothing of ours were before it. Changes nothing.
    #[pyo3(signature = (transaction, overrides = Vec::new()))]
    fn run_alone(
        &self,
        py: Python<'_>,
        transaction: Py<EvmTransaction>,
        overrides: Vec<Py<StateOverride>>,
    ) -> Result<Outcome, Fault> {
        py.detach(|| {
            let pinned = self.read()?;
            let nothing = Layer::default();
            let on = On {
                overlay: &nothing,
                series: &nothing,
                digest: EMPTY_OVERLAY,
            };
            let one = std::slice::from_ref(&transaction);
            let (answer, _) = pinned.answer_on(&on, one, &[], &overrides, false, false)?;
            Ok(answer.into())
        })
    }

    /// Independent bundles, each as `run` would, spread over the machine's cores; answers in the same order.
    #[pyo3(signature = (bundles, trace = false))]
    fn run_many<'py>(
        &self,
        py: Python<'py>,
        bundles: Vec<Py<Bundle>>,
        trace: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        if bundles.len() > BUNDLES_MAX {
            return Err(Fault::evm(
                format!("{} bundles in one call", bundles.len()),
                "run_many",
                format!("give at most {BUNDLES_MAX}"),
            )
            .into());
        }
        let outcomes = py.detach(|| {
            let pinned = self.read()?;
            let pinned = &*pinned;
            bundles
                .par_iter()
                .map(|bundle| {
                    let bundle = bundle.get();
                    let (answer, _) = pinned.answer(
                        &bundle.transactions,
                        &bundle.probes,
                        &bundle.overrides,
                        trace,
                        false,
                    )?;
                    Ok(Outcome::from(answer))
                })
                .collect::<Result<Vec<_>, Fault>>()
        })?;
        PyList::new(py, outcomes)
    }

    fn __repr__(&self) -> Result<String, Fault> {
        let pinned = self.read()?;
        let block = pinned
            .environment
            .as_ref()
            .map(|environment| environment.block.number);
        Ok(format!(
            "Evm(chain_id={}, block={block:?})",
            pinned.chain_id
        ))
    }
}

fn chained(previous: B256, chain_id: u64, transaction: &EvmTransaction) -> B256 {
    let env = &transaction.env;
    let payload = inputs::payload_digest(
        chain_id,
        env.caller,
        env.kind.to().copied(),
        &env.data,
        env.value,
        env.gas_limit,
    );
    let mut preimage = Vec::with_capacity(32 + 32 + 9);
    preimage.extend_from_slice(previous.as_slice());
    preimage.extend_from_slice(payload.as_slice());
    preimage.push(u8::from(transaction.nonce.is_some()));
    preimage.extend_from_slice(&env.nonce.to_be_bytes());
    keccak256(preimage)
}

/// The digest of what a verdict binds, as the overlay's chain uses it.
#[pyfunction]
pub fn payload_digest(
    chain_id: Count,
    sender: Address20,
    to: Option<Address20>,
    data: Data,
    value_wei: Amount,
    gas_limit: Count,
) -> Word {
    Word(inputs::payload_digest(
        chain_id.0,
        sender.0,
        to.map(|to| to.0),
        &data.0,
        value_wei.0,
        gas_limit.0,
    ))
}
