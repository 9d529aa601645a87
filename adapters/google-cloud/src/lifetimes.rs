//! When machines began and ended, by the cloud's own clock.
//!
//! The list of a group has no times, and what is noticed is noticed late. The operations on a zone's
//! machines have them: those of a group's machines, too, and those that took a spot machine back.

use std::collections::BTreeMap;

use google_cloud_compute_v1::model::Operation;
use google_cloud_compute_v1::model::operation::Status;
use journal_schema::cloud::Ended;
use journal_schema::text::Name;
use journal_schema::units::{Millis, Timestamp};

use crate::client::GoogleCloud;

/// How far back is told. What is told more than once counts once; what is told too late does not count.
const WINDOW: Millis = Millis::from_minutes(10);
/// Most operations that are looked at for one list.
const PAGES: usize = 10;
const PAGE: u32 = 500;

/// Beginnings, by the machine's id, and ends within the last [`WINDOW`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    pub(crate) created: BTreeMap<u64, Timestamp>,
    pub(crate) ended: Vec<Ended>,
}

impl GoogleCloud {
    /// Of a zone's machines. Best effort: where it fails, what was noticed counts.
    pub(crate) async fn lifetimes(&self, zone: &str) -> Lifetimes {
        let oldest = Timestamp(crate::now().0 - WINDOW.0);
        let mut lifetimes = Lifetimes::default();
        let mut token = String::new();
        for _ in 0..PAGES {
            let request = self
                .operations
                .list()
                .set_project(&self.config.project)
                .set_zone(zone)
                .set_order_by("creationTimestamp desc")
                .set_max_results(PAGE);
            let request = if token.is_empty() { request } else { request.set_page_token(token.clone()) };
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(
                        zone,
                        status = error.http_status_code(),
                        "operations cannot be listed (compute.zoneOperations.list)"
                    );
                    break;
                }
            };
            let all_read = page.items.iter().all(|operation| lifetimes.take(operation, oldest));
            match page.next_page_token.filter(|next| all_read && !next.is_empty() && *next != token) {
                Some(next) => token = next,
                None => break,
            }
        }
        lifetimes
    }
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text?.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_millisecond()))
}

impl Lifetimes {
    /// Takes an operation. False when it, and all that follow, are too old.
    fn take(&mut self, operation: &Operation, oldest: Timestamp) -> bool {
        let Some(inserted) = time(operation.insert_time.as_ref()) else { return true };
        if inserted < oldest {
            return false;
        }
        let name =
            operation.target_link.as_deref().and_then(|link| link.split_once("/instances/")).map(|(_, name)| name);
        let (Some(name), Some(id)) = (name, operation.target_id.filter(|id| *id != 0)) else { return true };
        let done = operation.status == Some(Status::Done) && operation.error.is_none();
        match operation.operation_type.as_deref() {
            Some("insert") => {
                self.created.insert(id, inserted);
            }
            Some("delete" | "compute.instances.preempted") if done => {
                if let Some(at) = time(operation.end_time.as_ref()) {
                    self.ended.push(Ended { name: Name::truncated(name), id, at });
                }
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(kind: &str, inserted: &str) -> Operation {
        Operation::new()
            .set_operation_type(kind)
            .set_insert_time(inserted)
            .set_end_time("2026-01-05T00:10:02.500-08:00")
            .set_status(Status::Done)
            .set_target_link("https://x/projects/p/zones/z/instances/a")
            .set_target_id(7_u64)
    }

    #[test]
    fn beginnings_and_ends_are_read_until_the_window_ends() {
        let mut lifetimes = Lifetimes::default();
        let oldest = Timestamp(1_767_600_000_000);
        let group = operation("compute.instanceGroupManagers.deleteInstances", "2026-01-05T00:10:00.000-08:00")
            .set_target_link("https://x/projects/p/zones/z/instanceGroupManagers/g");
        let running =
            operation("delete", "2026-01-05T00:09:30.000-08:00").set_status(Status::Running).set_target_id(8_u64);
        for operation in [
            group,
            operation("delete", "2026-01-05T00:10:00.000-08:00"),
            running,
            operation("insert", "2026-01-05T00:01:00.250-08:00"),
        ] {
            assert!(lifetimes.take(&operation, oldest));
        }
        assert!(!lifetimes.take(&operation("delete", "2026-01-04T23:59:59.999-08:00"), oldest));
        let end = Ended { name: Name::truncated("a"), id: 7, at: Timestamp(1_767_600_602_500) };
        let begin = (7, Timestamp(1_767_600_060_250));
        assert_eq!(lifetimes, Lifetimes { created: [begin].into(), ended: vec![end] });
    }
}
