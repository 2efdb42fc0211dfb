//! The call tree of a transaction, collected only when asked for: inspecting costs.
//!
//! Frames are in the order in which they were entered; `depth` makes them a tree.

use alloy_primitives::{Address, Bytes, U256};
use pyo3::prelude::*;
use revm::Inspector;
use revm::context::ContextTr;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{
    CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, CreateScheme, Gas,
    InstructionResult,
};

use crate::convert::{Address20, Amount, Count, Data};

/// Most frames that one trace keeps; later ones are dropped, and the trace says so by its length.
pub const FRAMES_MAX: usize = 10_000;

/// One call.
#[pyclass(frozen, get_all, module = "seawall._native")]
#[derive(Clone, Debug)]
pub struct CallFrame {
    pub depth: usize,
    /// "call", "callcode", "delegatecall", "staticcall", "create", "create2" or "selfdestruct".
    pub kind: &'static str,
    pub sender: Address20,
    /// The called address; what was created; the heir of a self-destruction.
    pub to: Option<Address20>,
    pub value_wei: Amount,
    pub input: Data,
    pub output: Data,
    pub gas_used: Count,
    pub success: bool,
}

#[pymethods]
impl CallFrame {
    fn __repr__(&self) -> String {
        format!(
            "CallFrame({} {}, success={})",
            self.depth, self.kind, self.success
        )
    }
}

/// Collects frames.
#[derive(Default)]
pub struct Tracer {
    frames: Vec<CallFrame>,
    /// Index of each open frame; `None` for one beyond the bound.
    open: Vec<Option<usize>>,
}

impl Tracer {
    pub fn take(&mut self) -> Vec<CallFrame> {
        self.open.clear();
        std::mem::take(&mut self.frames)
    }

    fn enter(
        &mut self,
        kind: &'static str,
        from: Address,
        to: Option<Address>,
        value: U256,
        input: Bytes,
    ) {
        if self.frames.len() >= FRAMES_MAX {
            self.open.push(None);
            return;
        }
        self.open.push(Some(self.frames.len()));
        self.frames.push(CallFrame {
            depth: self.open.len() - 1,
            kind,
            sender: Address20(from),
            to: to.map(Address20),
            value_wei: Amount(value),
            input: Data(input),
            output: Data(Bytes::new()),
            gas_used: Count(0),
            success: false,
        });
    }

    fn leave(
        &mut self,
        result: InstructionResult,
        gas: &Gas,
        output: &Bytes,
        created: Option<Address>,
    ) {
        let Some(Some(index)) = self.open.pop() else {
            return;
        };
        let frame = &mut self.frames[index];
        frame.success = result.is_ok();
        frame.gas_used = Count(gas.total_gas_spent());
        frame.output = Data(output.clone());
        frame.to = frame.to.or(created.map(Address20));
    }
}

impl<CTX: ContextTr> Inspector<CTX, EthInterpreter> for Tracer {
    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let (kind, to) = match inputs.scheme {
            CallScheme::Call => ("call", inputs.target_address),
            CallScheme::CallCode => ("callcode", inputs.bytecode_address),
            CallScheme::DelegateCall => ("delegatecall", inputs.bytecode_address),
            CallScheme::StaticCall => ("staticcall", inputs.target_address),
        };
        // A delegated call is made by the contract whose storage it uses.
        let from = if inputs.scheme == CallScheme::DelegateCall {
            inputs.target_address
        } else {
            inputs.caller
        };
        let input = inputs.input.bytes(context);
        self.enter(kind, from, Some(to), inputs.call_value(), input);
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        let result = &outcome.result;
        self.leave(result.result, &result.gas, &result.output, None);
    }

    fn create(&mut self, _: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let kind = match inputs.scheme() {
            CreateScheme::Create2 { .. } => "create2",
            _ => "create",
        };
        let code = inputs.init_code().clone();
        self.enter(kind, inputs.caller(), None, inputs.value(), code);
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        let result = &outcome.result;
        self.leave(result.result, &result.gas, &result.output, outcome.address);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.enter("selfdestruct", contract, Some(target), value, Bytes::new());
        if let Some(Some(index)) = self.open.pop() {
            self.frames[index].success = true;
        }
    }
}
