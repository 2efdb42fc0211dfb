//! Bare loops: the limits that the benchmarks measure against. Not part of the product's API.
//!
//! `bare_loop` is revm's own handler over revm's own cache database, holding the same state, with the machine built
//! once: no read set, no flows, no layers, no Python. `bare_sign` is libsecp256k1 and Keccak alone.

use std::hint::black_box;
use std::time::Instant;

use alloy_primitives::U256;
use pyo3::prelude::*;
use revm::context::Context;
use revm::database::{CacheDB, EmptyDB};
use revm::{ExecuteEvm, MainBuilder, MainContext};
use secp256k1::SecretKey;
use zeroize::Zeroize;

use crate::errors::Fault;
use crate::evm::engine::{Evm, Pinned};
use crate::evm::inputs::EvmTransaction;
use crate::wire::password::random;
use crate::wire::signature::hash_and_sign;

/// Size of what is hashed before signing [bytes]: about a router swap's signing payload.
const MESSAGE_BYTES: usize = 300;

/// Seconds for `count` simulations of `tx` by bare revm on the state of `evm`.
#[pyfunction]
pub fn bench_bare_loop(
    py: Python<'_>,
    evm: &Bound<'_, Evm>,
    tx: Py<EvmTransaction>,
    count: usize,
) -> Result<f64, Fault> {
    let evm = evm.get();
    py.detach(|| {
        let pinned = evm.read()?;
        let environment = pinned.environment()?;
        let mut database = flattened(&pinned);
        let mut cfg = environment.cfg.clone();
        cfg.disable_base_fee = true;
        cfg.disable_nonce_check = true;
        let mut machine = Context::mainnet()
            .with_db(&mut database)
            .with_cfg(cfg)
            .with_block(environment.block.clone())
            .build_mainnet();
        let begin = Instant::now();
        for _ in 0..count {
            let result = machine.transact(tx.get().env.clone()).map_err(|error| {
                Fault::evm(
                    format!("the bare loop failed: {error}"),
                    "bench",
                    "load the state",
                )
            })?;
            black_box(result.result.tx_gas_used());
        }
        Ok(begin.elapsed().as_secs_f64())
    })
}

fn flattened(pinned: &Pinned) -> CacheDB<EmptyDB> {
    let mut database = CacheDB::new(EmptyDB::new());
    pinned.base.export(|address, info, slots| {
        database.insert_account_info(address, info);
        for (slot, value) in slots {
            let _ = database.insert_account_storage(address, *slot, *value);
        }
    });
    pinned.overlay.export(|address, info, slots| {
        if let Some(info) = info {
            database.insert_account_info(address, info.clone());
        }
        for (slot, value) in slots {
            let _ = database.insert_account_storage(address, *slot, *value);
        }
    });
    database
}

/// Seconds for `count` times hashing and signing, one thread.
#[pyfunction]
pub fn bench_bare_sign(py: Python<'_>, count: usize) -> Result<f64, Fault> {
    py.detach(|| {
        let mut secret = [0u8; 32];
        random(&mut secret)?;
        let parsed = SecretKey::from_byte_array(secret);
        secret.zeroize();
        let key =
            parsed.map_err(|_| Fault::signature("an unlucky draw", "bench", "run it again"))?;
        let mut message = [0u8; MESSAGE_BYTES];
        let begin = Instant::now();
        for round in 0..count {
            message[..32].copy_from_slice(&U256::from(round).to_be_bytes::<32>());
            black_box(hash_and_sign(&message, &key).s);
        }
        Ok(begin.elapsed().as_secs_f64())
    })
}
