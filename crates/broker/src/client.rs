use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use tamarack_channel::{Action, MAX_CHUNK, Message, Reply, Request, Status, TaState, Target, Value};
use tamarack_model::{ComponentId, Protocol};
use tamarack_otrp::ta_information::TaQuery;
use tamarack_tee::Params;

use crate::channel::read_reply;
use crate::{Error, Failure, Processed};

/// Most replies to one OTrP message: its progress, the answer and the end.
const MAX_REPLIES: usize = 10_000;

/// How far a component is, as an app sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: TaState,
    /// Bytes received so far, while downloading.
    pub received: u64,
    /// Bytes to receive in all, if that is known.
    pub total: Option<u64>,
}

/// What a TA returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Its return code (TEE_Result); 0 is success.
    pub code: u32,
    /// The parameters as it left them; they count also after an error.
    pub params: Params,
}

/// What came of announcing a TA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Where it stands, if the Agent says.
    pub state: Option<TaState>,
    /// The TAM to ask, and the protocol that the device speaks with it; none if there is nothing to ask.
    pub connect: Option<(String, Protocol)>,
}

/// A normal app's connection to the Broker of its device.
///
/// ```no_run
/// # fn main() -> Result<(), tamarack_broker::Error> {
/// use tamarack_broker::package::Dependency;
/// use tamarack_broker::{Client, Target};
/// # let wallet = tamarack_model::ComponentId::parse_text("com.acme/wallet/ta").unwrap();
/// let mut client = Client::connect("device/app.sock")?;
/// client.ensure_ta(&Dependency::new(wallet.clone()), &mut |_, progress| println!("{}", progress.state))?;
/// let session = client.open_session(Target::Component(wallet), None, Vec::new())?;
/// let returned = client.invoke(session, 1, Vec::new())?;
/// client.close_session(session)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    next_id: u32,
}

impl Client {
    /// Connects to the socket in the device's folder.
    pub fn connect(socket: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self { stream: UnixStream::connect(socket)?, next_id: 1 })
    }

    /// Asks for a component and follows what becomes of it. The iterator ends when nothing more will happen now: with
    /// state INSTALLED, with FAILED followed by the reason as an error, or with PENDING if the TAM has not decided yet.
    pub fn request_ta(
        &mut self,
        component: &ComponentId,
        tam_uri: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<Progress, Error>>, Error> {
        let component = component.clone();
        self.follow(Request::RequestTa { component, tam_uri: tam_uri.map(String::from) })
    }

    /// The same for a component in a version of at least `minimum`. `bundle` is its content, if the app brought it along; it is
    /// used only if a TAM sends a manifest for exactly these bytes, and then nothing is downloaded.
    pub fn request_version(
        &mut self,
        component: &ComponentId,
        tam_uri: Option<&str>,
        minimum: Option<u64>,
        bundle: Option<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<Progress, Error>>, Error> {
        for (data, last) in bundle.into_iter().flat_map(pieces) {
            let (component, data) = (component.clone(), data.to_vec());
            self.call(Request::OfferBundle { component, data, last })?;
        }
        let (component, tam_uri) = (component.clone(), tam_uri.map(String::from));
        self.follow(Request::EnsureTa { component, tam_uri, minimum, bundled: bundle.is_some() })
    }

    /// What the next order of the device's owner must answer.
    pub fn owner_challenge(&mut self) -> Result<[u8; 16], Error> {
        match self.call(Request::OwnerChallenge)? {
            Value::OwnerChallenge(challenge) => Ok(challenge),
            _ => Err(Error::Unexpected),
        }
    }

    /// Carries a signed order of the device's owner to the TEE; what comes back is signed too, and worth nothing unverified.
    pub fn owner_order(&mut self, order: &[u8]) -> Result<Vec<u8>, Error> {
        match self.call(Request::OwnerOrder(order.to_vec()))? {
            Value::OwnerStatement(statement) => Ok(statement),
            _ => Err(Error::Unexpected),
        }
    }

    /// Carries a signed order of the device authority to the TEE, and waits until it was obeyed.
    pub fn change_anchor(&mut self, order: &[u8]) -> Result<(), Error> {
        self.call(Request::ChangeAnchor(order.to_vec())).map(drop)
    }

    /// Says that a component is no longer needed, and waits until the exchange with its TAM is over.
    pub fn unrequest_ta(&mut self, component: &ComponentId) -> Result<(), Error> {
        let mut following = self.follow(Request::UnrequestTa { component: component.clone() })?;
        following.try_for_each(|progress| progress.map(drop))
    }

    /// Asks all TAMs of the device whether they want something changed, and waits until the exchanges are over.
    pub fn policy_check(&mut self) -> Result<(), Error> {
        let mut following = self.follow(Request::RequestPolicyCheck)?;
        following.try_for_each(|progress| progress.map(drop))
    }

    /// Says that a component is needed, like [`Self::request_ta`], and leaves it to the app to carry the messages: it asks
    /// the TAM itself, and hands what the TAM says to [`Self::process_otrp_message`].
    pub fn announce_ta(
        &mut self,
        component: &ComponentId,
        tam_uri: Option<&str>,
    ) -> Result<Announced, Error> {
        let tam_uri = tam_uri.map(String::from);
        let actions = self.collect(Request::AnnounceTa { component: component.clone(), tam_uri })?;
        let mut announced = Announced::default();
        for action in actions {
            match action {
                Action::Connect { tam_uri, protocol } => announced.connect = Some((tam_uri, protocol)),
                Action::Progress { state, .. } => announced.state = Some(state),
                Action::Finished { failure: Some(failure) } => return Err(Error::Failed(failure)),
                Action::Finished { failure: None } => {}
                Action::Send { .. } | Action::Fetch { .. } | Action::CancelFetch { .. } => {
                    return Err(Error::Unexpected);
                }
            }
        }
        Ok(announced)
    }

    /// ProcessOTrPMessage (section 6.4.1 of draft-ietf-teep-opentrustprotocol-03): what a TAM said to the app, for the TEE.
    /// What comes back goes to the TAM.
    pub fn process_otrp_message(&mut self, message: &[u8]) -> Result<Processed, Error> {
        let mut processed = None;
        let mut said = None;
        for action in self.collect(Request::ProcessOtrpMessage(message.to_vec()))? {
            match action {
                Action::Send { protocol: Protocol::Otrp, message, .. } if processed.is_none() => {
                    processed = Some(message);
                }
                Action::Finished { failure } => said = failure,
                Action::Progress { .. } => {}
                Action::Send { .. }
                | Action::Connect { .. }
                | Action::Fetch { .. }
                | Action::CancelFetch { .. } => return Err(Error::Unexpected),
            }
        }
        match (processed, said) {
            (Some(response), failure) => Ok(Processed { response, failure }),
            (None, Some(failure)) => Err(Error::Failed(failure)),
            (None, None) => Err(Error::Unexpected),
        }
    }

    /// GetTAInformation (section 6.4.2): what the TEE says of an installed TA, as it came. It is worth what the key is that
    /// it is verified with: [`crate::Aiks::verify_information`].
    pub fn ta_information(&mut self, query: &TaQuery, tam_uri: Option<&str>) -> Result<Vec<u8>, Error> {
        let request = Request::GetTaInformation { query: query.to_vec(), tam_uri: tam_uri.map(String::from) };
        match self.call(request)? {
            Value::TaInformation(information) => Ok(information),
            _ => Err(Error::Unexpected),
        }
    }

    /// Opens a session with a TA. It belongs to this connection and is closed with it. `tam_uri` is the TAM that the app
    /// is bound to, where several have a TA of this name.
    pub fn open_session(
        &mut self,
        target: Target,
        tam_uri: Option<&str>,
        params: Params,
    ) -> Result<u32, Error> {
        match self.call(Request::OpenSession { target, tam_uri: tam_uri.map(String::from), params })? {
            Value::Session(session) => Ok(session),
            _ => Err(Error::Unexpected),
        }
    }

    /// Invokes a command of a TA.
    pub fn invoke(&mut self, session: u32, command: u32, params: Params) -> Result<Returned, Error> {
        match self.call(Request::Invoke { session, command, params })? {
            Value::Returned { code, params } => Ok(Returned { code, params }),
            _ => Err(Error::Unexpected),
        }
    }

    /// Closes a session.
    pub fn close_session(&mut self, session: u32) -> Result<(), Error> {
        self.call(Request::CloseSession { session }).map(drop)
    }

    /// How the TEE is and what is installed.
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.call(Request::Status)? {
            Value::Status(status) => Ok(*status),
            _ => Err(Error::Unexpected),
        }
    }

    fn call(&mut self, request: Request) -> Result<Value, Error> {
        let id = self.send(request)?;
        read_reply(&mut self.stream, id)?.result.map_err(Error::Failed)
    }

    fn send(&mut self, request: Request) -> Result<u32, Error> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.stream.write_all(&Message { id, body: request }.to_frames()?)?;
        Ok(id)
    }

    /// All actions of a request that is answered several times, to the end.
    fn collect(&mut self, request: Request) -> Result<Vec<Action>, Error> {
        let id = self.send(request)?;
        let mut actions = Vec::new();
        // An honest Broker tells little; another one shall neither fill the app's memory nor keep it for ever.
        for _ in 0..MAX_REPLIES {
            let reply = read_reply(&mut self.stream, id)?;
            reply.result.map_err(Error::Failed)?;
            actions.extend(reply.actions);
            if matches!(actions.last(), Some(Action::Finished { .. })) {
                return Ok(actions);
            }
        }
        Err(Error::Unexpected)
    }

    fn follow(&mut self, request: Request) -> Result<Following<'_>, Error> {
        let id = self.send(request)?;
        Ok(Following { stream: &mut self.stream, id, ready: VecDeque::new(), over: false })
    }
}

/// Cut for the channel, with whether each is the last; nothing at all is one piece.
fn pieces(content: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let count = content.len().div_ceil(MAX_CHUNK).max(1);
    (0..count).map(move |n| {
        let end = content.len().min((n + 1) * MAX_CHUNK);
        (&content[n * MAX_CHUNK..end], n + 1 == count)
    })
}

/// Reads answers until one says that the exchange is over. Dropped early, it reads the rest, so that the connection can
/// be used again.
struct Following<'a> {
    stream: &'a mut UnixStream,
    id: u32,
    ready: VecDeque<Result<Progress, Error>>,
    over: bool,
}

impl Following<'_> {
    fn take(&mut self, reply: Result<Reply, Error>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.over = true;
                return self.ready.push_back(Err(error));
            }
        };
        for action in reply.actions {
            match action {
                Action::Progress { state, received, total, .. } => {
                    self.ready.push_back(Ok(Progress { state, received, total }));
                }
                Action::Finished { failure } => self.end(failure),
                Action::Connect { .. }
                | Action::Send { .. }
                | Action::Fetch { .. }
                | Action::CancelFetch { .. } => self.ready.push_back(Err(Error::Unexpected)),
            }
        }
        if let Err(failure) = reply.result {
            self.end(Some(failure));
        }
    }

    fn end(&mut self, failure: Option<Failure>) {
        self.over = true;
        self.ready.extend(failure.map(|failure| Err(Error::Failed(failure))));
    }
}

impl Iterator for Following<'_> {
    type Item = Result<Progress, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.over {
            let reply = read_reply(self.stream, self.id);
            self.take(reply);
        }
        self.ready.pop_front()
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        while !self.over {
            let reply = read_reply(self.stream, self.id);
            self.take(reply);
        }
    }
}
