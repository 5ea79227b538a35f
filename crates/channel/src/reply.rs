use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind};
use tamarack_model::ComponentId;
use tamarack_tee::Params;

use crate::codec::end;
use crate::{Action, Body, Failure, action, codec, params};

/// The answer to a request: what came of it, and what the Broker shall do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came of it.
    pub result: Result<Value, Failure>,
    /// What to do, in this order; also after an error (the Agent answers a bad message with an Error message).
    pub actions: Vec<Action>,
}

/// What an answer can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Done,
    /// A session with a TA is open.
    Session(u32),
    /// A TA was called. An error that the TA itself returned is a value: its output parameters count.
    Returned {
        /// The TA's return code (TEE_Result); 0 is success.
        code: u32,
        /// The parameters as the TA left them.
        params: Params,
    },
    /// How the TEE is.
    Status(Box<Status>),
    /// What the device asks its CAs to certify.
    Csr(Requests),
    /// The answer to a TAQuery: a TAInformation as the app gets it.
    TaInformation(Vec<u8>),
    /// What the next order of the device's owner must answer.
    OwnerChallenge([u8; 16]),
    /// What is in force after an order of the device's owner, signed by the device.
    OwnerStatement(Vec<u8>),
}

/// Certificate signing requests (PKCS#10, PEM), in each text one for every persona, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// For the attestation keys.
    pub attestation: String,
    /// For the TEE's keys in OTrP; empty on a device that does not speak it.
    pub tee: String,
    /// For the firmware's keys in OTrP; empty in the same way.
    pub firmware: String,
}

/// How the TEE is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Digest over all device state, taken inside the TEE (security rule R9).
    pub state_digest: [u8; 32],
    /// Number of commits that touched it.
    pub state_epoch: u64,
    /// Sandbox layers that hold, as bits.
    pub layers: u64,
    /// Layers that are missing, each with its reason.
    pub missing_layers: Vec<String>,
    /// Process id of the TEE's Agent.
    pub pid: u32,
    /// Process id of its launcher.
    pub launcher_pid: u32,
    /// User id of both.
    pub uid: u32,
    /// What the launcher measured: SHA-256 of the Agent's code, of its own, and of the launch configuration.
    pub measured: [[u8; 32]; 3],
    /// Thumbprint of the first persona's attestation key (DeviceId), once there is one. Told to the maker, until the device is
    /// enrolled, and to nobody afterwards (security rule E5).
    pub device_id: Option<[u8; 32]>,
    /// SubjectPublicKeyInfo (DER) of that persona's key that signs SUIT reports, once there is one. Told to the maker alone.
    pub report_key: Option<Vec<u8>>,
    /// Whether the device has been enrolled.
    pub enrolled: bool,
    /// Number of the last change of its trust anchors; 0 before enrolment.
    pub trust_store_sequence: u64,
    /// What is installed.
    pub installed: Vec<Installed>,
    /// Peripherals by name, with their positions.
    pub peripherals: Vec<(String, Vec<u8>)>,
    /// Name of the TEE in OTrP, on a device that speaks it.
    pub otrp_name: Option<String>,
    /// Whether the device's OTrP certificate is installed, so that it can answer.
    pub otrp_ready: bool,
    /// OTrP's security domains, of all Owners.
    pub domains: Vec<Domain>,
}

/// One security domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Where its Owner is reached, if the device knows.
    pub tam_uri: Option<String>,
    /// What OTrP calls it.
    pub name: String,
    /// The first segment of the ids of what it holds.
    pub label: Vec<u8>,
    /// The service provider it belongs to.
    pub provider: String,
    /// SHA-256 of the certificates whose keys may sign for it.
    pub signers: Vec<[u8; 32]>,
    /// How many manifests are installed in it.
    pub manifests: u64,
    /// Bytes that its components take.
    pub used: u64,
    /// Most that they may take; None if only the provider's own quota holds.
    pub quota: Option<u64>,
}

/// One installed component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its component id.
    pub component: ComponentId,
    /// The manifest that owns it.
    pub manifest: ComponentId,
    /// Sequence number of that manifest.
    pub sequence_number: u64,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
    /// Size of its content in bytes.
    pub size: u64,
    /// The service provider that signed it.
    pub provider: String,
}

impl Reply {
    /// It went well, and there is nothing to do.
    pub fn done() -> Self {
        Self::value(Value::Done)
    }

    /// It gave this.
    pub fn value(value: Value) -> Self {
        Self { result: Ok(value), actions: Vec::new() }
    }

    /// It failed.
    pub fn failed(failure: Failure) -> Self {
        Self { result: Err(failure), actions: Vec::new() }
    }

    /// The same with these actions.
    pub fn with(self, actions: Vec<Action>) -> Self {
        Self { actions, ..self }
    }
}

impl Body for Reply {
    fn op(&self) -> u64 {
        0
    }

    fn encode_body(&self, e: &mut Encoder) {
        e.array(3);
        match &self.result {
            Ok(value) => {
                e.uint(0);
                value.encode(e);
            }
            Err(failure) => action::put_failure(e.uint(1), failure),
        }
        codec::put_list(e, &self.actions, |e, action| action.encode(e));
    }

    fn decode_body(op: u64, d: &mut Decoder<'_>) -> Option<Result<Self, Error>> {
        (op == 0).then(|| {
            d.array_of(3, "outcome, value and actions")?;
            let at = d.position();
            let result = match d.uint()? {
                0 => Ok(Value::decode(d)?),
                1 => Err(action::failure(d)?),
                _ => return Err(Error::new(at, ErrorKind::Value("outcome 0 or 1"))),
            };
            Ok(Self { result, actions: codec::list(d, Action::decode)? })
        })
    }
}

impl Value {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Done => end(e.array(1).uint(0)),
            Self::Session(session) => end(e.array(2).uint(1).uint((*session).into())),
            Self::Returned { code, params } => {
                params::put_params(e.array(3).uint(2).uint((*code).into()), params);
            }
            Self::Status(status) => status.encode(e.array(2).uint(3)),
            Self::Csr(Requests { attestation, tee, firmware }) => {
                end(e.array(4).uint(4).text(attestation).text(tee).text(firmware));
            }
            Self::TaInformation(information) => end(e.array(2).uint(5).bytes(information)),
            Self::OwnerChallenge(challenge) => end(e.array(2).uint(6).bytes(challenge)),
            Self::OwnerStatement(statement) => end(e.array(2).uint(7).bytes(statement)),
        }
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        match (d.uint()?, count) {
            (0, 1) => Ok(Self::Done),
            (1, 2) => codec::u32(d).map(Self::Session),
            (2, 3) => Ok(Self::Returned { code: codec::u32(d)?, params: params::params(d)? }),
            (3, 2) => Status::decode(d).map(|status| Self::Status(Box::new(status))),
            (4, 4) => Ok(Self::Csr(Requests {
                attestation: codec::string(d)?,
                tee: codec::string(d)?,
                firmware: codec::string(d)?,
            })),
            (5, 2) => d.bytes().map(|information| Self::TaInformation(information.to_vec())),
            (6, 2) => d.byte_array("a challenge of 16 bytes").map(Self::OwnerChallenge),
            (7, 2) => d.bytes().map(|statement| Self::OwnerStatement(statement.to_vec())),
            _ => Err(Error::new(at, ErrorKind::Value("a value of a known kind"))),
        }
    }
}

impl Status {
    fn encode(&self, e: &mut Encoder) {
        e.array(17).bytes(&self.state_digest).uint(self.state_epoch).uint(self.layers);
        codec::put_list(e, &self.missing_layers, |e, reason| end(e.text(reason)));
        e.uint(self.pid.into()).uint(self.launcher_pid.into()).uint(self.uid.into());
        self.measured.iter().fold(e.array(3), |e, digest| e.bytes(digest));
        codec::put_optional(e, self.device_id, |e, id| end(e.bytes(&id)));
        codec::put_optional(e, self.report_key.as_ref(), |e, key| end(e.bytes(key)));
        e.bool(self.enrolled).uint(self.trust_store_sequence);
        codec::put_list(e, &self.installed, |e, one| one.encode(e));
        codec::put_list(e, &self.peripherals, |e, (name, position)| {
            end(e.array(2).text(name).bytes(position))
        });
        codec::put_optional(e, self.otrp_name.as_ref(), |e, name| end(e.text(name)));
        codec::put_list(e.bool(self.otrp_ready), &self.domains, |e, domain| domain.encode(e));
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(17, "the 17 elements of a status")?;
        Ok(Self {
            state_digest: d.byte_array("a SHA-256 digest")?,
            state_epoch: d.uint()?,
            layers: d.uint()?,
            missing_layers: codec::list(d, codec::string)?,
            pid: codec::u32(d)?,
            launcher_pid: codec::u32(d)?,
            uid: codec::u32(d)?,
            measured: {
                d.array_of(3, "3 digests")?;
                let digest = "a SHA-256 digest";
                [d.byte_array(digest)?, d.byte_array(digest)?, d.byte_array(digest)?]
            },
            device_id: codec::optional(d, |d| d.byte_array("a SHA-256 thumbprint"))?,
            report_key: codec::optional(d, |d| d.bytes().map(<[u8]>::to_vec))?,
            enrolled: d.bool()?,
            trust_store_sequence: d.uint()?,
            installed: codec::list(d, Installed::decode)?,
            peripherals: codec::list(d, |d| {
                d.array_of(2, "name and position")?;
                Ok((codec::string(d)?, d.bytes()?.to_vec()))
            })?,
            otrp_name: codec::optional(d, codec::string)?,
            otrp_ready: d.bool()?,
            domains: codec::list(d, Domain::decode)?,
        })
    }
}

impl Domain {
    fn encode(&self, e: &mut Encoder) {
        codec::put_optional(e.array(8), self.tam_uri.as_ref(), |e, uri| end(e.text(uri)));
        e.text(&self.name).bytes(&self.label).text(&self.provider);
        codec::put_list(e, &self.signers, |e, digest| end(e.bytes(digest)));
        e.uint(self.manifests).uint(self.used);
        codec::put_optional(e, self.quota, |e, quota| end(e.uint(quota)));
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(8, "the 8 elements of a domain")?;
        Ok(Self {
            tam_uri: codec::optional(d, codec::string)?,
            name: codec::string(d)?,
            label: d.bytes()?.to_vec(),
            provider: codec::string(d)?,
            signers: codec::list(d, |d| d.byte_array("a SHA-256 digest"))?,
            manifests: d.uint()?,
            used: d.uint()?,
            quota: codec::optional(d, Decoder::uint)?,
        })
    }
}

impl Installed {
    fn encode(&self, e: &mut Encoder) {
        codec::put_component(e.array(6), &self.component);
        codec::put_component(e, &self.manifest);
        e.uint(self.sequence_number).bytes(&self.digest).uint(self.size).text(&self.provider);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(6, "the 6 elements of an installed component")?;
        Ok(Self {
            component: codec::component(d)?,
            manifest: codec::component(d)?,
            sequence_number: d.uint()?,
            digest: d.byte_array("a SHA-256 digest")?,
            size: d.uint()?,
            provider: codec::string(d)?,
        })
    }
}
