//! HTTP: bytes in, verifier, bytes out. Appraisals run on threads of their own, bounded in number, so that none holds up
//! another; who waits too long is told to come back.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tamarack_attest::Refusal;
use tamarack_crypto::ConstantTimeEq;
use tamarack_eat::ear;
use tamarack_model::permission::{Action, Role, permits};
use tamarack_model::{Code, codes};
use tamarack_service::gate::Gate;
use tamarack_service::listener::Peer;
use tamarack_service::{BodyError, problem_json, read_body, reference_view};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::app::Verifier;
use crate::config::{Config, Limits};
use crate::references::Entry;

struct App {
    verifier: Arc<Verifier>,
    limits: Limits,
    gate: Gate,
    in_flight: Arc<Semaphore>,
    operator: Option<[u8; 32]>,
}

pub(crate) fn router(verifier: Arc<Verifier>, config: &Config) -> Router {
    let app = App {
        verifier,
        limits: config.limits,
        gate: Gate::new(config.limits.requests_per_second),
        in_flight: Arc::new(Semaphore::new(config.limits.in_flight)),
        // What is no hash was refused when the file was read.
        operator: config.operator_hash().ok().flatten(),
    };
    Router::new()
        .route("/challenge", get(challenge))
        .route("/appraise", post(appraise))
        .route("/key", get(key))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/api/v1/references", get(list).post(add))
        .route("/api/v1/references/{id}", delete(deactivate))
        .fallback(|request: Request| async move {
            problem(Problem::new(404, codes::API_NOT_FOUND, "there is no such path"), request.uri().path())
        })
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(app))
}

/// Why a request was not done.
struct Problem {
    status: u16,
    code: Code,
    detail: String,
}

impl Problem {
    fn new(status: u16, code: Code, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, reason }: Refusal) -> Self {
        let status = match code {
            codes::EVIDENCE_FORMAT => 415,
            codes::REFERENCE_SCOPE | codes::REFERENCE_UNTRUSTED => 403,
            codes::REFERENCE_ROLLBACK | codes::REFERENCE_CONFLICT => 409,
            codes::INTERNAL | codes::FILE_UNWRITABLE | codes::FILE_UNREADABLE => 500,
            // What is left is wrong with the Evidence or the CoRIM.
            _ => 422,
        };
        Self { status, code, detail: reason }
    }
}

#[derive(Deserialize)]
struct Asked {
    nonce: Option<String>,
}

async fn challenge(State(app): State<Arc<App>>, ConnectInfo(Peer(peer)): ConnectInfo<Peer>) -> Response {
    let path = "/challenge";
    if !app.gate.admit(peer.ip(), Instant::now()) {
        return problem(overloaded(), path);
    }
    match app.verifier.challenge() {
        Ok((challenge, expires)) => {
            let body = json!({ "challenge": hex::encode(challenge), "expires": expires });
            answer(200, "application/json", body.to_string())
        }
        Err(e) => problem(Problem::new(500, e.code(), e.to_string()), path),
    }
}

async fn key(State(app): State<Arc<App>>) -> Response {
    match tamarack_pki::public_key_to_pem(&app.verifier.public_key()) {
        Ok(pem) => answer(200, "application/x-pem-file", pem),
        Err(e) => problem(Problem::new(500, codes::INTERNAL, e.to_string()), "/key"),
    }
}

async fn appraise(
    State(app): State<Arc<App>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let begin = Instant::now();
    let outcome = match asked {
        Ok(Query(asked)) => appraised(&app, peer.ip(), &asked, &headers, body).await,
        Err(e) => Err(Problem::new(400, codes::API_INVALID, e.body_text())),
    };
    let micros = begin.elapsed().as_micros() as u64;
    match outcome {
        Ok(appraised) => {
            let (device, status) = (appraised.device, appraised.status);
            tracing::info!(target: "tamarack::verifier", %peer, %device, %status, micros, "appraised");
            answer(200, ear::MEDIA_TYPE, appraised.ear)
        }
        Err(refused) => {
            let (status, code, detail) = (refused.status, refused.code, &refused.detail);
            tracing::info!(target: "tamarack::verifier", %peer, status, %code, micros, "{detail}");
            problem(refused, "/appraise")
        }
    }
}

/// In the order that costs least: rate, headers, size, places, then the verifier.
async fn appraised(
    app: &Arc<App>,
    peer: std::net::IpAddr,
    asked: &Asked,
    headers: &HeaderMap,
    body: Body,
) -> Result<crate::Appraised, Problem> {
    if !app.gate.admit(peer, Instant::now()) {
        return Err(overloaded());
    }
    let nonce = asked.nonce.as_deref().map(|digits| {
        let nonce = hex::decode(digits).ok().filter(|nonce| (8..=64).contains(&nonce.len()));
        nonce.ok_or_else(|| Problem::new(400, codes::API_INVALID, "nonce: give 16 to 128 hexadecimal digits"))
    });
    let nonce = nonce.transpose()?;
    let format = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let format = format.ok_or_else(|| {
        Problem::new(415, codes::EVIDENCE_FORMAT, "Content-Type names no format of Evidence")
    })?;
    tamarack_attest::find(Some(&format))?;
    let evidence = bounded(app, body).await?;
    // Not before: a sender who takes his time must not take a place.
    let permit = app.in_flight.clone().try_acquire_owned().map_err(|_| overloaded())?;
    let verifier = app.verifier.clone();
    let appraisal = tokio::task::spawn_blocking(move || {
        let outcome = verifier.appraise(&format, &evidence, nonce.as_deref());
        // The place is free once the work has ended, and not when somebody stops to wait for it.
        drop(permit);
        outcome
    });
    let time = Duration::from_secs(app.limits.appraisal_seconds);
    match timeout(time, appraisal).await {
        Ok(Ok(outcome)) => Ok(outcome?),
        Ok(Err(_)) => Err(Problem::new(500, codes::INTERNAL, "the appraisal ended abnormally")),
        Err(_) => Err(Problem::new(503, codes::VERIFIER_UNAVAILABLE, "the appraisal takes too long")),
    }
}

fn overloaded() -> Problem {
    Problem::new(429, codes::OVERLOADED, "too many requests")
}

async fn bounded(app: &App, body: Body) -> Result<Bytes, Problem> {
    let time = Duration::from_secs(app.limits.body_seconds);
    read_body(body, app.limits.body, time).await.map_err(|e| match e {
        BodyError::TooLarge => {
            let detail = format!("the body has more than {} bytes", app.limits.body);
            Problem::new(413, codes::HTTP_TOO_LARGE, detail)
        }
        BodyError::TooSlow => Problem::new(408, codes::HTTP_BAD_REQUEST, "the body did not arrive in time"),
        BodyError::Broken => Problem::new(400, codes::HTTP_BAD_REQUEST, "the body broke off"),
    })
}

/// Does something with the folder, which may be slow, on a thread of its own.
async fn with_folder<T: Send + 'static>(
    app: &Arc<App>,
    headers: &HeaderMap,
    action: Action,
    act: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    authorise(app, headers, action)?;
    let app = app.clone();
    let done = tokio::task::spawn_blocking(move || act(&app)).await;
    done.unwrap_or_else(|_| Err(Problem::new(500, codes::INTERNAL, "ended abnormally")))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let rows = with_folder(&app, &headers, Action::VerifierReferenceList, |app| {
        let folder = app.verifier.references.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(folder.entries().iter().map(|entry| show(app, entry, &folder.references)).collect::<Vec<_>>())
    });
    match rows.await {
        Ok(rows) => answer(200, "application/json", json!({ "items": rows, "next": null }).to_string()),
        Err(refused) => problem(refused, "/api/v1/references"),
    }
}

async fn add(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let added = async {
        // Before a body is read.
        let action = Action::VerifierReferenceAdd;
        authorise(&app, &headers, action)?;
        let signed = bounded(&app, body).await?;
        with_folder(&app, &headers, action, move |app| {
            let verifier = &app.verifier;
            let row = verifier.change(|folder| {
                let added = folder.add(&signed, verifier.now(), &verifier.crypto)?;
                let entry = folder.entry(&added.id).cloned();
                Ok::<_, Refusal>(entry.map(|entry| show(app, &entry, &folder.references)))
            });
            Ok(row?.unwrap_or_default())
        })
        .await
    };
    match added.await {
        Ok(row) => {
            tracing::info!(target: "tamarack::verifier", id = %row["id"], "added reference values");
            answer(201, "application/json", row.to_string())
        }
        Err(refused) => problem(refused, "/api/v1/references"),
    }
}

async fn deactivate(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("/api/v1/references/{id}");
    let done = with_folder(&app, &headers, Action::VerifierReferenceDeactivate, move |app| {
        let mut digest = [0; 32];
        hex::decode_to_slice(&id, &mut digest)
            .map_err(|_| Problem::new(400, codes::API_INVALID, "id: give 64 hexadecimal digits"))?;
        let now = app.verifier.now();
        match app.verifier.change(|folder| folder.deactivate(&digest, now))? {
            Some(true) => {
                tracing::info!(target: "tamarack::verifier", id, "took reference values out of force");
                Ok(())
            }
            Some(false) => {
                Err(Problem::new(409, codes::API_CONFLICT, "these reference values are out of force already"))
            }
            None => {
                Err(Problem::new(404, codes::API_NOT_FOUND, "there are no reference values of this digest"))
            }
        }
    });
    match done.await {
        Ok(()) => answer(204, "", ""),
        Err(refused) => problem(refused, &path),
    }
}

fn show(app: &App, entry: &Entry, references: &tamarack_attest::References) -> Value {
    let mut id = [0; 32];
    // It was written as 64 digits.
    let _ = hex::decode_to_slice(&entry.id, &mut id);
    let Entry { provider, name, added, deactivated, .. } = entry;
    let row = reference_view::Row { id: &id, provider, name, added: *added, deactivated: *deactivated };
    reference_view::show(&row, references, app.verifier.now())
}

/// The operator's token makes a caller the verifier; what its role may do, the permission matrix says.
fn authorise(app: &App, headers: &HeaderMap, action: Action) -> Result<(), Problem> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let hash = app.verifier.crypto.sha256(token.as_bytes());
    let is_operator = app.operator.is_some_and(|operator| bool::from(operator.ct_eq(&hash)));
    let role = if is_operator { Role::Verifier } else { Role::User };
    match permits(role, action).is_some() {
        true => Ok(()),
        false => Err(Problem::new(401, codes::API_UNAUTHENTICATED, "give the operator's token")),
    }
}

fn problem(problem: Problem, path: &str) -> Response {
    let Problem { status, code, detail } = problem;
    let body = problem_json(code, status, &detail, path, "");
    let mut response = answer(status, "application/problem+json", body.to_string());
    let headers = response.headers_mut();
    if [429, 503].contains(&status) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn answer(status: u16, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if !media_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
