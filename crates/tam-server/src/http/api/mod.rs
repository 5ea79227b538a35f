//! The REST interface, `/api/v1`: one table of paths, methods and roles.
//!
//! Lists are paged by a cursor (`?after=..&limit=..`, `Link: rel="next"`). Errors are problem details with a stable code. A
//! POST may carry an Idempotency-Key. Every change is in the audit log, in the same transaction.

mod artifacts;
mod audit;
mod call;
mod components;
mod devices;
mod domains;
mod policies;
mod problem;
mod providers;
mod references;
mod sessions;
mod tokens;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::json;
use tamarack_model::codes;
use tamarack_store::Role;

pub(crate) use call::Idempotency;
pub(super) use call::authenticate;
use call::{Action, Answer, Call, Done, Rule};
use problem::Problem;

use crate::app::App;

const OPERATOR: &[Role] = &[Role::Operator];
const READERS: &[Role] = &[Role::Operator, Role::Auditor];
const PUBLISHERS: &[Role] = &[Role::Operator, Role::Provider];
const ALL: &[Role] = &[Role::Operator, Role::Provider, Role::Auditor];

/// Method, path, who may, what is done.
type Row = (MethodFilter, &'static str, &'static [Role], Action);

const ROUTES: &[Row] = &[
    (MethodFilter::GET, "/providers", ALL, providers::list),
    (MethodFilter::POST, "/providers", OPERATOR, providers::register),
    (MethodFilter::GET, "/providers/{id}", ALL, providers::get),
    (MethodFilter::PUT, "/providers/{id}", OPERATOR, providers::replace),
    (MethodFilter::GET, "/components", ALL, components::list),
    (MethodFilter::POST, "/components", PUBLISHERS, components::publish),
    (MethodFilter::GET, "/components/{digest}", ALL, components::get),
    (MethodFilter::DELETE, "/components/{digest}", PUBLISHERS, components::withdraw),
    (MethodFilter::GET, "/domains", ALL, domains::list),
    (MethodFilter::POST, "/domains", OPERATOR, domains::create),
    (MethodFilter::GET, "/domains/{name}", ALL, domains::get),
    (MethodFilter::DELETE, "/domains/{name}", OPERATOR, domains::delete),
    (MethodFilter::POST, "/domains/{name}/providers", OPERATOR, domains::allow),
    (MethodFilter::DELETE, "/domains/{name}/providers/{provider}", OPERATOR, domains::disallow),
    (MethodFilter::POST, "/artifacts", PUBLISHERS, artifacts::upload),
    (MethodFilter::GET, "/policies", READERS, policies::list),
    (MethodFilter::PUT, "/policies/{component}", OPERATOR, policies::set),
    (MethodFilter::DELETE, "/policies/{component}", OPERATOR, policies::clear),
    (MethodFilter::GET, "/references", READERS, references::list),
    (MethodFilter::POST, "/references", OPERATOR, references::add),
    (MethodFilter::GET, "/references/{id}", READERS, references::get),
    (MethodFilter::DELETE, "/references/{id}", OPERATOR, references::deactivate),
    (MethodFilter::GET, "/devices", READERS, devices::list),
    (MethodFilter::GET, "/devices/{id}", READERS, devices::get),
    (MethodFilter::POST, "/devices/{id}/release", OPERATOR, devices::release),
    (MethodFilter::GET, "/devices/{id}/decryption-key", ALL, devices::decryption_key),
    (MethodFilter::GET, "/devices/{id}/personalization", READERS, devices::personalizations),
    (MethodFilter::POST, "/devices/{id}/personalization", PUBLISHERS, devices::personalize_sealed),
    (MethodFilter::PUT, "/devices/{id}/personalization/{manifest}", OPERATOR, devices::personalize),
    (MethodFilter::GET, "/sessions", READERS, sessions::list),
    (MethodFilter::GET, "/sessions/{id}", READERS, sessions::get),
    (MethodFilter::GET, "/audit", READERS, audit::list),
    (MethodFilter::GET, "/tokens", OPERATOR, tokens::list),
    (MethodFilter::POST, "/tokens", OPERATOR, tokens::create),
    (MethodFilter::DELETE, "/tokens/{hash}", OPERATOR, tokens::revoke),
    (MethodFilter::GET, "/registry-digest", OPERATOR, registry_digest),
];

pub(super) fn router(app: Arc<App>) -> Router<Arc<App>> {
    let router = ROUTES.iter().fold(Router::new(), |router, (method, path, roles, action)| {
        let most: fn(&App) -> usize =
            if *path == "/artifacts" { |app| app.limits.payload } else { |app| app.limits.body };
        let rule = Rule { roles, action: *action, most };
        router.route(path, route(*method, rule))
    });
    router
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            let problem = Problem::new(codes::API_INVALID, format_args!("the path takes no {method}"));
            call::respond(Err(problem.with_status(405)), &method, &format!("/api/v1{}", uri.path()), "-", "")
        })
        .fallback(|method: Method, uri: Uri| async move {
            let problem = Problem::not_found("such path");
            call::respond(Err(problem), &method, &format!("/api/v1{}", uri.path()), "-", "")
        })
        .with_state(app)
}

fn route(method: MethodFilter, rule: Rule) -> MethodRouter<Arc<App>> {
    let handler = move |app: State<Arc<App>>, params: RawPathParams, request: Request| -> _ {
        call::run(app, params, request, rule)
    };
    on(method, handler)
}

/// SHA-256 over all that the TAM decides by, of every tenant: for tests that a refusal changed nothing.
fn registry_digest(call: &Call) -> Done {
    let digest = tamarack_store::registry_digest(&call.app.store, &call.app.crypto)?;
    Ok(Answer::ok(json!({ "sha256": hex::encode(digest) })))
}
