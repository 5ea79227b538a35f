//! TEEP and OTrP over HTTP: bytes in, engine, bytes out. The engine runs on a thread of its own, so that signatures and storage do
//! not hold up other connections.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use tamarack_attest::Refusal;
use tamarack_model::{Code, Hex, Protocol, codes};
use tamarack_store::{Read, TenantId};
use tamarack_tam::{AppraisalRequest, Reply, Subject, Tam};
// What both protocols answer alike is taken from TEEP's table; `protocol` has what differs.
use tamarack_teep::http::{ERROR_HEADER, METHOD, Situation};

use super::protocol::{self, Wanted};
use super::{BodyError, read_body};
use crate::app::App;
use crate::listener::Peer;

/// The endpoint of the default tenant.
pub(super) async fn default_tenant(
    State(app): State<Arc<App>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    answer(app, TenantId::default(), peer, request).await
}

/// The endpoint of another tenant, which only the URL names (security rule C5).
pub(super) async fn named_tenant(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    match TenantId::new(&tenant) {
        Ok(tenant) => answer(app, tenant, peer, request).await,
        Err(_) => log(peer, Instant::now(), Wanted::of(request.headers()).protocol, Answer::no_tenant()),
    }
}

/// What is sent and what is logged of it.
struct Answer {
    status: u16,
    code: Option<Code>,
    message: Vec<u8>,
    /// The type of `message`, if it is not that of the protocol's messages.
    media_type: Option<&'static str>,
    subject: Subject,
    device: String,
    session: String,
    text: String,
}

impl Answer {
    fn refuse(status: u16, code: Code, text: &str) -> Self {
        Self {
            status,
            code: Some(code),
            message: Vec::new(),
            media_type: None,
            subject: Subject::Unknown,
            device: String::new(),
            session: String::new(),
            text: text.into(),
        }
    }

    fn situation(situation: Situation, text: &str) -> Self {
        Self::refuse(situation.status(), situation.code().unwrap_or(codes::INTERNAL), text)
    }

    fn no_tenant() -> Self {
        Self::refuse(404, codes::API_NOT_FOUND, "no such tenant")
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let mut media_type = None;
        let (status, message, event) = match reply {
            Reply::Transmit { message, event } => (Situation::Message.status(), message, event),
            Reply::Keys { message, event } => {
                media_type = Some(tamarack_otrp::http::JOSE_MEDIA_TYPE);
                (tamarack_otrp::http::Situation::Aiks.status(), message, event)
            }
            Reply::NoContent { event } => (Situation::NoMessage.status(), Vec::new(), event),
            Reply::Refuse { status, code, mut event } => {
                event.code = Some(code);
                (status, Vec::new(), event)
            }
        };
        Self {
            status,
            code: event.code,
            message,
            media_type,
            subject: event.subject,
            device: event.device.map(|id| Hex(&id.0).to_string()).unwrap_or_default(),
            session: event.session.map(|id| Hex(&id).to_string()).unwrap_or_default(),
            text: event.text,
        }
    }
}

async fn answer(app: Arc<App>, tenant: TenantId, peer: SocketAddr, request: Request) -> Response {
    let begin = Instant::now();
    let wanted = Wanted::of(request.headers());
    let answer = match exchange(app, tenant, peer, request, &wanted, begin).await {
        Ok(answer) | Err(answer) => answer,
    };
    log(peer, begin, wanted.protocol, answer)
}

/// In the order that costs least: rate, method and headers, size, then the engine.
async fn exchange(
    app: Arc<App>,
    tenant: TenantId,
    peer: SocketAddr,
    request: Request,
    wanted: &Wanted,
    begin: Instant,
) -> Result<Answer, Answer> {
    if !app.gate.admit(peer.ip(), begin) {
        return Err(Answer::situation(Situation::Overloaded, "too many requests from this address"));
    }
    let (head, body) = request.into_parts();
    check_headers(wanted, head.method.as_str(), &head.headers, body.is_end_stream())?;
    let permit = app.in_flight.clone().try_acquire_owned();
    let Ok(permit) = permit else {
        return Err(Answer::situation(Situation::Overloaded, "too many requests at the same time"));
    };
    let body = bounded(&app, body).await?;
    // A chunked body shows only now that it is empty.
    check_headers(wanted, head.method.as_str(), &head.headers, body.is_empty())?;
    let Wanted { protocol, keys } = *wanted;
    let step = engine(&app, &tenant, &body, move |app, tam, tenant, body| {
        let now = app.clock.now();
        match protocol {
            Protocol::Teep => tam.begin(now, &app.store, tenant, body).map(Answer::from),
            Protocol::Otrp if tam.speaks_otrp() => {
                Ok(tam.respond_otrp(now, &app.store, tenant, body, keys).into())
            }
            Protocol::Otrp => Ok(Answer::situation(Situation::NotAcceptable, "this TAM does not speak OTrP")),
        }
    });
    let request = match step.await? {
        Ok(answer) => return Ok(answer),
        Err(request) => request,
    };
    // Who waits for a verifier holds nobody up: it has no place among those that are answered.
    drop(permit);
    let appraised = appraise(&app, request).await?;
    let Ok(_permit) = app.in_flight.clone().acquire_owned().await else {
        return Err(Answer::situation(Situation::Failed, "the TAM ends"));
    };
    engine(&app, &tenant, &body, move |app, tam, tenant, body| {
        tam.resume(app.clock.now(), &app.store, tenant, body, appraised).into()
    })
    .await
}

/// Runs one step of the engine on a thread of its own.
async fn engine<T: Send + 'static>(
    app: &Arc<App>,
    tenant: &TenantId,
    body: &Bytes,
    step: impl FnOnce(&App, &Tam, TenantId, &[u8]) -> T + Send + 'static,
) -> Result<T, Answer> {
    let (app, tenant, body) = (app.clone(), tenant.clone(), body.clone());
    let done = tokio::task::spawn_blocking(move || {
        match app.store.tenant(&tenant) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(Answer::no_tenant()),
            Err(e) => return Err(Answer::refuse(Situation::Failed.status(), e.code(), &e.to_string())),
        }
        let tam = app.tam.read().unwrap_or_else(PoisonError::into_inner);
        Ok(step(&app, &tam, tenant, &body))
    });
    done.await.unwrap_or_else(|_| Err(Answer::situation(Situation::Failed, "the engine ended abnormally")))
}

/// Asks the verifier, on a thread of its own and without the engine.
async fn appraise(app: &Arc<App>, request: AppraisalRequest) -> Result<Result<Vec<u8>, Refusal>, Answer> {
    let Some(remote) = app.remote.clone() else {
        return Err(Answer::situation(
            Situation::Failed,
            "a verifier is to be asked, and none is configured",
        ));
    };
    let Ok(place) = remote.places.clone().try_acquire_owned() else {
        return Err(Answer::situation(Situation::Overloaded, "too many wait for the verifier"));
    };
    let asked = tokio::task::spawn_blocking(move || {
        let appraised = remote.ask(request);
        drop(place);
        appraised
    });
    asked.await.map_err(|_| Answer::situation(Situation::Failed, "asking the verifier ended abnormally"))
}

fn check_headers(wanted: &Wanted, method: &str, headers: &HeaderMap, empty: bool) -> Result<(), Answer> {
    protocol::check(wanted.protocol, method, headers, empty).map_err(|(status, code)| {
        Answer::refuse(status, code, &format!("not a request of {}", wanted.protocol))
    })
}

async fn bounded(app: &App, body: Body) -> Result<Bytes, Answer> {
    read_body(body, app.limits.body, app.body_time()).await.map_err(|e| match e {
        BodyError::TooLarge => Answer::situation(Situation::TooLarge, "the body is too large"),
        BodyError::TooSlow => Answer::refuse(408, codes::HTTP_BAD_REQUEST, "the body did not arrive in time"),
        BodyError::Broken => Answer::refuse(400, codes::HTTP_BAD_REQUEST, "the body broke off"),
    })
}

/// One line for each exchange, and its response.
fn log(peer: SocketAddr, begin: Instant, protocol: Protocol, answer: Answer) -> Response {
    let Answer { status, code, message, media_type, subject, device, session, text } = answer;
    let elapsed = begin.elapsed();
    let code_text = code.map(|code| code.to_string()).unwrap_or_default();
    tracing::info!(
        target: "tamarack::tam",
        %peer, protocol = protocol.name(), subject = subject.as_str(), status, code = code_text, device, session,
        micros = elapsed.as_micros() as u64, bytes = message.len(), "{text}"
    );
    let labels = [("protocol", protocol.name()), ("subject", subject.as_str())];
    metrics::histogram!("tam_exchange_seconds", &labels).record(elapsed.as_secs_f64());
    let status_text = status.to_string();
    metrics::counter!(
        "tam_requests_total",
        "protocol" => protocol.name(), "subject" => subject.as_str(), "status" => status_text
    )
    .increment(1);

    let mut response = Response::new(Body::from(message));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in protocol::response_headers(protocol) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if status == Situation::Message.status() {
        let media_type = media_type.unwrap_or(protocol::media_type(protocol));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    } else if status != Situation::NoMessage.status()
        && let Ok(code) = HeaderValue::from_str(&code_text)
    {
        headers.insert(HeaderName::from_static(ERROR_HEADER), code);
    }
    if status == Situation::Overloaded.status() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == tamarack_otrp::http::Situation::NoStaple.status() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
    }
    if status == Situation::Method.status() {
        headers.insert(ALLOW, HeaderValue::from_static(METHOD));
    }
    response
}
