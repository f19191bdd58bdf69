//! The OpenID AuthZEN Authorization API 1.0: evaluation, evaluations, three searches, discovery.
//!
//! A denial is always 200. What was answered is in the journal before the answer leaves: a batch and a
//! search are one record each.

mod evaluate;
mod gated;
mod request;
mod search;

pub(crate) use evaluate::{evaluation, evaluations};
pub(crate) use gated::{request, requested};
pub(crate) use search::search;

use cku_base::TenantPath;
use serde_json::json;

use crate::{answer, answer::Answer, context::Shared};

/// Where the endpoints are, for all tenants or for one; from the configuration, never from a request.
pub(crate) fn discovery(shared: &Shared, tenant: Option<&TenantPath>) -> Answer {
    let base = match tenant {
        None => shared.public_url.clone(),
        Some(tenant) => format!("{}/{tenant}", shared.public_url),
    };
    answer::json(&json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        "search_subject_endpoint": format!("{base}/access/v1/search/subject"),
        "search_resource_endpoint": format!("{base}/access/v1/search/resource"),
        "search_action_endpoint": format!("{base}/access/v1/search/action"),
        "access_request_endpoint": format!("{base}/access/v1/requests"),
    }))
}
