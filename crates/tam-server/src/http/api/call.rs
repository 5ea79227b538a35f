//! One request to the REST interface: who calls, with what, and how the answer is given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LINK, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tamarack_model::permission::{Action, permits};
use tamarack_model::{UnixTime, codes};
use tamarack_store::{ApiToken, AuditEntry, Read, Store, StoreOp, TenantId};

use super::problem::Problem;
use super::refusal;
use crate::app::App;
use crate::http::{BodyError, read_body};

/// What an action gets.
pub(super) struct Call {
    pub app: Arc<App>,
    pub token: ApiToken,
    pub now: UnixTime,
    pub body: Bytes,
    uri: Uri,
    path: Vec<(String, String)>,
    if_match: Option<String>,
}

/// What an action gives.
pub(super) type Done = Result<Answer, Problem>;

/// A function that does what one method of one path says. It may block.
pub(super) type Handler = fn(&Call) -> Done;

/// A successful answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    json: Option<Value>,
    link: Option<String>,
    etag: Option<String>,
}

impl Answer {
    pub fn ok(json: Value) -> Self {
        Self { status: 200, json: Some(json), link: None, etag: None }
    }

    pub fn created(json: Value) -> Self {
        Self { status: 201, json: Some(json), link: None, etag: None }
    }

    pub fn nothing() -> Self {
        Self { status: 204, json: None, link: None, etag: None }
    }

    /// With an ETag, quotes included.
    pub fn with_etag(self, etag: String) -> Self {
        Self { etag: Some(etag), ..self }
    }
}

/// Items on a page unless the caller says otherwise, and at most.
const PAGE: (usize, usize) = (50, 500);

impl Call {
    pub fn tenant(&self) -> &TenantId {
        &self.token.tenant
    }

    /// A parameter of the path.
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The If-Match header.
    pub fn if_match(&self) -> Option<&str> {
        self.if_match.as_deref()
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Result<Option<String>, Problem> {
        let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&self.uri)
            .map_err(|_| Problem::invalid("the query is not name=value pairs, each name once"))?;
        Ok(query.0.get(name).cloned())
    }

    /// How many items a page may have.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.query("limit")? {
            None => Ok(PAGE.0),
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE.1).contains(limit))
                .ok_or_else(|| Problem::invalid(format_args!("limit: give 1 to {}", PAGE.1))),
        }
    }

    /// A page of a list. `next` is the cursor behind its last item, if there may be more.
    pub fn page(&self, items: Vec<Value>, next: Option<String>) -> Answer {
        let link = next.as_ref().map(|next| {
            let keep = self.uri.query().unwrap_or_default().split('&');
            let keep: Vec<&str> =
                keep.filter(|pair| !pair.is_empty() && !pair.starts_with("after=")).collect();
            let also: String = keep.iter().map(|pair| format!("&{pair}")).collect();
            format!("</api/v1{}?after={next}{also}>; rel=\"next\"", self.uri.path())
        });
        Answer { link, ..Answer::ok(serde_json::json!({ "items": items, "next": next })) }
    }

    /// The body as JSON of a known shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|e| Problem::invalid(format_args!("the body: {e}")))
    }

    /// Does `change` and writes it to the audit log, both or neither.
    pub fn change(
        &self,
        mut change: Vec<StoreOp>,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), Problem> {
        change.push(StoreOp::AdvanceTime(self.now));
        change.push(StoreOp::Audit(AuditEntry {
            tenant: self.tenant().clone(),
            at: self.now,
            actor: self.token.label.clone(),
            action: action.into(),
            subject: subject.into(),
            detail: detail.into(),
        }));
        Ok(self.app.store.apply(change)?)
    }
}

/// Who calls: the token is looked up by its hash, so nothing of it is compared byte by byte.
pub(in crate::http) fn authenticate(app: &App, headers: &HeaderMap) -> Result<ApiToken, Problem> {
    let refused = |why: &str| Problem::new(codes::API_UNAUTHENTICATED, why);
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let value = value.ok_or_else(|| refused("there is no Authorization header"))?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(refused("the Authorization header is not Bearer")),
    };
    let found = app.store.token(&app.crypto.sha256(token.as_bytes()))?;
    match found {
        Some(token) if token.revoked.is_none() => Ok(token),
        Some(_) => Err(refused("the token was revoked")),
        None => Err(refused("the token is unknown")),
    }
}

/// Answers that are remembered for a repeated Idempotency-Key.
const REMEMBERED: usize = 1024;

/// What names a remembered answer: hash of the token, then the key.
type IdempotencyId = ([u8; 32], String);

/// Answers to POSTs with an Idempotency-Key, so that repeating one does nothing twice. They do not outlive the process.
#[derive(Default)]
pub(crate) struct Idempotency(Mutex<VecDeque<(IdempotencyId, [u8; 32], Answer)>>);

impl Idempotency {
    fn find(&self, id: &IdempotencyId, request: &[u8; 32]) -> Option<Done> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, of, answer) = held.iter().find(|(known, _, _)| known == id)?;
        Some(if of == request {
            Ok(answer.clone())
        } else {
            let detail = "Idempotency-Key: it was used with another request; take a new one";
            Err(Problem::new(codes::API_CONFLICT, detail).with_status(422))
        })
    }

    fn remember(&self, id: IdempotencyId, request: [u8; 32], answer: Answer) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() == REMEMBERED {
            held.pop_front();
        }
        held.push_back((id, request, answer));
    }
}

/// What is asked of a path, what does it, and how large the body may be.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub action: Action,
    pub handler: Handler,
    pub most: fn(&App) -> usize,
}

/// Runs one request through a rule.
pub(super) async fn run(
    State(app): State<Arc<App>>,
    params: RawPathParams,
    request: Request,
    rule: Rule,
) -> Response {
    let (head, body) = request.into_parts();
    let mut id = [0; 8];
    // Ids only help to find a log line; zeros do no harm.
    let _ = app.crypto.random.fill(&mut id);
    let id = hex::encode(id);
    let path = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let (method, instance) = (head.method.clone(), format!("/api/v1{}", head.uri.path()));

    // Who calls is known before a body is read.
    let (caller, headers, path_of) = (app.clone(), head.headers.clone(), head.uri.path().to_string());
    let token = tokio::task::spawn_blocking(move || {
        let token = authenticate(&caller, &headers)?;
        if permits(token.role.party(), rule.action).is_some() {
            return Ok(token);
        }
        let detail =
            format!("a token of role {} may not do this ({})", token.role.as_str(), rule.action.id());
        let problem = Problem::new(codes::API_FORBIDDEN, detail);
        refusal::record(&caller, &token, rule.action, &path_of, &problem);
        Err(problem)
    });
    let token =
        token.await.unwrap_or_else(|_| Err(Problem::new(codes::INTERNAL, "the request ended abnormally")));
    let label = token.as_ref().map(|token| token.label.clone()).unwrap_or_default();
    let done = match token {
        Err(problem) => Err(problem),
        Ok(token) => match read_body(body, (rule.most)(&app), app.body_time()).await {
            Err(e) => Err(body_problem(e, (rule.most)(&app))),
            Ok(body) => {
                let key = head.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
                let key = key.filter(|_| head.method == Method::POST).map(str::to_string);
                let if_match = head.headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
                let if_match = if_match.map(str::to_string);
                let (now, uri) = (app.clock.now(), head.uri);
                let call = Call { now, app: app.clone(), token, body, uri, path, if_match };
                let done = tokio::task::spawn_blocking(move || {
                    let done = act(&call, rule.handler, key);
                    if let Err(problem) = &done
                        && problem.status() == 403
                    {
                        refusal::record(&call.app, &call.token, rule.action, call.uri.path(), problem);
                    }
                    done
                });
                done.await
                    .unwrap_or_else(|_| Err(Problem::new(codes::INTERNAL, "the request ended abnormally")))
            }
        },
    };
    respond(done, &method, &instance, &id, &label)
}

fn act(call: &Call, handler: Handler, key: Option<String>) -> Done {
    let Some(key) = key else { return handler(call) };
    if key.is_empty() || key.len() > 128 {
        return Err(Problem::invalid("Idempotency-Key: give 1 to 128 characters"));
    }
    let target = call.uri.to_string();
    let request = call.app.crypto.sha256_parts(&[target.as_bytes(), &[0], &call.body]);
    let id = (call.token.hash, key);
    if let Some(done) = call.app.idempotency.find(&id, &request) {
        return done;
    }
    let answer = handler(call)?;
    call.app.idempotency.remember(id, request, answer.clone());
    Ok(answer)
}

fn body_problem(error: BodyError, most: usize) -> Problem {
    match error {
        BodyError::TooLarge => {
            Problem::new(codes::HTTP_TOO_LARGE, format_args!("the body has more than {most} bytes"))
        }
        BodyError::TooSlow => {
            Problem::new(codes::HTTP_BAD_REQUEST, "the body did not arrive in time").with_status(408)
        }
        BodyError::Broken => Problem::new(codes::HTTP_BAD_REQUEST, "the body broke off"),
    }
}

/// The response to what was done, and its log line.
pub(super) fn respond(done: Done, method: &Method, instance: &str, id: &str, label: &str) -> Response {
    let (status, media_type, json, link, etag) = match done {
        Ok(Answer { status, json, link, etag }) => (status, "application/json", json, link, etag),
        Err(problem) => {
            let json = problem.to_json(instance, id);
            let (code, detail) = (problem.code, &problem.detail);
            tracing::info!(
                target: "tamarack::api", %method, path = instance, request_id = id, caller = label,
                status = problem.status(), %code, "{detail}"
            );
            (problem.status(), "application/problem+json", Some(json), None, None)
        }
    };
    if status < 400 {
        tracing::info!(target: "tamarack::api", %method, path = instance, request_id = id, caller = label, status);
    }
    metrics::counter!("tam_api_requests_total", "status" => status.to_string()).increment(1);
    let mut response = Response::new(json.map(|json| json.to_string()).unwrap_or_default().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(HeaderName::from_static("x-request-id"), id);
    set(HeaderName::from_static("cache-control"), "no-store");
    set(HeaderName::from_static("x-content-type-options"), "nosniff");
    if status != 204 {
        set(CONTENT_TYPE, media_type);
    }
    if status == 401 {
        set(WWW_AUTHENTICATE, "Bearer");
    }
    if let Some(link) = link {
        set(LINK, &link);
    }
    if let Some(etag) = etag {
        set(ETAG, &etag);
    }
    response
}
