//! What the signatures and key agreements alone allow: the TAM's engine runs in this process and they are counted; the
//! speed of each kind is measured beside it. Times are CPU times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tamarack_crypto::{
    Agreement, Error, KeyAgree, KeyType, Provider, PublicKey, Secret, Sign, SignatureAlgorithm, Verify,
    VerifySpki,
};
use tamarack_model::codes;

use crate::fail::{Fail, Outcome};

/// Signing and verifying, of each type of key, and agreeing on keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sign: [u64; 2],
    pub verify: [u64; 2],
    /// P-256 keys made for one message.
    pub ephemeral: u64,
    /// P-256 key agreements.
    pub agree: u64,
}

/// The order of the numbers in [`Counts`] and [`Speed`].
pub const KEY_TYPES: [(KeyType, &str); 2] = [(KeyType::Ed25519, "ed25519"), (KeyType::P256, "p256")];

static SIGNED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static VERIFIED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static EPHEMERAL: AtomicU64 = AtomicU64::new(0);
static AGREED: AtomicU64 = AtomicU64::new(0);

fn count(counters: &[AtomicU64; 2], key_type: KeyType) {
    for ((known, _), counter) in KEY_TYPES.iter().zip(counters) {
        if *known == key_type {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counts {
    /// What was counted so far.
    pub fn so_far() -> Self {
        let read = |counters: &[AtomicU64; 2]| counters.each_ref().map(|c| c.load(Ordering::Relaxed));
        let (ephemeral, agree) = (EPHEMERAL.load(Ordering::Relaxed), AGREED.load(Ordering::Relaxed));
        Self { sign: read(&SIGNED), verify: read(&VERIFIED), ephemeral, agree }
    }

    /// What was counted since `earlier`.
    pub fn since(earlier: Self) -> Self {
        let now = Self::so_far();
        let minus = |a: [u64; 2], b: [u64; 2]| [a[0] - b[0], a[1] - b[1]];
        Self {
            sign: minus(now.sign, earlier.sign),
            verify: minus(now.verify, earlier.verify),
            ephemeral: now.ephemeral - earlier.ephemeral,
            agree: now.agree - earlier.agree,
        }
    }

    /// Microseconds that they take.
    pub fn micros(&self, speed: &Speed) -> f64 {
        let all =
            |counts: [u64; 2], micros: [f64; 2]| counts[0] as f64 * micros[0] + counts[1] as f64 * micros[1];
        let agreed = self.ephemeral as f64 * speed.ephemeral + self.agree as f64 * speed.agree;
        all(self.sign, speed.sign) + all(self.verify, speed.verify) + agreed
    }
}

/// Microseconds of CPU for one operation.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    pub sign: [f64; 2],
    pub verify: [f64; 2],
    pub ephemeral: f64,
    pub agree: f64,
}

impl Speed {
    /// Measures each kind for a fraction of a second, on a message as long as the TAM's are.
    pub fn measure(crypto: &Provider) -> Outcome<Self> {
        let failed = |e: Error| Fail::new(codes::INTERNAL, e);
        let mut speed = Self { sign: [0.0; 2], verify: [0.0; 2], ephemeral: 0.0, agree: 0.0 };
        let message = [7; 512];
        for (i, (key_type, _)) in KEY_TYPES.iter().enumerate() {
            let pkcs8 = crypto.keys.generate_pkcs8(*key_type).map_err(failed)?;
            let key = crypto.keys.load_pkcs8(pkcs8.expose()).map_err(failed)?;
            let (public, signature) = (key.public_key(), key.sign(&message).map_err(failed)?);
            speed.sign[i] = micros(|| key.sign(&message).map(drop)).map_err(failed)?;
            speed.verify[i] =
                micros(|| crypto.verify.verify(&public, &message, &signature)).map_err(failed)?;
        }
        let peer = crypto.agree.ephemeral().map_err(failed)?.public_key();
        let own = crypto.agree.ephemeral().map_err(failed)?;
        speed.ephemeral = micros(|| crypto.agree.ephemeral().map(drop)).map_err(failed)?;
        speed.agree = micros(|| own.agree(&peer).map(drop)).map_err(failed)?;
        Ok(speed)
    }
}

fn micros(mut operation: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let (begin, mut rounds) = (thread_cpu(), 0u32);
    loop {
        for _ in 0..50 {
            operation()?;
        }
        rounds += 50;
        let spent = thread_cpu() - begin;
        if spent > Duration::from_millis(200) {
            return Ok(spent.as_secs_f64() * 1e6 / f64::from(rounds));
        }
    }
}

/// CPU time of this thread.
pub fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

/// CPU time of this process.
pub fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The provider, counting what it verifies and agrees on.
pub fn counting(crypto: Provider) -> Provider {
    Provider { verify: &Counting, certified: &Counting, agree: &Counting, ..crypto }
}

struct Counting;

impl Verify for Counting {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        count(&VERIFIED, key.key_type());
        tamarack_crypto_aws_lc::provider().verify.verify(key, message, signature)
    }
}

/// A key that counts what it signs.
pub struct CountingKey(pub Box<dyn Sign>);

impl Sign for CountingKey {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        count(&SIGNED, self.0.public_key().key_type());
        self.0.sign(message)
    }
}

impl VerifySpki for Counting {
    fn verify_spki(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        // The parties of the bench have no other keys.
        count(&VERIFIED, KeyType::P256);
        tamarack_crypto_aws_lc::provider().certified.verify_spki(algorithm, spki_der, message, signature)
    }
}

impl Agreement for Counting {
    fn ephemeral(&self) -> Result<Box<dyn KeyAgree>, Error> {
        EPHEMERAL.fetch_add(1, Ordering::Relaxed);
        let key = tamarack_crypto_aws_lc::provider().agree.ephemeral()?;
        Ok(Box::new(CountingAgreement(key)))
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn KeyAgree>, Error> {
        let key = tamarack_crypto_aws_lc::provider().agree.load_pkcs8(der)?;
        Ok(Box::new(CountingAgreement(key)))
    }
}

/// A key that counts what it agrees on.
struct CountingAgreement(Box<dyn KeyAgree>);

impl KeyAgree for CountingAgreement {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn agree(&self, peer: &PublicKey) -> Result<Secret<[u8; 32]>, Error> {
        AGREED.fetch_add(1, Ordering::Relaxed);
        self.0.agree(peer)
    }
}
