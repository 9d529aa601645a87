//! Whether the account may do what the mode asks, before anything else is tried.

use adapter_kube::client::Clients;
use adapter_kube::rights::{Access, Enrolled, Own, enrolled, needed, preflight};
use journal_schema::policy::Mode;

use super::settings::Settings;
use crate::cluster_access;
use crate::exit::Problem;

/// Namespaces that a warning names at most.
const NAMED: usize = 10;

/// Refuses an account that cannot do what the mode asks. Where it may move pods is the operator's
/// choice, namespace by namespace, and is told; only nowhere is a mistake.
pub(super) async fn check(settings: &Settings, clients: &Clients) -> Result<Enrolled, Problem> {
    let unanswered = |failure| cluster_access::unanswered(&clients.server, &failure);
    let access = if settings.policy.mode == Mode::Recommend { Access::Observe } else { Access::Act };
    let namespace = settings.own_pod.as_ref().map_or(clients.namespace.as_str(), |pod| pod.namespace.as_str());
    let own = Own { lease: (&settings.lease.namespace, &settings.lease.name), namespace };
    let missing = preflight(&clients.requests, needed(access, own)).await.map_err(unanswered)?;
    if !missing.is_empty() {
        return Err(cluster_access::forbidden(&missing));
    }
    if access != Access::Act {
        return Ok(Enrolled::default());
    }
    let enrolled = enrolled(&clients.requests).await.map_err(unanswered)?;
    if !enrolled.missing.is_empty() && enrolled.complete.is_empty() {
        return Err(cluster_access::forbidden(&enrolled.missing));
    }
    if !enrolled.incomplete.is_empty() {
        let named: Vec<&str> = enrolled.incomplete.iter().map(String::as_str).take(NAMED).collect();
        tracing::warn!(
            namespaces = enrolled.incomplete.len(),
            "no right to move the pods of {}{}: they are left where they are; bind the right there and start again",
            named.join(", "),
            if enrolled.incomplete.len() > NAMED { ", …" } else { "" }
        );
    }
    Ok(enrolled)
}
