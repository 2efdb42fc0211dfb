//! One bundle through revm.
//!
//! Flow: the machine is built for the call (it is neither `Send` nor cheap to keep) -> each transaction in order on
//! one journal -> each probe as a call whose changes are undone -> reads and writes from what the journal loaded.
//!
//! Two departures from the mainnet handler, neither of which changes a transaction's result:
//! - native moves are taken from the journal before it is cleared;
//! - the fee to the block's beneficiary counts neither as a read nor as a write, unless the bundle itself looked at
//!   that account. Otherwise every block would make every simulation stale.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultGas};
use revm::context::{BlockEnv, CfgEnv, ContextTr, Evm, FrameStack, JournalEntry, JournalTr, TxEnv};
use revm::context_interface::Block;
use revm::handler::evm::FrameTr;
use revm::handler::instructions::EthInstructions;
use revm::handler::{
    EthFrame, EthPrecompiles, EvmTr, FrameResult, Handler, MainnetContext, MainnetEvm,
    post_execution,
};
use revm::inspector::{Inspector, InspectorHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;

use crate::errors::Fault;
use crate::evm::flows::{Allowance, Flow, NativeMove, flows_of};
use crate::evm::inputs::Probe;
use crate::evm::reasons::RevertReason;
use crate::evm::state::{AccountFacts, LayeredState, MissingKeys, Reads};
use crate::evm::trace::{CallFrame, Tracer};

/// Frames allocated at once: calls rarely nest deeper.
const FRAMES_KEPT: usize = 8;

type Ctx<'a> = MainnetContext<LayeredState<'a>>;
type Machine<'a, INSP> = MainnetEvm<Ctx<'a>, INSP>;
type MachineError = EVMError<std::convert::Infallible, InvalidTransaction>;
type MachineResult = Result<ExecutionResult<HaltReason>, MachineError>;

/// Block and rules of a pin.
#[derive(Clone)]
pub struct Environment {
    pub cfg: CfgEnv,
    pub block: BlockEnv,
    pub base_hash: B256,
}

/// A transaction and the nonce to check, if any.
pub struct Order<'a> {
    pub env: &'a TxEnv,
    pub nonce: Option<u64>,
}

/// How a transaction or probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Success,
    /// Undone by its own code.
    Reverted,
    /// Undone by the machine: out of gas, bad opcode.
    Halted,
    /// Never ran: the sender cannot pay, the nonce or the fee is wrong.
    Rejected,
}

/// What a transaction did.
pub struct TransactionData {
    pub status: Status,
    pub gas_used: u64,
    /// After it paid its fee. `None`: the sender was not looked at, or this is a probe.
    pub sender_balance: Option<U256>,
    pub output: Bytes,
    pub created: Option<Address>,
    pub logs: Vec<Log>,
    pub revert: Option<RevertReason>,
    pub halt: Option<String>,
    pub flows: Vec<Flow>,
    pub allowances: Vec<Allowance>,
    pub trace: Option<Vec<CallFrame>>,
}

/// What a bundle changed, compared with what it read.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    pub accounts: Vec<Address>,
    pub slots: Vec<(Address, U256)>,
}

/// A run on known state.
pub struct ExecutionData {
    pub transactions: Vec<TransactionData>,
    pub probes: Vec<TransactionData>,
    pub reads: Reads,
    pub writes: Writes,
    pub block_number: u64,
    pub base_hash: B256,
    pub overlay_digest: B256,
}

/// A run: on known state, or not.
pub enum Answer {
    Execution(ExecutionData),
    Missing(MissingKeys),
}

/// Runs a bundle. With `keep`, the second value is the state after its transactions, for the overlay: there is none
/// beside `Missing`, nor where the transactions looked at an account that an override changed.
pub fn run(
    environment: &Environment,
    state: LayeredState<'_>,
    orders: &[Order<'_>],
    probes: &[&Probe],
    traced: bool,
    keep: bool,
    overlay_digest: B256,
) -> Result<(Answer, Option<EvmState>), Fault> {
    let spec = environment.cfg.spec;
    let mut context: Ctx<'_> = MainnetContext::new(state, spec);
    context.cfg = environment.cfg.clone();
    context.block = environment.block.clone();
    if traced {
        let machine = assembled(context, spec, Tracer::default());
        run_on(environment, machine, orders, probes, keep, overlay_digest)
    } else {
        let machine = assembled(context, spec, ());
        run_on(environment, machine, orders, probes, keep, overlay_digest)
    }
}

thread_local! {
    /// Call frames outlive the machine: each holds a 32 KiB stack, and allocating eight of them for every run costs
    /// a third of a swap.
    static FRAMES: RefCell<Option<FrameStack<EthFrame<EthInterpreter>>>> = const { RefCell::new(None) };
}

fn assembled<INSP>(context: Ctx<'_>, spec: SpecId, inspector: INSP) -> Machine<'_, INSP> {
    let frames = FRAMES.with_borrow_mut(Option::take);
    Evm {
        ctx: context,
        inspector,
        instruction: EthInstructions::new_mainnet_with_spec(spec),
        precompiles: EthPrecompiles::new(spec),
        frame_stack: frames.unwrap_or_else(|| FrameStack::new_prealloc(FRAMES_KEPT)),
    }
}

/// A machine that watches nothing, or one that traces.
trait Watch: Sized {
    fn execute<'a>(
        handler: &mut BundleHandler<'a, Self>,
        machine: &mut Machine<'a, Self>,
    ) -> MachineResult;

    fn collect(&mut self) -> Option<Vec<CallFrame>>;
}

impl Watch for () {
    fn execute<'a>(
        handler: &mut BundleHandler<'a, Self>,
        machine: &mut Machine<'a, Self>,
    ) -> MachineResult {
        handler.run(machine)
    }

    fn collect(&mut self) -> Option<Vec<CallFrame>> {
        None
    }
}

impl Watch for Tracer {
    fn execute<'a>(
        handler: &mut BundleHandler<'a, Self>,
        machine: &mut Machine<'a, Self>,
    ) -> MachineResult {
        handler.inspect_run(machine)
    }

    fn collect(&mut self) -> Option<Vec<CallFrame>> {
        Some(self.take())
    }
}

fn run_on<INSP: Watch>(
    environment: &Environment,
    mut machine: Machine<'_, INSP>,
    orders: &[Order<'_>],
    probes: &[&Probe],
    keep: bool,
    overlay_digest: B256,
) -> Result<(Answer, Option<EvmState>), Fault> {
    let mut handler = BundleHandler::new();
    let mut transactions = Vec::with_capacity(orders.len());
    for order in orders {
        let mut env = order.env.clone();
        let state = &mut machine.ctx.journaled_state.database;
        state.sender = Some(env.caller);
        let known = state.knows(env.caller);
        let cfg = &mut machine.ctx.cfg;
        cfg.disable_nonce_check = order.nonce.is_none() || !known;
        // A price of zero says "fees do not matter here"; any other must pay the block's base fee.
        cfg.disable_base_fee = env.gas_price == 0;
        if order.nonce.is_none() && env.kind == TxKind::Create {
            env.nonce = nonce_of(&mut machine, env.caller);
        }
        machine.ctx.tx = env;
        let result = INSP::execute(&mut handler, &mut machine);
        let trace = machine.inspector.collect();
        let moves = std::mem::take(&mut handler.moves);
        let mut data = outcome(result, &moves, trace)?;
        let sender = machine
            .ctx
            .journaled_state
            .inner
            .state
            .get(&order.env.caller);
        data.sender_balance = sender.map(|account| account.info.balance);
        transactions.push(data);
    }
    let keep = keep && !machine.ctx.journaled_state.database.read_overridden();
    // A probe is undone, but it makes what it reads look as if it had not been changed by the transactions.
    let before_probes =
        (keep && !probes.is_empty()).then(|| machine.ctx.journaled_state.inner.clone().finalize());
    let answers = run_probes(&mut handler, &mut machine, probes)?;
    let after = machine.ctx.journaled_state.finalize();
    machine.frame_stack.clear();
    FRAMES.set(Some(machine.frame_stack));
    let state = machine.ctx.journaled_state.database;
    if !state.missing.is_empty() {
        return Ok((Answer::Missing(state.missing), None));
    }
    let mut writes = writes_of(&state.reads, &after);
    let mut reads = if state.has_overrides() {
        state.facts()
    } else {
        state.reads
    };
    if !handler.beneficiary_read.get() {
        let beneficiary = environment.block.beneficiary;
        reads
            .accounts
            .retain(|(address, _)| *address != beneficiary);
        writes.accounts.retain(|address| *address != beneficiary);
    }
    let execution = ExecutionData {
        transactions,
        probes: answers,
        writes,
        reads,
        block_number: environment.block.number.saturating_to(),
        base_hash: environment.base_hash,
        overlay_digest,
    };
    let kept = keep.then(|| before_probes.unwrap_or(after));
    Ok((Answer::Execution(execution), kept))
}

fn nonce_of<INSP>(machine: &mut Machine<'_, INSP>, sender: Address) -> u64 {
    match machine.ctx.journaled_state.load_account(sender) {
        Ok(account) => account.info.nonce,
        Err(never) => match never {},
    }
}

fn run_probes<'a, INSP>(
    handler: &mut BundleHandler<'a, INSP>,
    machine: &mut Machine<'a, INSP>,
    probes: &[&Probe],
) -> Result<Vec<TransactionData>, Fault> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    handler.probing = true;
    let journal = &mut machine.ctx.journaled_state;
    journal.warm_precompiles(machine.precompiles.warm_addresses());
    let mut answers = Vec::with_capacity(probes.len());
    for probe in probes {
        machine.ctx.tx = TxEnv {
            caller: probe.sender.0,
            kind: TxKind::Call(probe.target.0),
            data: probe.data.0.clone(),
            gas_limit: probe.gas_limit.0,
            ..TxEnv::default()
        };
        // A call without validation, fee or nonce; `execution_result` undoes it.
        answers.push(outcome(handler.run_system_call(machine), &[], None)?);
    }
    Ok(answers)
}

fn outcome(
    result: MachineResult,
    moves: &[NativeMove],
    trace: Option<Vec<CallFrame>>,
) -> Result<TransactionData, Fault> {
    let mut data = TransactionData {
        status: Status::Success,
        gas_used: 0,
        sender_balance: None,
        output: Bytes::new(),
        created: None,
        logs: Vec::new(),
        revert: None,
        halt: None,
        flows: Vec::new(),
        allowances: Vec::new(),
        trace,
    };
    match result {
        Ok(ExecutionResult::Success {
            gas, logs, output, ..
        }) => {
            data.gas_used = gas.tx_gas_used();
            data.created = output.address().copied();
            data.output = output.into_data();
            (data.flows, data.allowances) = flows_of(&logs, moves);
            data.logs = logs;
        }
        Ok(ExecutionResult::Revert { gas, output, .. }) => {
            data.status = Status::Reverted;
            data.gas_used = gas.tx_gas_used();
            data.revert = Some(RevertReason::decode(&output));
            data.output = output;
        }
        Ok(ExecutionResult::Halt { reason, gas, .. }) => {
            data.status = Status::Halted;
            data.gas_used = gas.tx_gas_used();
            data.halt = Some(format!("{reason:?}"));
        }
        Err(EVMError::Transaction(invalid)) => {
            data.status = Status::Rejected;
            data.halt = Some(invalid.to_string());
        }
        Err(EVMError::Database(never)) => match never {},
        Err(other) => {
            return Err(Fault::evm(
                format!("the bundle cannot be run: {other}"),
                "run",
                "check the block environment",
            ));
        }
    }
    Ok(data)
}

/// What differs from what was read. Slots of a contract made in the bundle were never read.
fn writes_of(reads: &Reads, after: &EvmState) -> Writes {
    let mut writes = Writes::default();
    for (address, before) in &reads.accounts {
        let Some(account) = after.get(address) else {
            continue;
        };
        if account.is_selfdestructed() || AccountFacts::from(&account.info) != *before {
            writes.accounts.push(*address);
        }
        if account.is_created() {
            let set = account
                .storage
                .iter()
                .filter(|(_, slot)| !slot.present_value.is_zero());
            writes.slots.extend(set.map(|(slot, _)| (*address, *slot)));
        }
    }
    for (address, slot, before) in &reads.slots {
        if let Some(account) = after.get(address)
            && !account.is_created()
            && let Some(value) = account.storage.get(slot)
            && value.present_value != *before
        {
            writes.slots.push((*address, *slot));
        }
    }
    writes
}

/// The mainnet's handler, with the two departures that the module names.
struct BundleHandler<'a, INSP> {
    probing: bool,
    moves: Vec<NativeMove>,
    beneficiary_read: Cell<bool>,
    machine: PhantomData<fn() -> (&'a (), INSP)>,
}

impl<INSP> BundleHandler<'_, INSP> {
    fn new() -> Self {
        Self {
            probing: false,
            moves: Vec::new(),
            beneficiary_read: Cell::new(false),
            machine: PhantomData,
        }
    }
}

impl<'a, INSP> Handler for BundleHandler<'a, INSP> {
    type Evm = Machine<'a, INSP>;
    type Error = MachineError;
    type HaltReason = HaltReason;

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        exec_result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        let context = evm.ctx();
        let base_fee = u128::from(context.block.basefee());
        let burned = if context.cfg.spec().is_enabled_in(SpecId::LONDON) {
            base_fee
        } else {
            0
        };
        if context.tx.gas_price <= burned {
            return Ok(());
        }
        let journal = &context.journaled_state.inner;
        let looked_at = journal
            .state
            .get(&context.block.beneficiary)
            .is_some_and(|account| !account.is_cold_transaction_id(journal.transaction_id));
        if looked_at {
            self.beneficiary_read.set(true);
        }
        post_execution::reward_beneficiary(context, exec_result.gas()).map_err(From::from)
    }

    fn execution_result(
        &mut self,
        evm: &mut Self::Evm,
        result: <EthFrame<EthInterpreter> as FrameTr>::FrameResult,
        result_gas: ResultGas,
    ) -> Result<ExecutionResult<HaltReason>, Self::Error> {
        let context = evm.ctx();
        std::mem::replace(context.error(), Ok(()))?;
        self.moves = native_moves(&context.journaled_state.inner.journal);
        let output = post_execution::output(context, result, result_gas);
        if self.probing {
            context.journaled_state.discard_tx();
        } else {
            context.journaled_state.commit_tx();
        }
        revm::context_interface::LocalContextTr::clear(context.local_mut());
        evm.frame_stack().clear();
        Ok(output)
    }
}

impl<'a, INSP> InspectorHandler for BundleHandler<'a, INSP>
where
    INSP: Inspector<Ctx<'a>, EthInterpreter>,
{
    type IT = EthInterpreter;
}

fn native_moves(journal: &[JournalEntry]) -> Vec<NativeMove> {
    journal
        .iter()
        .filter_map(|entry| match entry {
            JournalEntry::BalanceTransfer { balance, from, to } => Some((*from, *to, *balance)),
            JournalEntry::AccountDestroyed {
                had_balance,
                address,
                target,
                ..
            } => Some((*address, *target, *had_balance)),
            _ => None,
        })
        .filter(|(from, to, amount)| from != to && !amount.is_zero())
        .map(|(from, to, amount)| NativeMove { from, to, amount })
        .collect()
}
