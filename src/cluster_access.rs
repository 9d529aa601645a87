//! What went wrong on the way to a cluster, with the fix.

use adapter_kube::client::{ConnectError, ErrorClass};
use adapter_kube::rights::Permission;
use journal_schema::effect::{Failure, FailureCode};

use crate::exit::{Exit, Problem};

/// The cluster could not be connected.
pub(crate) fn problem(error: &ConnectError) -> Problem {
    let exit = match error.class() {
        ErrorClass::Configuration => Exit::Config,
        ErrorClass::Unreachable => Exit::Unreachable,
        ErrorClass::Forbidden => Exit::Failed,
    };
    Problem::new(exit, error.to_string())
}

/// The API server did not answer a question about permissions.
pub(crate) fn unanswered(server: &str, failure: &Failure) -> Problem {
    let exit = if failure.code == FailureCode::Forbidden { Exit::Failed } else { Exit::Unreachable };
    Problem::new(exit, format!("{server} does not tell what this account may do: {}", failure.message))
}

/// Permissions are missing: each with its verb and resource.
pub(crate) fn forbidden(missing: &[Permission]) -> Problem {
    let list: Vec<String> = missing.iter().map(|permission| format!("  {permission}")).collect();
    Problem::failed(format!("this account may not do what is needed:\n{}", list.join("\n")))
        .fix("give its ClusterRole these verbs, or use another account (--kubeconfig, --context)")
}
