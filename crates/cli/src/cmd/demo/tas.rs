//! The TAs of the demo, who ships them, and how they are called.

use anyhow::{Context, Result, bail, ensure};
use tamarack_cbor::{Decoder, Limits};
use tamarack_cose::{Recipient, SignOptions, To};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_model::ComponentId;
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tee::{Param, Params};

use super::world::{Device, Receipt};
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR, class_id, vendor_id};

/// Name of the TAM in its certificate.
pub const TAM_NAME: &str = "https://tam.demo.example";
/// Name of the TAM in OTrP.
pub const TAM_OID: &str = "1.3.6.1.4.1.61999.9.1";
/// Name of another TAM that the devices trust, in OTrP.
pub const OTHER_OID: &str = "1.3.6.1.4.1.61999.9.2";
/// Name of the first developer in its certificate, and the prefix of its components.
pub const ACME_NAME: &str = "https://acme.example";
/// See [`ACME_NAME`].
pub const ACME: &str = "com.acme";
/// Name of the second developer.
pub const GLOBEX_NAME: &str = "https://globex.example";
/// See [`GLOBEX_NAME`].
pub const GLOBEX: &str = "com.globex";

/// Vendor and class of the second maker's devices.
pub const SECOND_VENDOR: &str = "second-maker.example";
/// See [`SECOND_VENDOR`].
pub const SECOND_CLASS: &str = "sensor-9";

const WALLET_V1: &[u8] = include_bytes!("../../../../../examples/ta/built/wallet-v1.wasm");
const WALLET_V2: &[u8] = include_bytes!("../../../../../examples/ta/built/wallet-v2.wasm");
const VALVE_V1: &[u8] = include_bytes!("../../../../../examples/ta/built/valve.wasm");
const HELLO_V1: &[u8] = include_bytes!("../../../../../examples/ta/built/hello.wasm");

const VAULT_V1: &[u8] = include_bytes!("../../../../../examples/ta/built/vault.wasm");
/// The vault with a custom section behind it: it does the same, and is another TA.
const VAULT_CHANGED: [u8; VAULT_V1.len() + 4] = {
    let mut module = [0; VAULT_V1.len() + 4];
    let mut at = 0;
    while at < VAULT_V1.len() {
        module[at] = VAULT_V1[at];
        at += 1;
    }
    (module[at + 1], module[at + 2], module[at + 3]) = (2, 1, b'x');
    module
};

/// A TA of the first developer.
pub struct Ta {
    /// For people and file names.
    pub name: &'static str,
    uuid: [u8; 16],
    versions: &'static [&'static [u8]],
}

/// Pays up to a limit and signs receipts.
pub const WALLET: Ta =
    Ta { name: "wallet", uuid: example_apps::payment::WALLET, versions: &[WALLET_V1, WALLET_V2] };
/// Moves the valve.
pub const VALVE: Ta = Ta { name: "valve", uuid: example_apps::iot::VALVE, versions: &[VALVE_V1] };
/// Says hello.
pub const HELLO: Ta = Ta {
    name: "hello",
    uuid: *b"\x2c\x66\x9f\x31\x7b\xd4\x4d\x6e\x9b\x2f\x60\x35\x5b\xd9\x0a\x03",
    versions: &[HELLO_V1],
};

/// Adds up what nobody else can read. Its second version is nobody's release.
pub const VAULT: Ta =
    Ta { name: "vault", uuid: example_apps::cloud::VAULT, versions: &[VAULT_V1, &VAULT_CHANGED] };

impl Ta {
    fn id(&self, kind: &str) -> ComponentId {
        // Three segments of 8, 16 and at most 9 bytes are within the bounds of an id.
        ComponentId::tamarack(ACME, self.uuid, kind).expect("a valid component id")
    }

    /// `[domain, uuid, "ta"]`.
    pub fn component(&self) -> ComponentId {
        self.id("ta")
    }

    /// Its name in OTrP.
    pub fn taid(&self) -> String {
        uuid::Uuid::from_bytes(self.uuid).hyphenated().to_string()
    }

    /// SHA-256 of the first version's module, in hexadecimal: what its signer says of it.
    pub fn digest(&self, crypto: &Provider) -> String {
        hex::encode(crypto.sha256(self.versions[0]))
    }

    /// The same TA under another identifier, as a guest of `domain` would ship it.
    pub const fn renamed(&self, name: &'static str, uuid: [u8; 16]) -> Self {
        Self { name, uuid, versions: self.versions }
    }

    /// `[domain, uuid, "suit"]`.
    pub fn manifest(&self) -> ComponentId {
        self.id("suit")
    }

    /// The signed envelope of a version for the default maker's devices; versions beyond the last have the last one's
    /// module.
    pub fn envelope(&self, version: usize, signer: &Signer, crypto: &Provider) -> Result<Vec<u8>> {
        self.envelope_for(true, version, signer, crypto)
    }

    /// The same for the devices of any maker, if `one_maker` is false.
    pub fn envelope_for(
        &self,
        one_maker: bool,
        version: usize,
        signer: &Signer,
        crypto: &Provider,
    ) -> Result<Vec<u8>> {
        let module = self.versions[(version - 1).min(self.versions.len() - 1)];
        let payload = Payload::integrated("#ta", module.to_vec(), crypto);
        let mut component = Component::new(self.component(), payload);
        if one_maker {
            let vendor = vendor_id(DEFAULT_VENDOR);
            (component.vendor, component.class) = (Some(vendor), Some(class_id(vendor, DEFAULT_CLASS)));
        }
        component.invoke = Some(Vec::new());
        let builder = Builder::new(self.manifest(), version as u64).component(component);
        let unsigned = builder.build(crypto).map_err(|e| anyhow::anyhow!("{e}"))?;
        let signed = unsigned.sign(&*signer.key, &signer.options()).map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(signed.envelope())
    }

    /// The envelope of a version with one bit of the module changed; all signatures are as they were.
    pub fn tampered(&self, version: usize, signer: &Signer, crypto: &Provider) -> Result<Vec<u8>> {
        let mut envelope = self.envelope(version, signer, crypto)?;
        let module = self.versions[(version - 1).min(self.versions.len() - 1)];
        let at = envelope.windows(module.len()).position(|window| window == module);
        envelope[at.context("the envelope does not carry the module")? + module.len() / 2] ^= 1;
        Ok(envelope)
    }
}

/// A developer.
pub struct Signer {
    key: Box<dyn Sign>,
    kid: Vec<u8>,
    chain: Vec<Vec<u8>>,
}

impl Signer {
    /// From the files that `pki` made.
    pub fn load(key_pem: &str, cert_pem: &str, crypto: &Provider) -> Result<Self> {
        let key = tamarack_pki::load_key(key_pem)?;
        let kid = tamarack_cose::thumbprint(&key.public_key(), crypto).0.to_vec();
        Ok(Self { key, kid, chain: tamarack_pki::certificates_from_pem(cert_pem)? })
    }

    fn options(&self) -> SignOptions<'_> {
        SignOptions { kid: Some(&self.kid), x5chain: &self.chain, ..SignOptions::default() }
    }
}

/// What the wallet says of itself.
#[derive(Debug)]
pub struct WalletStatus {
    /// Payments made.
    pub payments: u32,
    /// Version of the TA.
    pub version: u32,
    /// Spent in all.
    pub spent: u32,
}

/// The wallet's public key.
pub fn wallet_key(device: &Device) -> Result<Vec<u8>> {
    let params = vec![Param::MemrefOutput { capacity: 32, data: Vec::new() }];
    memory(device.invoke(&WALLET.component(), 1, params)?, 0)
}

/// Pays; gives the receipt.
pub fn pay(device: &Device, amount: u32, payee: &str, reference: &[u8]) -> Result<Vec<u8>> {
    let params = vec![
        Param::ValueInput(amount, 0),
        Param::MemrefInput(payee.into()),
        Param::MemrefInput(reference.into()),
        Param::MemrefOutput { capacity: 320, data: Vec::new() },
    ];
    memory(device.invoke(&WALLET.component(), 2, params)?, 3)
}

/// A manifest with data for the TA on one device, encrypted to its `key`; in the clear without one.
pub fn personalization(
    ta: &Ta,
    data: &[u8],
    key: Option<&PublicKey>,
    sequence: u64,
    signer: &Signer,
    crypto: &Provider,
) -> Result<Vec<u8>> {
    let payload = match key {
        Some(key) => {
            let kid = tamarack_cose::thumbprint(key, crypto);
            let to = [To::Key(Recipient { key, kid: Some(&kid.0) })];
            Payload::sealed(data, &to, crypto).map_err(|e| anyhow::anyhow!("{e}"))?
        }
        None => Payload::Inline(data.to_vec()),
    };
    let builder =
        Builder::new(ta.id("data.suit"), sequence).component(Component::new(ta.id("data"), payload));
    let unsigned = builder.build(crypto).map_err(|e| anyhow::anyhow!("{e}"))?;
    let signed = unsigned.sign(&*signer.key, &signer.options()).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(signed.envelope())
}

/// What the wallet has done so far.
pub fn wallet_status(device: &Device) -> Result<WalletStatus> {
    let params = vec![Param::ValueOutput(0, 0), Param::ValueOutput(0, 0)];
    match device.invoke(&WALLET.component(), 3, params)?.as_slice() {
        [Param::ValueOutput(payments, version), Param::ValueOutput(spent, _)] => {
            Ok(WalletStatus { payments: *payments, version: *version, spent: *spent })
        }
        other => bail!("the wallet answered {other:?}"),
    }
}

/// Commands the valve: 1 opens, 2 closes. Gives whether it is open then, and how often it has moved.
pub fn valve(device: &Device, command: u32) -> Result<(bool, u32)> {
    match device.invoke(&VALVE.component(), command, vec![Param::ValueOutput(0, 0)])?.as_slice() {
        [Param::ValueOutput(open, moved)] => Ok((*open == 1, *moved)),
        other => bail!("the valve answered {other:?}"),
    }
}

fn memory(params: Params, index: usize) -> Result<Vec<u8>> {
    match params.into_iter().nth(index) {
        Some(Param::MemrefOutput { data, .. }) => Ok(data),
        other => bail!("the TA answered {other:?}"),
    }
}

/// What a merchant reads in a receipt.
#[derive(Debug, PartialEq, Eq)]
pub struct Paid {
    /// Number of the payment.
    pub number: u64,
    /// How much.
    pub amount: u64,
    /// To whom.
    pub payee: String,
    /// Spent in all.
    pub spent: u64,
}

/// What a merchant does: checks the signature and reads the receipt.
pub fn verify_receipt(receipt: &Receipt, crypto: &Provider) -> Result<Paid> {
    let limits = Limits::default();
    let mut d = Decoder::new(&receipt.bytes, &limits)?;
    d.array_of(2, "payload and signature")?;
    let (payload, signature) = (d.bytes()?.to_vec(), d.bytes()?.to_vec());
    let key: [u8; 32] = receipt.key.as_slice().try_into().context("the wallet's key is not 32 bytes")?;
    crypto
        .verify
        .verify(&PublicKey::Ed25519(key), &payload, &signature)
        .map_err(|e| anyhow::anyhow!("the receipt is not signed by the wallet: {e}"))?;
    let mut d = Decoder::new(&payload, &limits)?;
    d.array_of(9, "the elements of a receipt")?;
    ensure!(d.text()? == "tamarack-wallet-receipt" && d.uint()? == 1, "not a receipt of version 1");
    ensure!(d.bytes()? == WALLET.uuid, "a receipt of another TA");
    let (number, amount, payee) = (d.uint()?, d.uint()?, d.text()?.to_owned());
    ensure!(d.bytes()? == receipt.reference, "a receipt for another reference");
    Ok(Paid { number, amount, payee, spent: d.uint()? })
}
