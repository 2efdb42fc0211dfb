//! The state that a bundle runs on: layers, none of which a run changes.
//!
//! Reads go overrides -> series -> overlay -> base. *Base* is what was fetched at the pinned block's hash. *Overlay* is
//! what our committed, unlanded attempts leave behind; a *series* is what may be put on top of it. *Overrides* belong
//! to one run. What is in none of them is written down
//! as missing, and answered with nothing, so that the run can go on and collect more keys.
//! Invariant: the reads recorded here are exactly the facts that an execution stands on.

use std::convert::Infallible;

use alloy_primitives::map::{AddressMap, B256Map, HashMap};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::bytecode::Bytecode;
use revm::database_interface::Database;
use revm::state::{Account, AccountId, AccountInfo, EvmState};

use crate::errors::Fault;
use crate::evm::inputs::{AccountState, StateOverride};

/// Most contracts whose analysed code is kept over pins.
const CODES_MAX: usize = 4096;

/// What an unknown sender is lent while keys are collected [wei]; such a run is never an execution.
const LENT_WEI: U256 = U256::from_limbs([0, 0, 1, 0]);

type Slots = HashMap<U256, U256>;

/// Account state as fetched: existence is known once `info` is known.
#[derive(Default)]
struct BaseAccount {
    known: Option<BaseInfo>,
    slots: Slots,
}

#[derive(Clone, Copy)]
struct BaseInfo {
    balance: U256,
    nonce: u64,
    /// `None`: neither hash nor code came.
    code_hash: Option<B256>,
}

/// What was fetched at the pinned block.
#[derive(Default)]
pub struct Base {
    index: AddressMap<u32>,
    accounts: Vec<BaseAccount>,
    block_hashes: HashMap<u64, B256>,
    /// Survives pins: code is addressed by its hash.
    codes: B256Map<Bytecode>,
}

impl Base {
    /// Forgets all but code.
    pub fn clear(&mut self) {
        self.index.clear();
        self.accounts.clear();
        self.block_hashes.clear();
    }

    pub fn has_code(&self, hash: B256) -> bool {
        hash == KECCAK256_EMPTY || self.codes.contains_key(&hash)
    }

    pub fn set_account(&mut self, account: &AccountState) {
        self.entry(account.address.0).known = Some(BaseInfo {
            balance: account.balance_wei.0,
            nonce: account.nonce.0,
            code_hash: account.code_hash.map(|hash| hash.0),
        });
    }

    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.entry(address).slots.insert(slot, value);
    }

    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Code of an account that is loaded; it must have the hash that the account names, if it names one.
    pub fn set_code(&mut self, address: Address, code: &Bytes) -> Result<(), Fault> {
        let hash = keccak256(code);
        let place = address.to_checksum(None);
        let Some(known) = self.entry(address).known.as_mut() else {
            return Err(Fault::evm(
                "code was loaded for an account that is not loaded",
                place,
                "load the account in the same call",
            ));
        };
        match known.code_hash {
            Some(expected) if expected != hash => {
                return Err(Fault::evm(
                    format!("the code hashes to {hash}, the account says {expected}"),
                    place,
                    "fetch both at the same block hash",
                ));
            }
            _ => known.code_hash = Some(hash),
        }
        if !self.has_code(hash) {
            if self.codes.len() >= CODES_MAX {
                self.codes.clear();
            }
            self.codes.insert(hash, analysed(code)?);
        }
        Ok(())
    }

    fn entry(&mut self, address: Address) -> &mut BaseAccount {
        let next = self.accounts.len();
        let index = *self
            .index
            .entry(address)
            .or_insert_with(|| u32::try_from(next).unwrap_or(u32::MAX));
        if index as usize == next {
            self.accounts.push(BaseAccount::default());
        }
        &mut self.accounts[index as usize]
    }

    fn code(&self, hash: B256) -> Option<Bytecode> {
        if hash == KECCAK256_EMPTY {
            return Some(Bytecode::default());
        }
        self.codes.get(&hash).cloned()
    }

    /// Everything known, for a database of another kind.
    pub fn export(&self, mut account: impl FnMut(Address, AccountInfo, &Slots)) {
        for (address, index) in &self.index {
            let entry = &self.accounts[*index as usize];
            if let Some(known) = entry.known {
                let hash = known.code_hash.unwrap_or(KECCAK256_EMPTY);
                let code = self.code(hash).unwrap_or_default();
                let info = AccountInfo::new(known.balance, known.nonce, hash, code);
                account(*address, info, &entry.slots);
            }
        }
    }
}

fn analysed(code: &Bytes) -> Result<Bytecode, Fault> {
    Bytecode::new_raw_checked(code.clone()).map_err(|error| {
        Fault::evm(
            format!("the code cannot be run: {error}"),
            "code",
            "check where it came from",
        )
    })
}

/// One account of a layer above the base.
#[derive(Clone, Default)]
pub struct LayerAccount {
    /// `None`: there is no such account.
    info: Option<AccountInfo>,
    slots: Slots,
    /// Slots that are not here are zero, whatever lies below.
    wiped: bool,
}

/// Accounts that lie over the base.
#[derive(Clone, Default)]
pub struct Layer(AddressMap<LayerAccount>);

impl Layer {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes in what a transaction changed.
    pub fn commit(&mut self, changes: EvmState) {
        for (address, account) in changes {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: Account) {
        let target = self.0.entry(address).or_default();
        if account.is_selfdestructed() || account.is_created() {
            target.slots.clear();
            target.wiped = true;
        }
        if account.is_selfdestructed() {
            target.info = None;
            return;
        }
        for (slot, value) in &account.storage {
            if value.is_changed() {
                target.slots.insert(*slot, value.present_value);
            }
        }
        // EIP-161: what is touched and empty is gone. (revm marks it created where that rule is not in force.)
        let gone = account.is_empty() && !account.is_created();
        target.info = (!gone).then_some(account.info);
    }

    pub fn export(&self, mut account: impl FnMut(Address, Option<&AccountInfo>, &Slots)) {
        for (address, entry) in &self.0 {
            account(*address, entry.info.as_ref(), &entry.slots);
        }
    }
}

/// Keys that no layer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingKeys {
    pub accounts: Vec<Address>,
    pub slots: Vec<(Address, U256)>,
    pub codes: Vec<Address>,
    pub block_hashes: Vec<u64>,
}

impl MissingKeys {
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.slots.is_empty()
            && self.codes.is_empty()
            && self.block_hashes.is_empty()
    }
}

/// What was read, with the values found: an execution is as good as these facts.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pub accounts: Vec<(Address, AccountFacts)>,
    pub slots: Vec<(Address, U256, U256)>,
    pub block_hashes: Vec<u64>,
}

/// The facts of an account that a later block may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    pub balance: U256,
    pub nonce: u64,
    pub code_hash: B256,
}

impl From<&AccountInfo> for AccountFacts {
    fn from(info: &AccountInfo) -> Self {
        Self {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
        }
    }
}

impl AccountFacts {
    pub const ABSENT: Self = Self {
        balance: U256::ZERO,
        nonce: 0,
        code_hash: KECCAK256_EMPTY,
    };
}

/// The layers of one run, as revm's database.
pub struct LayeredState<'a> {
    base: &'a Base,
    overlay: &'a Layer,
    /// Of the series that the run is a part of: what those before it left behind, on top of the overlay.
    series: &'a Layer,
    overrides: Layer,
    /// Accounts of which an override assumes everything.
    assumed: Vec<Address>,
    /// Whoever sends the current transaction: if unknown, it is lent funds, so that the run can go on collecting.
    pub sender: Option<Address>,
    pub reads: Reads,
    pub missing: MissingKeys,
}

impl<'a> LayeredState<'a> {
    pub fn new(base: &'a Base, overlay: &'a Layer, series: &'a Layer) -> Self {
        Self {
            base,
            overlay,
            series,
            overrides: Layer::default(),
            assumed: Vec::new(),
            sender: None,
            reads: Reads::default(),
            missing: MissingKeys::default(),
        }
    }

    /// Lays one override over the account as it stands below.
    pub fn apply_override(&mut self, change: &StateOverride) -> Result<(), Fault> {
        let address = change.address.0;
        let complete =
            change.balance_wei.is_some() && change.nonce.is_some() && change.code.is_some();
        // A complete override asks nothing of the base.
        let mut info = if complete {
            self.assumed.push(address);
            AccountInfo::default()
        } else {
            self.lookup(address).unwrap_or_default()
        };
        if let Some(balance) = change.balance_wei {
            info.balance = balance.0;
        }
        if let Some(nonce) = change.nonce {
            info.nonce = nonce.0;
        }
        if let Some(code) = &change.code {
            info.code_hash = keccak256(&code.0);
            info.code = Some(analysed(&code.0)?);
        }
        let entry = self.overrides.0.entry(address).or_default();
        entry.info = Some(info);
        for (slot, value) in &change.slots {
            entry.slots.insert(slot.number(), value.number());
        }
        Ok(())
    }

    /// The reads that base and overlay answered: what an override assumes is no fact of the chain.
    pub fn facts(&self) -> Reads {
        let mut reads = self.reads.clone();
        reads
            .accounts
            .retain(|(address, _)| !self.assumed.contains(address));
        reads.slots.retain(|(address, slot, _)| {
            let entry = self.overrides.0.get(address);
            !entry.is_some_and(|entry| entry.slots.contains_key(slot))
        });
        reads
    }

    /// Whether any account that was read so far has an override.
    pub fn read_overridden(&self) -> bool {
        let mut read = self.reads.accounts.iter();
        self.has_overrides() && read.any(|(address, _)| self.overrides.0.contains_key(address))
    }

    pub fn has_overrides(&self) -> bool {
        !self.overrides.0.is_empty()
    }

    /// Whether any layer tells of this account.
    pub fn knows(&self, address: Address) -> bool {
        let index = self.base.index.get(&address);
        self.overrides.0.contains_key(&address)
            || self.series.0.contains_key(&address)
            || self.overlay.0.contains_key(&address)
            || index.is_some_and(|index| self.base.accounts[*index as usize].known.is_some())
    }

    fn lookup(&mut self, address: Address) -> Option<AccountInfo> {
        let index = self.base.index.get(&address).copied();
        let id = index.and_then(|index| AccountId::new(index as usize));
        for layer in [&self.overrides, self.series, self.overlay] {
            if !layer.0.is_empty()
                && let Some(entry) = layer.0.get(&address)
            {
                return entry.info.clone().map(|mut info| {
                    info.account_id = id;
                    info
                });
            }
        }
        let known = index.and_then(|index| self.base.accounts[index as usize].known);
        let Some(known) = known else {
            self.missing.accounts.push(address);
            let lent = AccountInfo::from_balance(LENT_WEI);
            return (self.sender == Some(address)).then_some(lent);
        };
        let code = known.code_hash.and_then(|hash| self.base.code(hash));
        if code.is_none() {
            self.missing.codes.push(address);
        }
        let code_hash = known.code_hash.unwrap_or(KECCAK256_EMPTY);
        let mut info = AccountInfo::new(
            known.balance,
            known.nonce,
            code_hash,
            code.unwrap_or_default(),
        );
        if info.is_empty() {
            return None;
        }
        info.account_id = id;
        Some(info)
    }

    fn lookup_slot(&mut self, address: Address, id: Option<AccountId>, slot: U256) -> U256 {
        for layer in [&self.overrides, self.series, self.overlay] {
            if !layer.0.is_empty()
                && let Some(entry) = layer.0.get(&address)
            {
                if let Some(value) = entry.slots.get(&slot) {
                    return *value;
                }
                if entry.wiped {
                    return U256::ZERO;
                }
            }
        }
        let index = match id {
            Some(id) => Some(id.get()),
            None => self.base.index.get(&address).map(|index| *index as usize),
        };
        let value = index.and_then(|index| self.base.accounts[index].slots.get(&slot));
        if value.is_none() {
            self.missing.slots.push((address, slot));
        }
        value.copied().unwrap_or_default()
    }

    fn read_slot(&mut self, address: Address, id: Option<AccountId>, slot: U256) -> U256 {
        let value = self.lookup_slot(address, id, slot);
        self.reads.slots.push((address, slot, value));
        value
    }
}

impl Database for LayeredState<'_> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let info = self.lookup(address);
        let facts = info
            .as_ref()
            .map_or(AccountFacts::ABSENT, AccountFacts::from);
        self.reads.accounts.push((address, facts));
        Ok(info)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        // `basic` always answers with the code; what has none here was written down as missing there.
        Ok(self.base.code(code_hash).unwrap_or_default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.read_slot(address, None, slot))
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        id: AccountId,
        slot: U256,
    ) -> Result<U256, Infallible> {
        Ok(self.read_slot(address, Some(id), slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        let known = self.base.block_hashes.get(&number).copied();
        if known.is_none() && !self.missing.block_hashes.contains(&number) {
            self.missing.block_hashes.push(number);
        }
        if !self.reads.block_hashes.contains(&number) {
            self.reads.block_hashes.push(number);
        }
        Ok(known.unwrap_or_default())
    }
}
