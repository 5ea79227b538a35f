use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind, Kind};
use tamarack_model::ComponentId;
use tamarack_model::permission::Action;
use tamarack_tee::Params;

use crate::codec::end;
use crate::{Body, Enrolment, MAX_CHUNK, Profile, codec, params};

/// What is asked of the TEE, or of the Broker by a normal app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// RequestTA: an app needs a component; the TAM URI from the app's own manifest is a hint.
    RequestTa {
        /// The component.
        component: ComponentId,
        /// Where to get it, if the app says.
        tam_uri: Option<String>,
    },
    /// UnrequestTA: no app needs the component any more.
    UnrequestTa {
        /// The component.
        component: ComponentId,
    },
    /// ProcessTeepMessage: what the TAM sent, as received.
    ProcessTeepMessage(Vec<u8>),
    /// RequestPolicyCheck: see whether any TAM wants something changed.
    RequestPolicyCheck,
    /// ProcessError: the exchange with the TAM failed below TEEP.
    ProcessError,
    /// A piece of a payload that [`crate::Action::Fetch`] asked for, in order.
    Chunk {
        /// Number of the fetch.
        fetch: u64,
        /// At most [`MAX_CHUNK`] bytes.
        data: Vec<u8>,
        /// Whether it is the last piece.
        last: bool,
    },
    /// A payload cannot be had.
    FetchFailed {
        /// Number of the fetch.
        fetch: u64,
    },
    /// Opens a session with a TA.
    OpenSession {
        /// Which TA.
        target: Target,
        /// The TAM that the app is bound to; decides if TAs of several Owners have this name (security rule L2).
        tam_uri: Option<String>,
        /// Parameters of TA_OpenSessionEntryPoint.
        params: Params,
    },
    /// Invokes a command.
    Invoke {
        /// Number that [`crate::Value::Session`] gave.
        session: u32,
        /// The TA's own command number.
        command: u32,
        /// Parameters of TA_InvokeCommandEntryPoint.
        params: Params,
    },
    /// Closes a session.
    CloseSession {
        /// Number that [`crate::Value::Session`] gave.
        session: u32,
    },
    /// Asks how the TEE is.
    Status,
    /// Makes the device's keys, if they are not there yet, and asks for the requests for their certificates.
    Csr(Profile),
    /// Seals certificate and trust anchors, once.
    Enrol(Enrolment),
    /// An order of the device authority about a trust anchor, signed (security rule R8).
    ChangeAnchor(Vec<u8>),
    /// ProcessOTrPMessage: what the TAM sent, as received.
    ProcessOtrpMessage(Vec<u8>),
    /// RequestTA of an app that carries the messages itself: it is noted that the component is needed, and the app is told
    /// what the TEE would have the Broker do. Only for the Broker; the TEE gets a RequestTA.
    AnnounceTa {
        /// The component.
        component: ComponentId,
        /// Where to get it, if the app says.
        tam_uri: Option<String>,
    },
    /// RequestTA of an app that says how old the component may be at most, and perhaps brought its content along.
    EnsureTa {
        /// The component.
        component: ComponentId,
        /// Where to get it, if the app says.
        tam_uri: Option<String>,
        /// Lowest sequence number of its manifest that will do.
        minimum: Option<u64>,
        /// Whether the content is at hand: to the Broker, that the app has just offered it.
        bundled: bool,
    },
    /// A piece of the content of a component that the app brought along, in order; the Broker keeps it until the app asks for
    /// the component or goes. Only for the Broker.
    OfferBundle {
        /// The component.
        component: ComponentId,
        /// At most [`MAX_CHUNK`] bytes.
        data: Vec<u8>,
        /// Whether it is the last piece.
        last: bool,
    },
    /// Asks for the question that the next order of the device's owner must answer.
    OwnerChallenge,
    /// An order of the device's owner, signed.
    OwnerOrder(Vec<u8>),
    /// GetTAInformation (draft-ietf-teep-opentrustprotocol-03 section 6.4.2): what is known of an installed TA.
    GetTaInformation {
        /// The TAQuery, as the app gave it.
        query: Vec<u8>,
        /// The TAM that the app is bound to; decides if TAs of several Owners have this name (security rule L2).
        tam_uri: Option<String>,
    },
}

/// Which TA a session is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By UUID, as GlobalPlatform clients name it. If TAs of several Owners have it, the TEE resolves it or refuses.
    Uuid([u8; 16]),
    /// By component id.
    Component(ComponentId),
}

impl Request {
    /// What this is in the permission matrix.
    pub fn action(&self) -> Action {
        match self {
            Self::RequestTa { .. } => Action::TaRequest,
            Self::UnrequestTa { .. } => Action::TaUnrequest,
            Self::ProcessTeepMessage(_) => Action::TeepCarry,
            Self::RequestPolicyCheck => Action::PolicyCheck,
            Self::ProcessError => Action::ExchangeFail,
            Self::Chunk { .. } => Action::PayloadCarry,
            Self::FetchFailed { .. } => Action::PayloadFail,
            Self::OpenSession { .. } => Action::SessionOpen,
            Self::Invoke { .. } => Action::SessionInvoke,
            Self::CloseSession { .. } => Action::SessionClose,
            Self::Status => Action::StatusRead,
            Self::Csr(_) => Action::DeviceMake,
            Self::Enrol(_) => Action::DeviceEnrol,
            Self::ChangeAnchor(_) => Action::OrderCarry,
            Self::ProcessOtrpMessage(_) => Action::OtrpCarry,
            Self::AnnounceTa { .. } => Action::TaAnnounce,
            Self::GetTaInformation { .. } => Action::OtrpInformation,
            Self::EnsureTa { .. } => Action::TaRequest,
            Self::OfferBundle { .. } => Action::BundleOffer,
            Self::OwnerChallenge => Action::OwnerAsk,
            Self::OwnerOrder(_) => Action::OwnerCarry,
        }
    }
}

impl Body for Request {
    fn op(&self) -> u64 {
        match self {
            Self::RequestTa { .. } => 1,
            Self::UnrequestTa { .. } => 2,
            Self::ProcessTeepMessage(_) => 3,
            Self::RequestPolicyCheck => 4,
            Self::ProcessError => 5,
            Self::Chunk { .. } => 6,
            Self::FetchFailed { .. } => 7,
            Self::OpenSession { .. } => 8,
            Self::Invoke { .. } => 9,
            Self::CloseSession { .. } => 10,
            Self::Status => 11,
            Self::Csr(_) => 12,
            Self::Enrol(_) => 13,
            Self::ChangeAnchor(_) => 14,
            Self::ProcessOtrpMessage(_) => 16,
            Self::GetTaInformation { .. } => 17,
            Self::AnnounceTa { .. } => 18,
            Self::EnsureTa { .. } => 19,
            Self::OfferBundle { .. } => 20,
            Self::OwnerChallenge => 21,
            Self::OwnerOrder(_) => 22,
        }
    }

    fn encode_body(&self, e: &mut Encoder) {
        match self {
            Self::RequestTa { component, tam_uri } | Self::AnnounceTa { component, tam_uri } => {
                codec::put_component(e.array(2), component);
                codec::put_optional(e, tam_uri.as_ref(), |e, uri| end(e.text(uri)));
            }
            Self::UnrequestTa { component } => codec::put_component(e, component),
            Self::ProcessTeepMessage(message) => end(e.bytes(message)),
            Self::RequestPolicyCheck | Self::ProcessError | Self::Status | Self::OwnerChallenge => {
                end(e.null());
            }
            Self::EnsureTa { component, tam_uri, minimum, bundled } => {
                codec::put_component(e.array(4), component);
                codec::put_optional(e, tam_uri.as_ref(), |e, uri| end(e.text(uri)));
                codec::put_optional(e, *minimum, |e, minimum| end(e.uint(minimum)));
                e.bool(*bundled);
            }
            Self::OfferBundle { component, data, last } => {
                codec::put_component(e.array(3), component);
                e.bytes(data).bool(*last);
            }
            Self::OwnerOrder(order) => end(e.bytes(order)),
            Self::Chunk { fetch, data, last } => end(e.array(3).uint(*fetch).bytes(data).bool(*last)),
            Self::FetchFailed { fetch } => end(e.uint(*fetch)),
            Self::OpenSession { target, tam_uri, params } => {
                e.array(3);
                match target {
                    Target::Uuid(uuid) => end(e.bytes(uuid)),
                    Target::Component(id) => codec::put_component(e, id),
                }
                codec::put_optional(e, tam_uri.as_ref(), |e, uri| end(e.text(uri)));
                params::put_params(e, params);
            }
            Self::Invoke { session, command, params } => {
                e.array(3).uint((*session).into()).uint((*command).into());
                params::put_params(e, params);
            }
            Self::CloseSession { session } => end(e.uint((*session).into())),
            Self::Csr(profile) => profile.encode(e),
            Self::Enrol(enrolment) => enrolment.encode(e),
            Self::ChangeAnchor(order) => end(e.bytes(order)),
            Self::ProcessOtrpMessage(message) => end(e.bytes(message)),
            Self::GetTaInformation { query, tam_uri } => {
                e.array(2).bytes(query);
                codec::put_optional(e, tam_uri.as_ref(), |e, uri| end(e.text(uri)));
            }
        }
    }

    fn decode_body(op: u64, d: &mut Decoder<'_>) -> Option<Result<Self, Error>> {
        Some(match op {
            1 => request_ta(d),
            2 => codec::component(d).map(|component| Self::UnrequestTa { component }),
            3 => d.bytes().map(|message| Self::ProcessTeepMessage(message.to_vec())),
            4 => d.null().map(|()| Self::RequestPolicyCheck),
            5 => d.null().map(|()| Self::ProcessError),
            6 => chunk(d),
            7 => d.uint().map(|fetch| Self::FetchFailed { fetch }),
            8 => open_session(d),
            9 => invoke(d),
            10 => codec::u32(d).map(|session| Self::CloseSession { session }),
            11 => d.null().map(|()| Self::Status),
            12 => Profile::decode(d).map(Self::Csr),
            13 => Enrolment::decode(d).map(Self::Enrol),
            14 => d.bytes().map(|order| Self::ChangeAnchor(order.to_vec())),
            16 => d.bytes().map(|message| Self::ProcessOtrpMessage(message.to_vec())),
            17 => ta_information(d),
            18 => request_ta(d).map(|request| match request {
                Request::RequestTa { component, tam_uri } => Self::AnnounceTa { component, tam_uri },
                other => other,
            }),
            19 => ensure_ta(d),
            20 => offer_bundle(d),
            21 => d.null().map(|()| Self::OwnerChallenge),
            22 => d.bytes().map(|order| Self::OwnerOrder(order.to_vec())),
            _ => return None,
        })
    }
}

fn request_ta(d: &mut Decoder<'_>) -> Result<Request, Error> {
    d.array_of(2, "component and TAM URI")?;
    Ok(Request::RequestTa { component: codec::component(d)?, tam_uri: codec::optional(d, codec::string)? })
}

fn ensure_ta(d: &mut Decoder<'_>) -> Result<Request, Error> {
    d.array_of(4, "component, TAM URI, minimum and whether it is bundled")?;
    let (component, tam_uri) = (codec::component(d)?, codec::optional(d, codec::string)?);
    let minimum = codec::optional(d, Decoder::uint)?;
    Ok(Request::EnsureTa { component, tam_uri, minimum, bundled: d.bool()? })
}

fn offer_bundle(d: &mut Decoder<'_>) -> Result<Request, Error> {
    let at = d.position();
    d.array_of(3, "component, data and last")?;
    let (component, data, last) = (codec::component(d)?, d.bytes()?, d.bool()?);
    if data.len() > MAX_CHUNK {
        return Err(Error::new(at, ErrorKind::TooLong(MAX_CHUNK)));
    }
    Ok(Request::OfferBundle { component, data: data.to_vec(), last })
}

fn ta_information(d: &mut Decoder<'_>) -> Result<Request, Error> {
    d.array_of(2, "query and TAM URI")?;
    Ok(Request::GetTaInformation { query: d.bytes()?.to_vec(), tam_uri: codec::optional(d, codec::string)? })
}

fn chunk(d: &mut Decoder<'_>) -> Result<Request, Error> {
    let at = d.position();
    d.array_of(3, "fetch, data and last")?;
    let (fetch, data, last) = (d.uint()?, d.bytes()?, d.bool()?);
    if data.len() > MAX_CHUNK {
        return Err(Error::new(at, ErrorKind::TooLong(MAX_CHUNK)));
    }
    Ok(Request::Chunk { fetch, data: data.to_vec(), last })
}

fn open_session(d: &mut Decoder<'_>) -> Result<Request, Error> {
    d.array_of(3, "target, TAM URI and parameters")?;
    let target = match d.peek() {
        Kind::Bytes => Target::Uuid(d.byte_array("a UUID of 16 bytes")?),
        _ => Target::Component(codec::component(d)?),
    };
    let tam_uri = codec::optional(d, codec::string)?;
    Ok(Request::OpenSession { target, tam_uri, params: params::params(d)? })
}

fn invoke(d: &mut Decoder<'_>) -> Result<Request, Error> {
    d.array_of(3, "session, command and parameters")?;
    Ok(Request::Invoke { session: codec::u32(d)?, command: codec::u32(d)?, params: params::params(d)? })
}
