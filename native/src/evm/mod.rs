//! Simulation: state in, answers out.
//!
//! Flow: Python pins a block, loads the state that was asked for, and runs bundles; what is not there comes back as
//! `Missing`, is fetched in one batch pinned to the block's hash, and loaded, until the bundle runs on known state.
//!
//! | module     | what it does                                                        |
//! |------------|---------------------------------------------------------------------|
//! | `inputs`   | blocks, transactions, probes, overrides, accounts, as Python gives  |
//! | `state`    | base (fetched), overlay (ours, unlanded), overrides; reads recorded |
//! | `machine`  | one bundle through revm: transactions in order, then probes         |
//! | `flows`    | token flows and allowance changes, from logs and the journal        |
//! | `reasons`  | why a call reverted                                                 |
//! | `trace`    | the call tree, only on demand                                       |
//! | `results`  | executions and what is missing, converted to Python only when read  |
//! | `engine`   | the Python class: locks, bundles, overlay                           |
//!
//! Invariants: an incomplete run is never an execution; a run leaves the state alone; the hardfork is always named,
//! never "latest". Assumption: chains whose EVM differs from the mainnet's are simulated elsewhere.

pub mod engine;
pub mod flows;
pub mod inputs;
pub mod machine;
pub mod reasons;
pub mod results;
pub mod state;
pub mod trace;
