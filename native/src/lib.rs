//! `seawall._native`: the engine room. Hot, exact, and without I/O on the way of a plan.
//!
//! | module    | what it does                                                         |
//! |-----------|----------------------------------------------------------------------|
//! | `wire`    | keys, signing, hashing, RLP, ABI, canonical bytes of messages        |
//! | `rows`    | values of rows for the ledger's driver                               |
//! | `evm`     | state in, answers out: simulation on a pinned block                  |
//! | `convert` | the boundary's value types                                           |
//! | `errors`  | refusals, as the classes of `seawall.native.errors`                  |
//! | `bench`   | bare loops that the benchmarks measure against                       |
//!
//! Invariants: nothing panics across the boundary; long work runs without the GIL; money is never a float.

mod bench;
mod convert;
mod errors;
mod evm;
mod rows;
mod wire;

use pyo3::prelude::*;

/// Hashes of short texts that are remembered, 128 bytes each: contracts hash the keys of the same few mappings.
const HASHES_KEPT: usize = 1 << 13;

/// The engine room of Seawall. Import `seawall.native`, its typed face.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    use super::HASHES_KEPT;

    #[pymodule_export]
    use crate::bench::{bench_bare_loop, bench_bare_sign};
    #[pymodule_export]
    use crate::evm::engine::{Evm, payload_digest};
    #[pymodule_export]
    use crate::evm::inputs::{
        AccountState, BlockEnvironment, Bundle, EvmTransaction, Probe, StateOverride, hardforks,
    };
    #[pymodule_export]
    use crate::evm::reasons::RevertReason;
    #[pymodule_export]
    use crate::evm::results::{
        AllowanceChange, CallResult, EvmLog, Execution, Missing, ReadSet, TokenFlow, WriteSet,
    };
    #[pymodule_export]
    use crate::evm::trace::CallFrame;
    #[pymodule_export]
    use crate::rows::driver_values;
    #[pymodule_export]
    use crate::wire::abi::{abi_decode, abi_encode, encode_call, event_topic, selector};
    #[pymodule_export]
    use crate::wire::address::{keccak256, parse_address, to_checksum};
    #[pymodule_export]
    use crate::wire::answers::{hex_text, plain_data, plain_quantities, plain_results};
    #[pymodule_export]
    use crate::wire::canonical::CanonicalPacker;
    #[pymodule_export]
    use crate::wire::derivation::MasterKey;
    #[pymodule_export]
    use crate::wire::elsewhere::{
        complete_signature, seal_transaction, signature_of, signing_payload,
    };
    #[pymodule_export]
    use crate::wire::keys::{LocalKey, sign_together};
    #[pymodule_export]
    use crate::wire::merkle::{ordered_root, transfers_root};
    #[pymodule_export]
    use crate::wire::multicall::{aggregate3_calldata, aggregate3_results};
    #[pymodule_export]
    use crate::wire::password::Password;
    #[pymodule_export]
    use crate::wire::signature::recover;
    #[pymodule_export]
    use crate::wire::transaction::{SignedTransaction, decode_dynamic_fee, signing_digest};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        // False where another import came first: the cache is there then.
        let _ = alloy_primitives::init_keccak_cache(HASHES_KEPT);
        Ok(())
    }
}
