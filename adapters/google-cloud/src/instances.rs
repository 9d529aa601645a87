//! Machines of a group: listing, creating what is missing, deleting exactly what is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use google_cloud_compute_v1::model;
use google_cloud_compute_v1::model::managed_instance::{CurrentAction, InstanceStatus};
use google_cloud_compute_v1::model::operation::Status;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use journal_schema::cloud::{CloudFault, Instance, InstanceState, PoolId, PoolInstances};
use journal_schema::effect::{Failure, FailureClass, InstanceRef};
use journal_schema::text::{Many, Name};

use crate::client::{GoogleCloud, OPERATION_POLL, PARALLEL, zone_and_group};
use crate::failure::{Called, fault};
use crate::lifetimes::Lifetimes;
use crate::node_cloud::bounded;
use crate::request_id;

/// Most names of one request, as Google limits it.
const CHUNK: usize = 1000;
const PAGE: u32 = 500;

impl GoogleCloud {
    pub(crate) async fn list_pools(&self, pools: &[PoolId]) -> Result<Vec<PoolInstances>, Failure> {
        let list = |pool: PoolId| async move {
            let instances: Vec<Instance> = self.list_group(&pool).await?.into_values().collect();
            Ok((pool, instances))
        };
        let listed: Vec<(PoolId, Vec<Instance>)> =
            stream::iter(pools.to_vec()).map(list).buffered(PARALLEL).try_collect().await?;
        // After the lists: what is not in them any more has ended by now.
        let zones: BTreeSet<&str> = listed.iter().filter_map(|(pool, _)| Some(zone_and_group(pool).ok()?.0)).collect();
        let told = |zone: String| async move { (self.lifetimes(&zone).await, zone) };
        let zones: Vec<String> = zones.into_iter().map(str::to_owned).collect();
        let mut told: BTreeMap<String, Lifetimes> =
            stream::iter(zones).map(told).buffered(PARALLEL).map(|(lifetimes, zone)| (zone, lifetimes)).collect().await;
        let with_times = |(pool, mut instances): (PoolId, Vec<Instance>)| {
            let lifetimes = told.get_mut(zone_and_group(&pool)?.0);
            let Some(lifetimes) = lifetimes else {
                return Ok(PoolInstances { pool, instances: bounded(instances)?, ended: Many::default() });
            };
            for instance in &mut instances {
                instance.created_at = instance.id.and_then(|id| lifetimes.created.get(&id)).copied();
            }
            // Once for each zone.
            let ended = std::mem::take(&mut lifetimes.ended);
            Ok(PoolInstances { pool, instances: bounded(instances)?, ended: bounded(ended)? })
        };
        listed.into_iter().map(with_times).collect()
    }

    /// The group's machines by name, every page of them.
    async fn list_group(&self, pool: &PoolId) -> Result<BTreeMap<Name, Instance>, Failure> {
        let (zone, group) = zone_and_group(pool)?;
        let called = Called {
            method: "listManagedInstances",
            permission: "compute.instanceGroupManagers.get",
            target: pool,
            mutates: false,
        };
        let mut instances = BTreeMap::new();
        let mut token = String::new();
        loop {
            let request = self
                .groups
                .list_managed_instances()
                .set_project(&self.config.project)
                .set_zone(zone)
                .set_instance_group_manager(group)
                .set_max_results(PAGE);
            let request = if token.is_empty() { request } else { request.set_page_token(token.clone()) };
            let page = request.send().await.map_err(|error| called.classify(&error))?;
            for machine in &page.managed_instances {
                let instance = read_instance(machine);
                instances.insert(instance.name.clone(), instance);
            }
            match page.next_page_token.filter(|next| !next.is_empty() && *next != token) {
                Some(next) => token = next,
                None => return Ok(instances),
            }
        }
    }

    pub(crate) async fn create_missing(&self, pool: &PoolId, names: &[Name], intent: &Name) -> Result<(), Failure> {
        let (zone, group) = zone_and_group(pool)?;
        let present = self.list_group(pool).await?;
        let missing: Vec<&Name> = names.iter().filter(|name| !present.contains_key(*name)).collect();
        let called = Called {
            method: "createInstances",
            permission: "compute.instanceGroupManagers.update",
            target: pool,
            mutates: true,
        };
        for (index, chunk) in missing.chunks(CHUNK).enumerate() {
            let configs = chunk.iter().map(|name| model::PerInstanceConfig::new().set_name(name.as_str()));
            let sent = self
                .changes
                .create_instances()
                .with_attempt_timeout(self.limit())
                .set_project(&self.config.project)
                .set_zone(zone)
                .set_instance_group_manager(group)
                .set_request_id(request_id::derive(intent, pool, chunk.iter().map(|name| name.as_str())))
                .set_body(model::InstanceGroupManagersCreateInstancesRequest::new().set_instances(configs))
                .send()
                .await;
            self.follow(zone, &called, index, sent).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_exactly(
        &self,
        pool: &PoolId,
        wanted: &[InstanceRef],
        intent: &Name,
    ) -> Result<(), Failure> {
        let (zone, group) = zone_and_group(pool)?;
        let present = self.list_group(pool).await?;
        // Google deletes by name alone. Between this list and the call a machine could be taken back
        // and created again under its name; nothing narrower is offered.
        let exact: Vec<&InstanceRef> = wanted
            .iter()
            .filter(|wanted| {
                present
                    .get(&wanted.name)
                    .is_some_and(|found| found.id == wanted.id && found.state != InstanceState::Deleting)
            })
            .collect();
        let called = Called {
            method: "deleteInstances",
            permission: "compute.instanceGroupManagers.update",
            target: pool,
            mutates: true,
        };
        for (index, chunk) in exact.chunks(CHUNK).enumerate() {
            let ids: Vec<String> =
                chunk.iter().map(|wanted| wanted.id.map_or_else(String::new, |id| id.to_string())).collect();
            let parts = chunk.iter().zip(&ids).flat_map(|(wanted, id)| [wanted.name.as_str(), id.as_str()]);
            let body = model::InstanceGroupManagersDeleteInstancesRequest::new()
                .set_instances(chunk.iter().map(|wanted| format!("zones/{zone}/instances/{}", wanted.name)))
                .set_skip_instances_on_validation_error(true);
            let sent = self
                .changes
                .delete_instances()
                .with_attempt_timeout(self.limit())
                .set_project(&self.config.project)
                .set_zone(zone)
                .set_instance_group_manager(group)
                .set_request_id(request_id::derive(intent, pool, parts))
                .set_body(body)
                .send()
                .await;
            self.follow(zone, &called, index, sent).await?;
        }
        Ok(())
    }

    /// How long a change is awaited. One that the gate holds back does not get that far.
    fn limit(&self) -> Duration {
        self.config.timeout.min(self.gate.left().unwrap_or_default())
    }

    /// Follows a request's operation for a bounded time. That it cannot be followed is no failure:
    /// the list tells. Once an earlier chunk was accepted, no failure says any more that nothing happened.
    async fn follow(
        &self,
        zone: &str,
        called: &Called<'_>,
        chunk: usize,
        sent: Result<model::Operation, google_cloud_gax::error::Error>,
    ) -> Result<(), Failure> {
        let result = match sent {
            Ok(operation) => self.wait(zone, called, operation).await,
            Err(error) => Err(called.classify(&error)),
        };
        result.map_err(|failure| if chunk == 0 { failure } else { Failure { class: FailureClass::Unknown, ..failure } })
    }

    async fn wait(&self, zone: &str, called: &Called<'_>, mut operation: model::Operation) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + self.config.operation_wait;
        while operation.status != Some(Status::Done) && tokio::time::Instant::now() < until {
            tokio::time::sleep(OPERATION_POLL.min(self.config.operation_wait)).await;
            let Some(name) = operation.name.clone() else { return Ok(()) };
            match self
                .operations
                .get()
                .set_project(&self.config.project)
                .set_zone(zone)
                .set_operation(&name)
                .send()
                .await
            {
                Ok(read) => operation = read,
                Err(error) => {
                    tracing::debug!(operation = %name, status = error.http_status_code(), "operation cannot be read; the list decides");
                    if error.http_status_code() == Some(404) {
                        return Ok(());
                    }
                }
            }
        }
        if operation.status != Some(Status::Done) {
            return Ok(());
        }
        operation.to_result().map(|_| ()).map_err(|error| called.operation(&error))
    }
}

/// A listed machine in the core's words.
fn read_instance(machine: &model::ManagedInstance) -> Instance {
    let from_url = || machine.instance.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or("");
    let name = machine.name.as_deref().filter(|name| !name.is_empty()).unwrap_or_else(from_url);
    let exists = machine.id.filter(|id| *id != 0);
    let state = match (&machine.current_action, &machine.instance_status) {
        (Some(CurrentAction::Deleting), _) => InstanceState::Deleting,
        (
            Some(
                CurrentAction::None
                | CurrentAction::Verifying
                | CurrentAction::Creating
                | CurrentAction::CreatingWithoutRetries,
            ),
            status,
        ) => match status {
            Some(InstanceStatus::Running) => InstanceState::Running,
            Some(InstanceStatus::Provisioning | InstanceStatus::Staging) => InstanceState::Booting,
            None if exists.is_none() => InstanceState::Requested,
            None => InstanceState::Booting,
            Some(_) => InstanceState::Other,
        },
        _ => InstanceState::Other,
    };
    // An error of an attempt that succeeded in the end is history.
    let fault = if state == InstanceState::Running { None } else { last_fault(machine) };
    Instance { name: Name::truncated(name), id: exists, state, fault, created_at: None }
}

fn last_fault(machine: &model::ManagedInstance) -> Option<CloudFault> {
    let errors = &machine.last_attempt.as_ref()?.errors.as_ref()?.errors;
    let read = |error: &model::managed_instance_last_attempt::errors::Errors| {
        fault(error.code.as_deref().unwrap_or(""), error.message.as_deref().unwrap_or(""))
    };
    // The most telling one: anything before "other".
    errors.iter().map(read).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use google_cloud_compute_v1::model::managed_instance_last_attempt::{Errors, errors::Errors as Item};
    use google_cloud_compute_v1::model::{ManagedInstance, ManagedInstanceLastAttempt};

    fn failing(codes: &[&str]) -> ManagedInstance {
        let items = codes.iter().map(|code| Item::new().set_code(*code));
        ManagedInstance::new()
            .set_name("a")
            .set_current_action(CurrentAction::Creating)
            .set_last_attempt(ManagedInstanceLastAttempt::new().set_errors(Errors::new().set_errors(items)))
    }

    #[test]
    fn a_machine_without_an_id_is_only_requested() {
        let instance = read_instance(&failing(&["SOMETHING", "ZONE_RESOURCE_POOL_EXHAUSTED"]));
        assert_eq!(
            (instance.state, instance.fault, instance.id),
            (InstanceState::Requested, Some(CloudFault::Stockout), None)
        );
    }

    #[test]
    fn states_follow_action_and_status() {
        let read = |action, status: Option<InstanceStatus>| {
            let machine = ManagedInstance::new()
                .set_instance("https://x/zones/z/instances/from-url")
                .set_id(7_u64)
                .set_current_action(action);
            read_instance(&match status {
                Some(status) => machine.set_instance_status(status),
                None => machine,
            })
        };
        let running = read(CurrentAction::None, Some(InstanceStatus::Running));
        assert_eq!((running.name.as_str(), running.id, running.state), ("from-url", Some(7), InstanceState::Running));
        assert_eq!(read(CurrentAction::Creating, Some(InstanceStatus::Staging)).state, InstanceState::Booting);
        assert_eq!(read(CurrentAction::Creating, None).state, InstanceState::Booting);
        assert_eq!(read(CurrentAction::Deleting, Some(InstanceStatus::Running)).state, InstanceState::Deleting);
        assert_eq!(read(CurrentAction::Recreating, None).state, InstanceState::Other);
        assert_eq!(read(CurrentAction::None, Some(InstanceStatus::Stopped)).state, InstanceState::Other);
    }
}
