//! Errors of the REST interface: RFC 9457 problem details with a stable code, a request id and a fix.

use serde_json::Value;
use tamarack_model::{Code, codes};
use tamarack_service::problem_json;
use tamarack_store::StoreError;

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub code: Code,
    pub detail: String,
    /// A status that differs from the code's usual one.
    status: Option<u16>,
}

impl Problem {
    pub fn new(code: Code, detail: impl ToString) -> Self {
        Self { code, detail: detail.to_string(), status: None }
    }

    pub fn invalid(detail: impl ToString) -> Self {
        Self::new(codes::API_INVALID, detail)
    }

    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(codes::API_NOT_FOUND, format_args!("there is no {what}"))
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub fn status(&self) -> u16 {
        self.status.unwrap_or(match self.code {
            codes::API_UNAUTHENTICATED => 401,
            codes::API_FORBIDDEN
            | codes::PUBLISH_PREFIX
            | codes::PUBLISH_UNSIGNED
            | codes::REFERENCE_SCOPE
            | codes::REFERENCE_UNTRUSTED => 403,
            codes::API_NOT_FOUND => 404,
            codes::API_CONFLICT
            | codes::PUBLISH_ROLLBACK
            | codes::REFERENCE_ROLLBACK
            | codes::REFERENCE_PROVIDER
            | codes::REFERENCE_CONFLICT => 409,
            codes::HTTP_TOO_LARGE => 413,
            codes::OVERLOADED => 429,
            codes::INTERNAL => 500,
            codes::STORE_FAILED => 503,
            codes::API_INVALID | codes::HTTP_BAD_REQUEST => 400,
            // What is left is wrong with an envelope or a CoRIM: wire, COSE and SUIT codes, PUBLISH_PAYLOAD, and those of reference values and
            // release policies.
            _ => 422,
        })
    }

    pub fn to_json(&self, instance: &str, request_id: &str) -> Value {
        problem_json(self.code, self.status(), &self.detail, instance, request_id)
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        Self::new(e.code(), e)
    }
}

impl From<tamarack_tam::catalog::PublishError> for Problem {
    fn from(e: tamarack_tam::catalog::PublishError) -> Self {
        Self::new(e.code, e.reason)
    }
}

impl From<crate::Error> for Problem {
    fn from(e: crate::Error) -> Self {
        Self::new(e.code(), e)
    }
}
