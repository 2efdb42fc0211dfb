//! Web3 Secret Storage, version 3: one encrypted private key in JSON.
//!
//! Flow: password -> scrypt or PBKDF2-HMAC-SHA256 -> 32 bytes; the first 16 are the AES-128-CTR key, the last 16 with
//! the ciphertext give the Keccak MAC that proves the password.
//! Assumptions: the file is untrusted, so every cost parameter has a bound before any memory is taken.
//! Every derived secret is wiped. Absent on purpose: versions 1 and 2, AES-CBC, presale wallets.

use aes::cipher::{KeyIvInit, StreamCipher};
use alloy_primitives::{Address, hex, keccak256_uncached};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::errors::Fault;
use crate::wire::password::random;

/// Largest keystore file [bytes].
const KEYSTORE_BYTES_MAX: usize = 16 * 1024;
/// Most memory that a key derivation may take [bytes].
const SCRYPT_MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Largest scrypt parallelism (each pass costs the full time).
const SCRYPT_P_MAX: u32 = 64;
/// Most PBKDF2 rounds.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
const DERIVED_BYTES: usize = 32;
const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 32;
const IV_BYTES: usize = 16;
const MASTER_VERSION: u64 = 1;
const PLACE: &str = "keystore";

/// scrypt's cost: CPU and memory `n` (a power of two), block size `r`, parallelism `p`.
#[derive(Clone, Copy)]
pub struct ScryptCost {
    pub n: u64,
    pub r: u32,
    pub p: u32,
}

/// A private key that is wiped when dropped.
pub type Secret = Zeroizing<[u8; SECRET_BYTES]>;

#[derive(Serialize, Deserialize)]
struct Keystore {
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    version: u64,
    #[serde(default)]
    id: String,
    #[serde(default)]
    address: String,
}

/// The seed of `derivation`, in a file that is no keystore.
#[derive(Serialize, Deserialize)]
struct MasterFile {
    seawall_master: u64,
    crypto: Crypto,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    ciphertext: String,
    cipherparams: CipherParams,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize, Default)]
struct KdfParams {
    dklen: usize,
    salt: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    r: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    p: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    c: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    prf: Option<String>,
}

fn malformed(what: impl Into<String>) -> Fault {
    Fault::keystore(what, PLACE, "restore the file from its backup")
}

fn unhex(text: &str, field: &str) -> Result<Vec<u8>, Fault> {
    hex::decode(text).map_err(|_| malformed(format!("{field} is not hex")))
}

/// Opens a keystore. Returns the secret and the address that the file names, if it names one.
pub fn open(json: &[u8], password: &[u8]) -> Result<(Secret, Option<Address>), Fault> {
    if json.len() > KEYSTORE_BYTES_MAX {
        return Err(malformed(format!(
            "the keystore is larger than {KEYSTORE_BYTES_MAX} bytes"
        )));
    }
    // The parser's message is dropped: it may quote the file.
    let store: Keystore = serde_json::from_slice(json).map_err(|error| {
        malformed(format!(
            "not a version 3 keystore (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    if store.version != 3 {
        return Err(malformed(format!(
            "keystore version {} is not supported",
            store.version
        )));
    }
    let secret = decrypt(&store.crypto, password)?;
    let address = named_address(&store.address)?;
    Ok((secret, address))
}

/// Encrypts a key as a version 3 keystore with scrypt.
pub fn seal(
    secret: &[u8; SECRET_BYTES],
    address: Address,
    password: &[u8],
    cost: ScryptCost,
) -> Result<String, Fault> {
    let mut id = [0u8; 16];
    random(&mut id)?;
    let store = Keystore {
        version: 3,
        id: uuid4(id),
        address: hex::encode(address),
        crypto: encrypt(secret, password, cost)?,
    };
    serde_json::to_string(&store).map_err(|_| malformed("the keystore cannot be written as JSON"))
}

/// Opens a master file.
pub fn open_master(json: &[u8], password: &[u8]) -> Result<Secret, Fault> {
    if json.len() > KEYSTORE_BYTES_MAX {
        return Err(malformed(format!(
            "the master file is larger than {KEYSTORE_BYTES_MAX} bytes"
        )));
    }
    let file: MasterFile = serde_json::from_slice(json).map_err(|error| {
        malformed(format!(
            "not a master file (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    if file.seawall_master != MASTER_VERSION {
        return Err(malformed(format!(
            "a master file of version {} is not supported",
            file.seawall_master
        )));
    }
    decrypt(&file.crypto, password)
}

/// Encrypts a seed as a master file: no keystore, so that nobody unlocks it as a key by mistake.
pub fn seal_master(
    seed: &[u8; SECRET_BYTES],
    password: &[u8],
    cost: ScryptCost,
) -> Result<String, Fault> {
    let file = MasterFile {
        seawall_master: MASTER_VERSION,
        crypto: encrypt(seed, password, cost)?,
    };
    serde_json::to_string(&file).map_err(|_| malformed("the master cannot be written as JSON"))
}

/// Opens what `encrypt` or another program's keystore holds.
fn decrypt(crypto: &Crypto, password: &[u8]) -> Result<Secret, Fault> {
    if crypto.cipher != "aes-128-ctr" {
        return Err(malformed("the cipher is not aes-128-ctr"));
    }
    let mut secret = Zeroizing::new([0u8; SECRET_BYTES]);
    let ciphertext = unhex(&crypto.ciphertext, "ciphertext")?;
    let iv = unhex(&crypto.cipherparams.iv, "iv")?;
    let mac = unhex(&crypto.mac, "mac")?;
    if ciphertext.len() != SECRET_BYTES || iv.len() != IV_BYTES {
        return Err(malformed("ciphertext or iv has the wrong length"));
    }
    let derived = derive(crypto, password)?;
    if !bool::from(mac_of(&derived, &ciphertext).ct_eq(mac.as_slice())) {
        return Err(Fault::keystore(
            "the password does not open this keystore",
            PLACE,
            "give this keystore's password",
        ));
    }
    secret.copy_from_slice(&ciphertext);
    apply_cipher(&derived, &iv, secret.as_mut());
    Ok(secret)
}

/// Encrypts 32 bytes with scrypt and AES-128-CTR.
fn encrypt(
    secret: &[u8; SECRET_BYTES],
    password: &[u8],
    cost: ScryptCost,
) -> Result<Crypto, Fault> {
    let mut salt = [0u8; SALT_BYTES];
    let mut iv = [0u8; IV_BYTES];
    random(&mut salt)?;
    random(&mut iv)?;
    let derived = scrypt_key(password, &salt, cost)?;
    let mut ciphertext = *secret;
    apply_cipher(&derived, &iv, &mut ciphertext);
    Ok(Crypto {
        cipher: "aes-128-ctr".to_owned(),
        ciphertext: hex::encode(ciphertext),
        cipherparams: CipherParams {
            iv: hex::encode(iv),
        },
        kdf: "scrypt".to_owned(),
        mac: hex::encode(mac_of(&derived, &ciphertext)),
        kdfparams: KdfParams {
            dklen: DERIVED_BYTES,
            salt: hex::encode(salt),
            n: Some(cost.n),
            r: Some(cost.r),
            p: Some(cost.p),
            ..KdfParams::default()
        },
    })
}

fn derive(crypto: &Crypto, password: &[u8]) -> Result<Zeroizing<[u8; DERIVED_BYTES]>, Fault> {
    let params = &crypto.kdfparams;
    if params.dklen != DERIVED_BYTES {
        return Err(malformed(format!("dklen is not {DERIVED_BYTES}")));
    }
    let salt = unhex(&params.salt, "salt")?;
    match crypto.kdf.as_str() {
        "scrypt" => match (params.n, params.r, params.p) {
            (Some(n), Some(r), Some(p)) => scrypt_key(password, &salt, ScryptCost { n, r, p }),
            _ => Err(malformed("scrypt needs n, r and p")),
        },
        "pbkdf2" => {
            let rounds = params.c.unwrap_or(0);
            if params.prf.as_deref() != Some("hmac-sha256")
                || rounds == 0
                || rounds > PBKDF2_ROUNDS_MAX
            {
                return Err(malformed(format!(
                    "pbkdf2 needs prf hmac-sha256 and 1 to {PBKDF2_ROUNDS_MAX} rounds"
                )));
            }
            let mut derived = Zeroizing::new([0u8; DERIVED_BYTES]);
            pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, &salt, rounds, derived.as_mut());
            Ok(derived)
        }
        _ => Err(malformed("the key derivation is neither scrypt nor pbkdf2")),
    }
}

fn scrypt_key(
    password: &[u8],
    salt: &[u8],
    cost: ScryptCost,
) -> Result<Zeroizing<[u8; DERIVED_BYTES]>, Fault> {
    let memory = cost
        .n
        .checked_mul(128)
        .and_then(|bytes| bytes.checked_mul(u64::from(cost.r)));
    let affordable = memory.is_some_and(|bytes| bytes <= SCRYPT_MEMORY_BYTES_MAX);
    if !cost.n.is_power_of_two() || cost.n < 2 || !affordable || cost.p > SCRYPT_P_MAX {
        return Err(Fault::keystore(
            "the scrypt cost is out of bounds",
            PLACE,
            format!(
                "use n a power of two, 128 * n * r <= {SCRYPT_MEMORY_BYTES_MAX} bytes and p <= {SCRYPT_P_MAX}"
            ),
        ));
    }
    let log_n = u8::try_from(cost.n.trailing_zeros()).unwrap_or(u8::MAX);
    let params = scrypt::Params::new(log_n, cost.r, cost.p, DERIVED_BYTES)
        .map_err(|_| malformed("the scrypt parameters contradict each other"))?;
    let mut derived = Zeroizing::new([0u8; DERIVED_BYTES]);
    scrypt::scrypt(password, salt, &params, derived.as_mut())
        .map_err(|_| malformed("scrypt refused its output length"))?;
    Ok(derived)
}

fn mac_of(derived: &[u8; DERIVED_BYTES], ciphertext: &[u8]) -> [u8; 32] {
    let mut message = Zeroizing::new(derived[16..].to_vec());
    message.extend_from_slice(ciphertext);
    // Half of a derived key is hashed here: it must not stay in the cache of hashes.
    keccak256_uncached(message.as_slice()).0
}

fn apply_cipher(derived: &[u8; DERIVED_BYTES], iv: &[u8], data: &mut [u8]) {
    let mut cipher = ctr::Ctr128BE::<aes::Aes128>::new(derived[..16].into(), iv.into());
    cipher.apply_keystream(data);
}

fn named_address(text: &str) -> Result<Option<Address>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let raw = unhex(text, "address")?;
    Address::try_from(raw.as_slice())
        .map(Some)
        .map_err(|_| malformed("the address has the wrong length"))
}

fn uuid4(mut raw: [u8; 16]) -> String {
    raw[6] = (raw[6] & 0x0f) | 0x40;
    raw[8] = (raw[8] & 0x3f) | 0x80;
    let text = hex::encode(raw);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}
