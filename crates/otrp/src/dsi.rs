use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, Provider};
use tamarack_jose::json::{self, Json};
use tamarack_jose::{Jwk, base64};
use tamarack_model::OwnerSays;

use crate::aik;
use crate::member::{
    Context, Object, Writer, base64_list, base64_of, bytes, decimal, hash, hex_hash, hex_of, list, mistyped,
    name, only_member, string, strings, text,
};
use crate::{Error, Tolerance};

/// What `tee.ext` holds if the TEE follows the hardened profile: ES256 and ECDH-ES+A128KW on P-256, two AIKs for each
/// SP, TA packages under A256GCM.
pub const EXTENSION_H1: &str = "otrp-h1";

/// Device State Information: what a TEE tells one TAM, which is only what that TAM owns (section 9.1.5).
///
/// | member | what it is |
/// |---|---|
/// | `tfwdata` | firmware's signature over tid, optional |
/// | `tee` | name, version, certificates, Security Domains with their TAs, AIKs |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsi {
    /// Evidence of the firmware.
    pub tfwdata: Option<TfwData>,
    /// The TEE.
    pub tee: TeeState,
}

/// The firmware's signature over the UTF-8 bytes of tid (section 9.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TfwData {
    /// What was signed.
    pub tbs: Vec<u8>,
    /// The firmware's certificate, DER.
    pub cert: Vec<u8>,
    /// `RS256` or `ES256`.
    pub sigalg: String,
    /// The signature: PKCS#1 version 1.5, or 64 bytes `r || s`.
    pub sig: Vec<u8>,
}

/// The object `tee` of a DSI. What follows `teeaiklist` are extensions that a TAM may ignore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeeState {
    /// The name that requests are routed by.
    pub name: String,
    /// Version of the TEE.
    pub ver: String,
    /// Certificate of the TEE's key, DER.
    pub cert: Vec<u8>,
    /// The certificates above it up to the root, DER.
    pub cacert: Vec<Vec<u8>>,
    /// `sdlist`: the TAM's Security Domains.
    pub sdlist: Vec<SecurityDomain>,
    /// `teeaiklist`: the AIKs of the TAM's SPs.
    pub teeaiklist: Vec<Aik>,
    /// Extension: rises with every DSI, which makes each unique (rule R10). A decimal string.
    pub epoch: Option<u64>,
    /// Extension: what the TEE can beyond the draft, such as [`EXTENSION_H1`].
    pub ext: Vec<String>,
    /// Extension: Evidence, an EAT whose nonce is the UTF-8 bytes of tid and whose cnf is the TEE's key.
    pub eat: Option<Vec<u8>>,
    /// Extension: TAs that applications on the device ask for.
    pub requestedtalist: Vec<RequestedTa>,
    /// Extension: TAs that no application on the device needs any more.
    pub unneededtalist: Vec<UnneededTa>,
    /// Extension: TAs of this TAM that the device's owner withholds.
    pub withheldtalist: Vec<WithheldTa>,
}

/// A Security Domain in a DSI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityDomain {
    /// Its name.
    pub name: String,
    /// The SP that it belongs to.
    pub spid: String,
    /// The TAs in it.
    pub talist: Vec<Ta>,
    /// Extension: SHA-256 of each SP certificate, as hexadecimal digits.
    pub spcert: Vec<[u8; 32]>,
}

/// A TA in a DSI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ta {
    /// Its identifier.
    pub taid: String,
    /// A name for people.
    pub taname: Option<String>,
    /// Extension: SHA-256 digest of its manifest.
    pub digest: Option<[u8; 32]>,
    /// Extension: sequence number of its manifest, a decimal string.
    pub seq: Option<u64>,
}

/// The public half of an SP's anonymous attestation key on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aik {
    /// The key. Its use is an extension: the draft's one key has none and does both.
    pub key: Jwk,
    /// The SP.
    pub spid: String,
}

/// A TA that an application asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedTa {
    /// Its identifier.
    pub taid: String,
    /// The Security Domain that it shall be in.
    pub sdname: String,
    /// A name for people.
    pub taname: Option<String>,
    /// The lowest sequence number that will do.
    pub seq: Option<u64>,
}

/// A TA that nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnneededTa {
    /// Its identifier.
    pub taid: String,
    /// The Security Domain that it is in.
    pub sdname: String,
}

/// A TA that the device's owner does not let in, or does not let run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithheldTa {
    /// Its identifier.
    pub taid: String,
    /// The Security Domain that it is in or meant for.
    pub sdname: String,
    /// Whether it is refused or waits: `refused` or `deferred`.
    pub why: OwnerSays,
    /// The version that waits. A decimal string.
    pub seq: Option<u64>,
}

impl Dsi {
    /// The octets to tell: RFC 8785 form of `{"dsi": ..}`.
    pub fn serialize(&self) -> SerializedDsi {
        SerializedDsi { dsi: self.clone(), value: self.to_json(), octets: None }
    }

    pub(crate) fn to_json(&self) -> Json {
        let tfwdata = self.tfwdata.as_ref().map(|tfw| {
            Writer::new()
                .member("tbs", base64_of(&tfw.tbs))
                .member("cert", base64_of(&tfw.cert))
                .member("sigalg", string(&tfw.sigalg))
                .member("sig", base64_of(&tfw.sig))
                .build()
        });
        Writer::new().optional("tfwdata", tfwdata).member("tee", self.tee.to_json()).build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        // One provider has a domain, a TA and two keys; there are far more of them than of anything else in a list.
        let array = core::mem::replace(&mut cx.limits.array, cx.limits.dsi_array);
        let mut object = Object::of(cx, json, path)?;
        let tfwdata = object.optional("tfwdata", TfwData::read)?;
        let tee = object.required("tee", TeeState::read)?;
        object.end()?;
        cx.limits.array = array;
        Ok(Self { tfwdata, tee })
    }
}

impl TfwData {
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let data = Self {
            tbs: object.required("tbs", bytes)?,
            cert: object.required("cert", bytes)?,
            sigalg: object.required("sigalg", name)?,
            sig: object.required("sig", bytes)?,
        };
        object.end()?;
        Ok(data)
    }
}

impl TeeState {
    fn to_json(&self) -> Json {
        let sds = self.sdlist.iter().map(SecurityDomain::to_json).collect();
        let sdlist = Writer::new()
            .member("cnt", string(self.sdlist.len().to_string()))
            .member("sd", Json::Array(sds))
            .build();
        let requested = |ta: &RequestedTa| {
            Writer::new()
                .member("taid", string(&ta.taid))
                .member("sdname", string(&ta.sdname))
                .optional("taname", ta.taname.as_deref().map(string))
                .optional("seq", ta.seq.map(|n| string(n.to_string())))
                .build()
        };
        let unneeded = |ta: &UnneededTa| {
            Writer::new().member("taid", string(&ta.taid)).member("sdname", string(&ta.sdname)).build()
        };
        let withheld = |ta: &WithheldTa| {
            Writer::new()
                .member("taid", string(&ta.taid))
                .member("sdname", string(&ta.sdname))
                .member("why", string(says_text(ta.why)))
                .optional("seq", ta.seq.map(|n| string(n.to_string())))
                .build()
        };
        Writer::new()
            .member("name", string(&self.name))
            .member("ver", string(&self.ver))
            .member("cert", base64_of(&self.cert))
            .member("cacert", base64_list(&self.cacert))
            .member("sdlist", sdlist)
            .member("teeaiklist", Json::Array(self.teeaiklist.iter().map(Aik::to_json).collect()))
            .optional("epoch", self.epoch.map(|n| string(n.to_string())))
            .optional("ext", some(&self.ext, strings))
            .optional("eat", self.eat.as_ref().map(base64_of))
            .optional("requestedtalist", some(&self.requestedtalist, |l| array(l, requested)))
            .optional("unneededtalist", some(&self.unneededtalist, |l| array(l, unneeded)))
            .optional("withheldtalist", some(&self.withheldtalist, |l| array(l, withheld)))
            .build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let state = Self {
            name: object.required("name", name)?,
            ver: object.required("ver", text)?,
            cert: object.required("cert", bytes)?,
            cacert: object.required("cacert", list(bytes))?,
            sdlist: object.required("sdlist", read_sdlist)?,
            teeaiklist: object.required("teeaiklist", list(Aik::read))?,
            epoch: object.optional("epoch", decimal)?,
            ext: object.optional("ext", list(name))?.unwrap_or_default(),
            eat: object.optional("eat", bytes)?,
            requestedtalist: object.optional("requestedtalist", list(RequestedTa::read))?.unwrap_or_default(),
            unneededtalist: object.optional("unneededtalist", list(UnneededTa::read))?.unwrap_or_default(),
            withheldtalist: object.optional("withheldtalist", list(WithheldTa::read))?.unwrap_or_default(),
        };
        object.end()?;
        Ok(state)
    }

    /// Whether the TEE says that it can do `extension`.
    pub fn has_extension(&self, extension: &str) -> bool {
        self.ext.iter().any(|e| e == extension)
    }
}

/// `{"cnt": "<how many>", "sd": [..]}`; a count that is not the length is an error.
fn read_sdlist(cx: &mut Context, json: &Json, path: &str) -> Result<Vec<SecurityDomain>, Error> {
    let mut object = Object::of(cx, json, path)?;
    let count = object.required("cnt", decimal)?;
    let sds = object.required("sd", list(SecurityDomain::read))?;
    if u64::try_from(sds.len()) != Ok(count) {
        return Err(mistyped(&object.path_of("cnt")));
    }
    object.end()?;
    Ok(sds)
}

impl SecurityDomain {
    fn to_json(&self) -> Json {
        Writer::new()
            .member("name", string(&self.name))
            .member("spid", string(&self.spid))
            .member("talist", array(&self.talist, Ta::to_json))
            .optional("spcert", some(&self.spcert, |l| array(l, |hash| hex_of(hash))))
            .build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let sd = Self {
            name: object.required("name", name)?,
            spid: object.required("spid", name)?,
            talist: object.required("talist", list(Ta::read))?,
            spcert: object.optional("spcert", list(hex_hash))?.unwrap_or_default(),
        };
        object.end()?;
        Ok(sd)
    }
}

impl Ta {
    fn to_json(&self) -> Json {
        Writer::new()
            .member("taid", string(&self.taid))
            .optional("taname", self.taname.as_deref().map(string))
            .optional("digest", self.digest.map(base64_of))
            .optional("seq", self.seq.map(|n| string(n.to_string())))
            .build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let ta = Self {
            taid: object.required("taid", name)?,
            taname: object.optional("taname", text)?,
            digest: object.optional("digest", hash)?,
            seq: object.optional("seq", decimal)?,
        };
        object.end()?;
        Ok(ta)
    }
}

impl Aik {
    fn to_json(&self) -> Json {
        Writer::new()
            .member("spaik", base64_of(aik::encode(&self.key)))
            .member("spaiktype", string(aik::type_text(&self.key)))
            .member("spid", string(&self.spid))
            .optional("use", self.key.key_use().map(aik::use_text))
            .build()
    }

    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let key = object.required("spaik", aik::read_key)?;
        let told = object.required("spaiktype", text)?;
        if told != aik::type_text(&key) {
            return Err(mistyped(&object.path_of("spaiktype")));
        }
        let spid = object.required("spid", name)?;
        let key = match object.optional("use", aik::read_use)? {
            Some(key_use) => key.with_use(key_use),
            None => key,
        };
        object.end()?;
        Ok(Self { key, spid })
    }
}

impl RequestedTa {
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let ta = Self {
            taid: object.required("taid", name)?,
            sdname: object.required("sdname", name)?,
            taname: object.optional("taname", text)?,
            seq: object.optional("seq", decimal)?,
        };
        object.end()?;
        Ok(ta)
    }
}

/// On the wire.
fn says_text(says: OwnerSays) -> &'static str {
    match says {
        OwnerSays::Refused => "refused",
        OwnerSays::Deferred => "deferred",
    }
}

impl WithheldTa {
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let ta = Self {
            taid: object.required("taid", name)?,
            sdname: object.required("sdname", name)?,
            why: object.required("why", |cx, json, path| {
                let text = text(cx, json, path)?;
                let says =
                    [OwnerSays::Refused, OwnerSays::Deferred].into_iter().find(|s| says_text(*s) == text);
                says.ok_or_else(|| mistyped(path))
            })?,
            seq: object.optional("seq", decimal)?,
        };
        object.end()?;
        Ok(ta)
    }
}

impl UnneededTa {
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let ta = Self { taid: object.required("taid", name)?, sdname: object.required("sdname", name)? };
        object.end()?;
        Ok(ta)
    }
}

fn array<T>(list: &[T], one: impl FnMut(&T) -> Json) -> Json {
    Json::Array(list.iter().map(one).collect())
}

/// An extension's list, left out if empty.
fn some<T>(list: &[T], all: impl FnOnce(&[T]) -> Json) -> Option<Json> {
    (!list.is_empty()).then(|| all(list))
}

/// A DSI with the octets that its hash is over: those received, or the RFC 8785 form of what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerializedDsi {
    dsi: Dsi,
    /// The value of the member `dsi`, with whatever extensions it came with.
    value: Json,
    /// What came, if it came as octets of its own.
    octets: Option<Vec<u8>>,
}

/// The hashes that say "this DSI" (A-01 in the notes of docs/conformance/otrp.md): the draft does not define the octets,
/// so a TEE takes either for the one state that both commit to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DsiHashes {
    /// SHA-256 of `{"dsi": ..}`: what is emitted.
    pub wrapped: [u8; 32],
    /// SHA-256 of the value alone.
    pub bare: [u8; 32],
}

impl DsiHashes {
    /// Whether `dsihash` of a request names this DSI.
    pub fn matches(&self, dsihash: &[u8; 32]) -> bool {
        let either = self.wrapped.ct_eq(dsihash) | self.bare.ct_eq(dsihash);
        either.into()
    }
}

impl SerializedDsi {
    /// The DSI.
    pub fn dsi(&self) -> &Dsi {
        &self.dsi
    }

    /// The DSI, without its octets.
    pub fn into_dsi(self) -> Dsi {
        self.dsi
    }

    /// The octets that [`SerializedDsi::hash`] is over.
    pub fn octets(&self) -> Vec<u8> {
        match &self.octets {
            Some(octets) => octets.clone(),
            None => json::to_canonical(&crate::member::single("dsi", self.value.clone())),
        }
    }

    /// SHA-256 of [`SerializedDsi::octets`]: the dsihash of the next request.
    pub fn hash(&self, provider: &Provider) -> [u8; 32] {
        provider.sha256(&self.octets())
    }

    /// The hashes by which a TEE knows that a request means this DSI.
    pub fn hashes(&self, provider: &Provider) -> DsiHashes {
        DsiHashes { wrapped: self.hash(provider), bare: provider.sha256(&json::to_canonical(&self.value)) }
    }

    /// Reads the plaintext of an edsi: `{"dsi": ..}`.
    pub(crate) fn from_octets(cx: &mut Context, octets: &[u8]) -> Result<Self, Error> {
        let json = cx.parse(octets, cx.limits.message)?;
        let Ok(("dsi", value)) = only_member(&json) else { return Err(Error::Missing("dsi".into())) };
        let dsi = Dsi::read(cx, value, "dsi")?;
        Ok(Self { dsi, value: value.clone(), octets: Some(octets.to_vec()) })
    }

    /// Reads the member `dsi` of a response, which has no octets of its own.
    pub(crate) fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        if let Json::String(text) = json {
            cx.tolerate(Tolerance::DsiAsText, path)?;
            return Self::from_octets(cx, text.as_bytes());
        }
        let dsi = Dsi::read(cx, json, path)?;
        Ok(Self { dsi, value: json.clone(), octets: None })
    }

    pub(crate) fn to_json(&self) -> Json {
        self.value.clone()
    }

    /// Reads octets as a TAM does that got them, with extensions and all.
    pub fn parse(octets: &[u8], mode: &crate::Mode, limits: &crate::Limits) -> Result<Self, Error> {
        Self::from_octets(&mut Context::new(mode, limits, false), octets)
    }
}

/// The text of a dsihash or did: base64 with padding.
pub fn hash_text(hash: &[u8; 32]) -> String {
    base64::encode(hash)
}
