//! The REST interface, `/api/v1`: one table of paths and methods. Who may do what, [`tamarack_model::permission`] says.
//!
//! Lists are paged by a cursor (`?after=..&limit=..`, `Link: rel="next"`). Errors are problem details with a stable code. A
//! POST may carry an Idempotency-Key. Every change is in the audit log, in the
//! same transaction; what a valid token was refused is there too.

mod artifacts;
mod audit;
mod call;
mod components;
mod devices;
mod domains;
mod policies;
mod problem;
mod providers;
mod reference_providers;
mod references;
mod refusal;
mod release_policy;
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
use tamarack_model::permission::Action;

pub(crate) use call::Idempotency;
pub(super) use call::authenticate;
use call::{Answer, Call, Done, Handler, Rule};
use problem::Problem;
pub(crate) use refusal::Refusals;

use crate::app::App;

/// Method, path, what it is in the permission matrix, what is done.
type Row = (MethodFilter, &'static str, Action, Handler);

const ROUTES: &[Row] = &[
    (MethodFilter::GET, "/providers", Action::ProviderList, providers::list),
    (MethodFilter::POST, "/providers", Action::ProviderRegister, providers::register),
    (MethodFilter::GET, "/providers/{id}", Action::ProviderShow, providers::get),
    (MethodFilter::PUT, "/providers/{id}", Action::ProviderReplace, providers::replace),
    (MethodFilter::GET, "/components", Action::ComponentList, components::list),
    (MethodFilter::POST, "/components", Action::ComponentPublish, components::publish),
    (MethodFilter::GET, "/components/{digest}", Action::ComponentShow, components::get),
    (MethodFilter::DELETE, "/components/{digest}", Action::ComponentWithdraw, components::withdraw),
    (MethodFilter::GET, "/domains", Action::DomainList, domains::list),
    (MethodFilter::POST, "/domains", Action::DomainCreate, domains::create),
    (MethodFilter::GET, "/domains/{name}", Action::DomainShow, domains::get),
    (MethodFilter::DELETE, "/domains/{name}", Action::DomainDelete, domains::delete),
    (MethodFilter::POST, "/domains/{name}/providers", Action::DomainAllow, domains::allow),
    (MethodFilter::DELETE, "/domains/{name}/providers/{provider}", Action::DomainDisallow, domains::disallow),
    (MethodFilter::POST, "/artifacts", Action::ArtifactUpload, artifacts::upload),
    (MethodFilter::GET, "/policies", Action::PolicyList, policies::list),
    (MethodFilter::PUT, "/policies/{component}", Action::PolicySet, policies::set),
    (MethodFilter::DELETE, "/policies/{component}", Action::PolicyClear, policies::clear),
    (MethodFilter::GET, "/references", Action::ReferenceList, references::list),
    (MethodFilter::POST, "/references", Action::ReferenceAdd, references::add),
    (MethodFilter::GET, "/references/{id}", Action::ReferenceShow, references::get),
    (MethodFilter::DELETE, "/references/{id}", Action::ReferenceDeactivate, references::deactivate),
    (MethodFilter::GET, "/reference-providers", Action::ReferenceProviderList, reference_providers::list),
    (
        MethodFilter::PUT,
        "/reference-providers/{name}",
        Action::ReferenceProviderSet,
        reference_providers::set,
    ),
    (
        MethodFilter::DELETE,
        "/reference-providers/{name}",
        Action::ReferenceProviderRemove,
        reference_providers::remove,
    ),
    (MethodFilter::GET, "/release-policy", Action::ReleasePolicyShow, release_policy::get),
    (MethodFilter::PUT, "/release-policy", Action::ReleasePolicySet, release_policy::set),
    (MethodFilter::GET, "/release-policy/history", Action::ReleasePolicyList, release_policy::history),
    (MethodFilter::POST, "/release-policy/test", Action::ReleaseAsk, release_policy::test),
    (MethodFilter::GET, "/devices", Action::DeviceList, devices::list),
    (MethodFilter::GET, "/devices/{id}", Action::DeviceShow, devices::get),
    (MethodFilter::GET, "/devices/{id}/evidence", Action::EvidenceShow, devices::evidence),
    (MethodFilter::POST, "/devices/{id}/release", Action::DeviceRelease, devices::release),
    (MethodFilter::GET, "/devices/{id}/decryption-key", Action::DecryptionKeyShow, devices::decryption_key),
    (
        MethodFilter::GET,
        "/devices/{id}/personalization",
        Action::PersonalizationList,
        devices::personalizations,
    ),
    (
        MethodFilter::POST,
        "/devices/{id}/personalization",
        Action::PersonalizationSeal,
        devices::personalize_sealed,
    ),
    (
        MethodFilter::PUT,
        "/devices/{id}/personalization/{manifest}",
        Action::PersonalizationSet,
        devices::personalize,
    ),
    (MethodFilter::GET, "/sessions", Action::SessionList, sessions::list),
    (MethodFilter::GET, "/sessions/{id}", Action::SessionShow, sessions::get),
    (MethodFilter::GET, "/audit", Action::AuditList, audit::list),
    (MethodFilter::GET, "/tokens", Action::TokenList, tokens::list),
    (MethodFilter::POST, "/tokens", Action::TokenCreate, tokens::create),
    (MethodFilter::DELETE, "/tokens/{hash}", Action::TokenRevoke, tokens::revoke),
    (MethodFilter::GET, "/registry-digest", Action::RegistryDigest, registry_digest),
];

pub(super) fn router(app: Arc<App>) -> Router<Arc<App>> {
    let router = ROUTES.iter().fold(Router::new(), |router, (method, path, action, handler)| {
        let most: fn(&App) -> usize =
            if *path == "/artifacts" { |app| app.limits.payload } else { |app| app.limits.body };
        let rule = Rule { action: *action, handler: *handler, most };
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
