use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind};
use tamarack_cose::{CoseKey, Purpose, Sign1, SignOptions, VerificationKey};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_model::{ComponentId, OwnerSays, Sha256Digest, UnixTime};

use crate::order::version;
use crate::rules::{decode_id, encode_id};
use crate::{Digest, Effect, Error, Rules, limits};

/// What a device tells its owner after an order. It travels as the payload of a COSE_Sign1 and reads
/// `[1, order, key, sequence, rules, [* tam], [* waiting], [* stopped]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// SHA-256 of the signed order that it answers.
    pub order: Digest,
    /// The key that signs it, which is this device's and for this only. It is worth remembering: by it the owner knows the
    /// device again.
    pub key: PublicKey,
    /// How many orders changed something.
    pub sequence: u64,
    /// The rules in force.
    pub rules: Rules,
    /// The TAMs that have an anchor on the device.
    pub tams: Vec<TamView>,
    /// What TAMs wanted to install and the owner's rules withheld, the latest of each.
    pub waiting: Vec<Waiting>,
    /// What is installed and may not run because it is denied: TAM and manifest component id.
    pub stopped: Vec<(String, ComponentId)>,
}

/// A TAM of the device. Written `[[+ name], active, effect]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TamView {
    /// Its address and the names that its certificates have, each once; rules and approvals name it by any of them.
    pub names: Vec<String>,
    /// Whether the device authority lets it do anything.
    pub active: bool,
    /// What the owner's rules say of it.
    pub effect: Effect,
}

/// A manifest that was not installed. Written `[tam, manifest, digest, sequence, provider, says, since, approved]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// First name of the TAM that sent it.
    pub tam: String,
    /// Its manifest component id.
    pub manifest: ComponentId,
    /// SHA-256 of element 0 of its authentication wrapper.
    pub digest: Sha256Digest,
    /// Its sequence number.
    pub sequence: u64,
    /// Its service provider.
    pub provider: String,
    /// What the rules say of it now; None if it may be installed when the TAM sends it again.
    pub says: Option<OwnerSays>,
    /// When the TAM sent it, by the clock of the host.
    pub since: UnixTime,
    /// Whether the owner approved it.
    pub approved: bool,
}

impl Statement {
    /// Signs it as the device.
    pub fn sign(&self, device: &dyn Sign) -> Result<Vec<u8>, Error> {
        Ok(Sign1::sign(device, &self.to_cbor(), &[], &SignOptions::default())?)
    }

    /// Reads a statement about the order with this digest. The device is the one that is known by `key`; without it, the
    /// one that the statement names, which shows only that the same device may be known again.
    pub fn verify(
        signed: &[u8],
        order: &Digest,
        key: Option<&PublicKey>,
        provider: &Provider,
    ) -> Result<Self, Error> {
        let parsed = Sign1::parse(signed, &limits())?;
        let named = match key {
            Some(key) => *key,
            None => {
                let payload = parsed.unverified_payload().ok_or(tamarack_cose::Error::KeyUnknown)?;
                Self::from_cbor(payload, &limits())?.key
            }
        };
        let statement = verify_with(&parsed, &named, provider)?;
        match statement.order == *order && statement.key == named {
            true => Ok(statement),
            // Authentic, but said of something else.
            false => Err(tamarack_cose::Error::KeyUnknown.into()),
        }
    }
}

/// Reads what `key` signed as a statement, whatever order it answers.
pub fn verify_with(parsed: &Sign1, key: &PublicKey, provider: &Provider) -> Result<Statement, Error> {
    let key = VerificationKey::new(*key, Purpose::OwnerStatement, provider);
    let verified = parsed.verify(&[key], Purpose::OwnerStatement, None, &[], provider)?;
    Ok(Statement::from_cbor(verified.value(), &limits())?)
}

impl Encode for Statement {
    fn encode(&self, e: &mut Encoder) {
        e.array(8).uint(crate::order::VERSION).bytes(&self.order).item(&CoseKey(self.key));
        e.uint(self.sequence).item(&self.rules).array(self.tams.len());
        for TamView { names, active, effect } in &self.tams {
            e.array(3).array(names.len());
            names.iter().fold(&mut *e, |e, name| e.text(name));
            e.bool(*active).item(effect);
        }
        e.array(self.waiting.len());
        self.waiting.iter().fold(&mut *e, |e, waiting| e.item(waiting));
        e.array(self.stopped.len());
        for (tam, manifest) in &self.stopped {
            encode_id(e.array(2).text(tam), manifest);
        }
    }
}

impl<'b> Decode<'b> for Statement {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(8, "the 8 elements of a statement")?;
        version(d)?;
        let order = d.byte_array("a SHA-256 digest of 32 bytes")?;
        let CoseKey(key) = CoseKey::decode(d)?;
        let (sequence, rules) = (d.uint()?, Rules::decode(d)?);
        let tams = (0..d.array()?).map(|_| {
            d.array_of(3, "names, state and effect")?;
            let names = (0..d.array()?).map(|_| d.text().map(String::from)).collect::<Result<_, _>>()?;
            Ok(TamView { names, active: d.bool()?, effect: Effect::decode(d)? })
        });
        let tams = tams.collect::<Result<_, tamarack_cbor::Error>>()?;
        let waiting = (0..d.array()?).map(|_| Waiting::decode(d)).collect::<Result<_, _>>()?;
        let stopped = (0..d.array()?).map(|_| {
            d.array_of(2, "TAM and manifest")?;
            Ok((d.text()?.into(), decode_id(d)?))
        });
        let stopped = stopped.collect::<Result<_, tamarack_cbor::Error>>()?;
        Ok(Self { order, key, sequence, rules, tams, waiting, stopped })
    }
}

impl Encode for Waiting {
    fn encode(&self, e: &mut Encoder) {
        encode_id(e.array(8).text(&self.tam), &self.manifest).bytes(&self.digest.0);
        e.uint(self.sequence).text(&self.provider).uint(self.says.map_or(0, OwnerSays::number));
        e.uint(self.since).bool(self.approved);
    }
}

impl<'b> Decode<'b> for Waiting {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(8, "the 8 elements of what waits")?;
        let (tam, manifest) = (d.text()?.into(), decode_id(d)?);
        let digest = Sha256Digest(d.byte_array("a SHA-256 digest of 32 bytes")?);
        let (sequence, provider) = (d.uint()?, d.text()?.into());
        let at = d.position();
        let says =
            match d.uint()? {
                0 => None,
                number => Some(OwnerSays::of_number(number).ok_or(tamarack_cbor::Error::new(
                    at,
                    ErrorKind::Value("0, 1 (refused) or 2 (deferred)"),
                ))?),
            };
        Ok(Self { tam, manifest, digest, sequence, provider, says, since: d.uint()?, approved: d.bool()? })
    }
}
