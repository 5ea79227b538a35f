use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, thread};

use tamarack_channel::{Action, Failure, Message, Reply, Request, Value, receive};
use tamarack_model::permission::{Role, permits};
use tamarack_model::{ComponentId, Protocol, codes};

use crate::{Broker, Error, Exchange};

/// Name of the apps' socket in the device folder.
pub const SOCKET_NAME: &str = "app.sock";

/// Most bytes of a component that an app brings along; the Broker keeps them until the app asks for the component.
const MAX_BUNDLE: usize = 64 << 20;

/// The socket of the normal apps.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    broker: Arc<Broker>,
    path: PathBuf,
}

impl Server {
    /// Listens in `folder`, which is closed to other users first (0700, the socket 0600). A socket left by an earlier
    /// run is replaced; one that still answers is not.
    pub fn bind(folder: &Path, broker: Arc<Broker>) -> io::Result<Self> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let path = folder.join(SOCKET_NAME);
        if UnixStream::connect(&path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another Broker serves {}", path.display()),
            ));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, broker, path })
    }

    /// Path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves apps until the TEE can no longer be reached; then says why. Every `policy_check`, if given, the TAMs are
    /// asked whether they want something changed (draft-ietf-teep-otrp-over-http-15 section 5.5, way A).
    pub fn run(self, policy_check: Option<Duration>) -> Result<(), Error> {
        let (_stop, stopped) = mpsc::channel::<()>();
        if let Some(interval) = policy_check {
            let broker = Arc::clone(&self.broker);
            thread::spawn(move || check_policy(&broker, interval, &stopped));
        }
        let waker = Arc::new(self.listener.try_clone()?);
        for stream in self.listener.incoming() {
            if self.broker.is_broken() {
                return Err(Error::Io(io::Error::new(io::ErrorKind::BrokenPipe, "the TEE has ended")));
            }
            let stream = match stream {
                Ok(stream) if is_ours(&stream) => stream,
                Ok(_) => {
                    tracing::warn!("an app of another user was turned away");
                    continue;
                }
                Err(error) => {
                    tracing::warn!("an app could not connect: {error}");
                    continue;
                }
            };
            let (broker, waker) = (Arc::clone(&self.broker), Arc::clone(&waker));
            thread::spawn(move || {
                App { stream, broker: &broker, sessions: BTreeSet::new(), bundle: None }.serve();
                if broker.is_broken() {
                    // Makes accept() return, so that `run` can end.
                    let _ = rustix::net::shutdown(&*waker, rustix::net::Shutdown::Both);
                }
            });
        }
        Ok(())
    }
}

fn check_policy(broker: &Broker, interval: Duration, stopped: &mpsc::Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
        if let Err(error) = broker.policy_check(&mut |_| ()) {
            tracing::warn!(code = %error.code(), "policy check: {error}");
        }
    }
}

/// The socket's mode keeps other users out; this says so again, independent of the folder's history (rule S1).
fn is_ours(stream: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| admits(peer.uid.as_raw(), rustix::process::geteuid().as_raw()))
}

/// Whether a process of user `peer` may connect to a Broker of user `own`: that user's, or root's.
pub fn admits(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// One connected app.
struct App<'a> {
    stream: UnixStream,
    broker: &'a Broker,
    /// Sessions that this app has opened; it can use no others.
    sessions: BTreeSet<u32>,
    /// The content that this app brought along.
    bundle: Option<Bundle>,
}

/// Content of a component, as far as it has come.
struct Bundle {
    component: ComponentId,
    content: Vec<u8>,
    whole: bool,
}

impl App<'_> {
    fn serve(mut self) {
        // Ends when the app goes away or sends what is not a message.
        while let Ok(Ok(message)) = receive::<Request, io::Error>(|buffer| self.stream.read_exact(buffer)) {
            if self.answer(message.id, message.body).is_err() {
                break;
            }
        }
        for session in std::mem::take(&mut self.sessions) {
            let _ = self.broker.call(Request::CloseSession { session });
        }
    }

    /// Answers one request; an error ends the connection.
    fn answer(&mut self, id: u32, request: Request) -> Result<(), Error> {
        let action = request.action();
        let forbidden = || {
            let text = format!("normal apps may not do this ({})", action.id());
            Reply::failed(Failure::new(codes::NOT_PERMITTED, text))
        };
        if !permits(Role::App, action).is_some() {
            return self.reply(id, forbidden());
        }
        let reply = match request {
            Request::RequestTa { component, tam_uri } => {
                return self.follow(id, Some(component.clone()), |broker, observe| {
                    broker.request_ta(&component, tam_uri.as_deref(), observe)
                });
            }
            Request::EnsureTa { component, tam_uri, minimum, bundled } => {
                let bundle =
                    self.bundle.take().filter(|bundle| bundle.whole && bundle.component == component);
                if bundled && bundle.is_none() {
                    let text = "no content of this component was offered before";
                    return self.reply(id, Reply::failed(Failure::new(codes::USAGE, text)));
                }
                let content = bundle.filter(|_| bundled).map(|bundle| bundle.content);
                return self.follow(id, Some(component.clone()), |broker, observe| {
                    broker.ensure_ta(&component, tam_uri.as_deref(), minimum, content.as_deref(), observe)
                });
            }
            Request::OfferBundle { component, data, last } => self.offer(component, &data, last),
            Request::UnrequestTa { component } => {
                return self.follow(id, Some(component.clone()), |broker, observe| {
                    broker.unrequest_ta(&component, observe)
                });
            }
            Request::RequestPolicyCheck => {
                return self.follow(id, None, |broker, observe| broker.policy_check(observe));
            }
            Request::AnnounceTa { component, tam_uri } => {
                let outcome = self.broker.announce_ta(&component, tam_uri.as_deref());
                return self.reply(id, finished(outcome.map(|actions| (actions, None))));
            }
            Request::ProcessOtrpMessage(message) => return self.process_otrp_message(id, &message),
            Request::Invoke { session, .. } | Request::CloseSession { session }
                if !self.sessions.contains(&session) =>
            {
                Reply::failed(Failure::new(codes::TA_NOT_FOUND, format!("session {session} is not open")))
            }
            Request::OpenSession { .. }
            | Request::Invoke { .. }
            | Request::CloseSession { .. }
            | Request::GetTaInformation { .. }
            | Request::ChangeAnchor(_)
            | Request::OwnerChallenge
            | Request::OwnerOrder(_)
            | Request::Status => self.pass_on(request),
            Request::ProcessTeepMessage(_)
            | Request::ProcessError
            | Request::Chunk { .. }
            | Request::FetchFailed { .. }
            | Request::Csr(_)
            | Request::Enrol(_) => forbidden(),
        };
        self.reply(id, reply)
    }

    /// Keeps the next piece of what the app brings along; another component's begins anew.
    fn offer(&mut self, component: ComponentId, data: &[u8], last: bool) -> Reply {
        let begun = self.bundle.take().filter(|bundle| !bundle.whole && bundle.component == component);
        let mut bundle = begun.unwrap_or(Bundle { component, content: Vec::new(), whole: false });
        if bundle.content.len() + data.len() > MAX_BUNDLE {
            let text = format!("a bundled component has at most {MAX_BUNDLE} bytes");
            return Reply::failed(Failure::new(codes::SUIT_LIMIT, text));
        }
        bundle.content.extend_from_slice(data);
        bundle.whole = last;
        self.bundle = Some(bundle);
        Reply::done()
    }

    fn pass_on(&mut self, request: Request) -> Reply {
        let closing = match request {
            Request::CloseSession { session } => Some(session),
            _ => None,
        };
        match self.broker.call(request) {
            Ok(reply) => {
                if let Ok(Value::Session(session)) = reply.result {
                    self.sessions.insert(session);
                }
                if let Some(session) = closing {
                    self.sessions.remove(&session);
                }
                // What the TEE wants done is the Broker's business.
                Reply { actions: Vec::new(), ..reply }
            }
            Err(error) => Reply::failed(error.to_failure()),
        }
    }

    /// Runs an exchange and tells the app how it goes: what concerns its component, and at last how it ended.
    fn follow(
        &mut self,
        id: u32,
        component: Option<ComponentId>,
        run: impl FnOnce(&Broker, &mut dyn FnMut(&Action)) -> Result<Exchange, Error>,
    ) -> Result<(), Error> {
        let mut gone = None;
        let outcome = run(self.broker, &mut |action| {
            let concerns = match action {
                Action::Progress { component: it, .. } => component.as_ref().is_none_or(|c| c == it),
                _ => false,
            };
            if concerns && gone.is_none() {
                gone = self.reply(id, Reply::done().with(vec![action.clone()])).err();
            }
        });
        let failure = match outcome {
            Ok(exchange) => exchange.failure,
            Err(error) => {
                tracing::warn!(code = %error.code(), "exchange: {error}");
                Some(error.to_failure())
            }
        };
        self.reply(id, Reply::done().with(vec![Action::Finished { failure }]))
    }

    /// The app gets progress as it happens, then what goes to its TAM, then how it ended.
    fn process_otrp_message(&self, id: u32, message: &[u8]) -> Result<(), Error> {
        let mut gone = None;
        let outcome = self.broker.process_otrp_message(self.number(), message, &mut |action| {
            if matches!(action, Action::Progress { .. }) && gone.is_none() {
                gone = self.reply(id, Reply::done().with(vec![action.clone()])).err();
            }
        });
        // The app knows where its TAM is.
        let sent = |message| vec![Action::Send { tam_uri: String::new(), protocol: Protocol::Otrp, message }];
        self.reply(id, finished(outcome.map(|processed| (sent(processed.response), processed.failure))))
    }

    /// Its process id; apps of which the kernel tells none share a number.
    fn number(&self) -> u64 {
        let peer = rustix::net::sockopt::socket_peercred(&self.stream);
        peer.map_or(0, |peer| peer.pid.as_raw_nonzero().get().unsigned_abs().into())
    }

    fn reply(&self, id: u32, reply: Reply) -> Result<(), Error> {
        (&self.stream).write_all(&Message { id, body: reply }.to_frames()?)?;
        Ok(())
    }
}

/// The last answer to a request that is answered several times.
fn finished(outcome: Result<(Vec<Action>, Option<Failure>), Error>) -> Reply {
    let (mut actions, failure) = outcome.unwrap_or_else(|error| {
        tracing::warn!(code = %error.code(), "for an app: {error}");
        (Vec::new(), Some(error.to_failure()))
    });
    actions.push(Action::Finished { failure });
    Reply::done().with(actions)
}
