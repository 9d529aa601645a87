//! Pools from groups, templates and machine types.
//!
//! A group whose nodes cannot be known is shown and refused, never guessed: its nodes stay.

use std::collections::BTreeMap;

use adapter_prices::{Arch, allocatable};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use google_cloud_compute_v1::model;
use google_cloud_compute_v1::model::instance_group_manager_update_policy::{ReplacementMethod, Type};
use google_cloud_compute_v1::model::machine_type::Architecture;
use google_cloud_compute_v1::model::scheduling::ProvisioningModel;
use journal_schema::cloud::{CapacityType, Pool, PoolRefusal};
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use journal_schema::facts::Labels;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu, Resources};

use crate::client::{GoogleCloud, PARALLEL};
use crate::container::GkeGroups;
use crate::failure::Called;
use crate::template::NodeTemplate;

pub(crate) use adapter_prices::Machine;

/// What a template says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateFacts {
    pub(crate) node: NodeTemplate,
    pub(crate) machine_type: String,
    pub(crate) spot: bool,
    pub(crate) boot_disk: Bytes,
    pub(crate) accelerators: u32,
}

const LIST_PERMISSION: &str = "compute.instanceGroupManagers.list";

impl GoogleCloud {
    pub(crate) async fn discover_pools(&self) -> Result<Vec<Pool>, Failure> {
        let gke = match &self.container {
            Some(container) => Some(container.groups().await?),
            None => None,
        };
        let groups =
            if self.config.zones.is_empty() { self.groups_everywhere().await? } else { self.groups_in_zones().await? };
        let gke = gke.as_ref();
        let read = |group: model::InstanceGroupManager| async move { self.pool(&group, gke).await };
        let pools: Vec<Option<Pool>> = stream::iter(groups).map(read).buffered(PARALLEL).try_collect().await?;
        let mut pools: Vec<Pool> = pools.into_iter().flatten().collect();
        pools.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(pools)
    }

    async fn groups_in_zones(&self) -> Result<Vec<model::InstanceGroupManager>, Failure> {
        let mut groups = Vec::new();
        for zone in &self.config.zones {
            let called = Called {
                method: "instanceGroupManagers.list",
                permission: LIST_PERMISSION,
                target: zone,
                mutates: false,
            };
            let mut token = String::new();
            loop {
                let request = self.groups.list().set_project(&self.config.project).set_zone(zone);
                let request = if token.is_empty() { request } else { request.set_page_token(token.clone()) };
                let page = request.send().await.map_err(|error| called.classify(&error))?;
                groups.extend(page.items);
                match page.next_page_token.filter(|next| !next.is_empty() && *next != token) {
                    Some(next) => token = next,
                    None => break,
                }
            }
        }
        Ok(groups)
    }

    async fn groups_everywhere(&self) -> Result<Vec<model::InstanceGroupManager>, Failure> {
        let project = &self.config.project;
        let called = Called {
            method: "instanceGroupManagers.aggregatedList",
            permission: LIST_PERMISSION,
            target: project,
            mutates: false,
        };
        let (mut groups, mut token) = (Vec::new(), String::new());
        loop {
            let request = self.groups.aggregated_list().set_project(project);
            let request = if token.is_empty() { request } else { request.set_page_token(token.clone()) };
            let page = request.send().await.map_err(|error| called.classify(&error))?;
            if let Some(zone) = page.unreachables.first() {
                // Its pools would look as if they were gone.
                return Err(called.failed(
                    FailureClass::Retryable,
                    FailureCode::Unavailable,
                    &format!("{zone} did not answer"),
                ));
            }
            groups.extend(page.items.into_values().flat_map(|scoped| scoped.instance_group_managers));
            match page.next_page_token.filter(|next| !next.is_empty() && *next != token) {
                Some(next) => token = next,
                None => return Ok(groups),
            }
        }
    }

    /// The group as a pool. `None` for a group that has no zone (a regional one), is no Kubernetes
    /// node's, or is another cluster's.
    async fn pool(
        &self,
        group: &model::InstanceGroupManager,
        gke: Option<&GkeGroups>,
    ) -> Result<Option<Pool>, Failure> {
        let (Some(name), Some(zone)) = (group.name.as_deref(), group.zone.as_deref().map(last_part)) else {
            return Ok(None);
        };
        let key = format!("{zone}/{name}");
        let of_gke = gke.and_then(|groups| groups.get(&key));
        let selection = &self.config.selection;
        if let (Some(wanted), Some(found)) = (&selection.cluster, of_gke)
            && *wanted != found.cluster
        {
            return Ok(None);
        }
        let template = self.template(group).await?;
        let Some(template) = template else {
            // Without Kubernetes' metadata only GKE's word makes it a pool.
            return Ok(of_gke.map(|_| self.unknown(group, &key, zone)));
        };
        if of_gke.is_none() && selection.cluster.is_some() && template.node.cluster != selection.cluster {
            return Ok(None);
        }
        let machine = self.machine(zone, &template.machine_type).await?;
        let mut pool = self.unknown(group, &key, zone);
        pool.machine_type = Name::truncated(&template.machine_type);
        pool.capacity_type = if template.spot { CapacityType::Spot } else { CapacityType::OnDemand };
        pool.labels = node_labels(&template, &machine, &pool);
        pool.taints = Few::new(template.node.taints.clone()).unwrap_or_default();
        pool.allocatable = offered(&machine, &template);
        pool.refusal = self.refusal(group, &pool, of_gke.is_some_and(|found| found.autoscaled));
        Ok(Some(pool))
    }

    fn unknown(&self, group: &model::InstanceGroupManager, key: &str, zone: &str) -> Pool {
        Pool {
            id: Name::truncated(key),
            base_name: Name::truncated(group.base_instance_name.as_deref().unwrap_or_default()),
            machine_type: Name::default(),
            region: Name::truncated(region_of(zone)),
            zone: Name::truncated(zone),
            capacity_type: CapacityType::OnDemand,
            labels: Labels::new(),
            taints: Few::default(),
            allocatable: Resources::default(),
            size: u32::try_from(group.target_size.unwrap_or(0)).unwrap_or(0),
            max_size: None,
            refusal: Some(PoolRefusal::TemplateUnknown),
        }
    }

    fn refusal(
        &self,
        group: &model::InstanceGroupManager,
        pool: &Pool,
        autoscaled_by_gke: bool,
    ) -> Option<PoolRefusal> {
        let autoscaler =
            group.status.as_ref().and_then(|status| status.autoscaler.as_deref()).is_some_and(|url| !url.is_empty());
        let proactive = group.update_policy.as_ref().is_some_and(|policy| {
            policy.r#type == Some(Type::Proactive) && policy.replacement_method == Some(ReplacementMethod::Substitute)
        });
        let selection = &self.config.selection;
        let named = selection.name_prefixes.is_empty()
            || selection.name_prefixes.iter().any(|prefix| {
                group.name.as_deref().unwrap_or("").starts_with(prefix)
                    || pool.base_name.as_str().starts_with(prefix.as_str())
            });
        let labelled = selection
            .labels
            .iter()
            .all(|(key, value)| pool.labels.get(key.as_str()).is_some_and(|found| found.as_str() == value));
        if !named || !labelled {
            Some(PoolRefusal::NotSelected)
        } else if autoscaler || autoscaled_by_gke {
            Some(PoolRefusal::Autoscaled)
        } else if proactive {
            Some(PoolRefusal::ProactiveUpdates)
        } else {
            None
        }
    }

    /// The group's template, read once; `None` when it is not a Kubernetes node's.
    async fn template(&self, group: &model::InstanceGroupManager) -> Result<Option<TemplateFacts>, Failure> {
        let url = group
            .instance_template
            .clone()
            .or_else(|| group.versions.first().and_then(|version| version.instance_template.clone()))
            .unwrap_or_default();
        if url.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.templates.lock().await.get(&url) {
            return Ok(known.clone());
        }
        let called = Called {
            method: "instanceTemplates.get",
            permission: "compute.instanceTemplates.get",
            target: last_part(&url),
            mutates: false,
        };
        let project = &self.config.project;
        let name = last_part(&url);
        let read = match region_of_template(&url) {
            Some(region) => {
                self.regional_templates
                    .get()
                    .set_project(project)
                    .set_region(region)
                    .set_instance_template(name)
                    .send()
                    .await
            }
            None => self.global_templates.get().set_project(project).set_instance_template(name).send().await,
        };
        let facts = match read {
            Ok(template) => read_template(&template),
            // The template of a group that is being deleted goes first.
            Err(error) if error.http_status_code() == Some(404) => return Ok(None),
            Err(error) => return Err(called.classify(&error)),
        };
        self.templates.lock().await.insert(url, facts.clone());
        Ok(facts)
    }

    async fn machine(&self, zone: &str, machine_type: &str) -> Result<Machine, Failure> {
        let key = (zone.to_owned(), machine_type.to_owned());
        if let Some(known) = self.machines.lock().await.get(&key) {
            return Ok(known.clone());
        }
        let called = Called {
            method: "machineTypes.get",
            permission: "compute.machineTypes.get",
            target: machine_type,
            mutates: false,
        };
        let request =
            self.machine_types.get().set_project(&self.config.project).set_zone(zone).set_machine_type(machine_type);
        let machine = read_machine(&request.send().await.map_err(|error| called.classify(&error))?);
        self.machines.lock().await.insert(key, machine.clone());
        Ok(machine)
    }
}

fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// The region in `…/regions/R/instanceTemplates/T`.
fn region_of_template(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("/regions/")?;
    rest.split('/').next()
}

fn read_template(template: &model::InstanceTemplate) -> Option<TemplateFacts> {
    let properties = template.properties.as_ref()?;
    let items = properties.metadata.as_ref().map(|metadata| metadata.items.as_slice()).unwrap_or_default();
    let metadata: BTreeMap<String, String> =
        items.iter().filter_map(|item| Some((item.key.clone()?, item.value.clone().unwrap_or_default()))).collect();
    let spot = properties.scheduling.as_ref().is_some_and(|scheduling| {
        scheduling.preemptible == Some(true) || scheduling.provisioning_model == Some(ProvisioningModel::Spot)
    });
    let boot = properties.disks.iter().find(|disk| disk.boot == Some(true));
    let gibibytes =
        boot.and_then(|disk| disk.initialize_params.as_ref()?.disk_size_gb).filter(|size| (1..=65_536).contains(size));
    let accelerators =
        properties.guest_accelerators.iter().filter_map(|accelerator| accelerator.accelerator_count).sum::<i32>();
    Some(TemplateFacts {
        node: NodeTemplate::read(&metadata)?,
        machine_type: last_part(properties.machine_type.as_deref()?).to_owned(),
        spot,
        boot_disk: gibibytes.map_or(allocatable::BOOT_DISK, |size| Bytes(size << 30)),
        accelerators: u32::try_from(accelerators).unwrap_or(0),
    })
}

fn read_machine(machine: &model::MachineType) -> Machine {
    let name = machine.name.as_deref().unwrap_or("");
    let bundled: i32 = machine.accelerators.iter().filter_map(|accelerator| accelerator.guest_accelerator_count).sum();
    let gpu = machine
        .accelerators
        .first()
        .and_then(|accelerator| accelerator.guest_accelerator_type.as_deref())
        .unwrap_or("");
    Machine {
        family: Name::truncated(name.split('-').next().unwrap_or("")),
        cpu: MilliCpu(i64::from(machine.guest_cpus.unwrap_or(0)) * 1000),
        memory: Bytes(i64::from(machine.memory_mb.unwrap_or(0)) << 20),
        arch: if machine.architecture == Some(Architecture::Arm64) { Arch::Arm64 } else { Arch::Amd64 },
        shared_core: machine.is_shared_cpu.unwrap_or(false),
        gpu: Name::truncated(gpu),
        gpus: u32::try_from(bundled).unwrap_or(0),
        local_ssd: machine.bundled_local_ssds.is_some(),
    }
}

/// What a node of the pool will offer, before any of them lives.
fn offered(machine: &Machine, template: &TemplateFacts) -> Resources {
    let mut machine = machine.clone();
    machine.gpus += template.accelerators;
    allocatable::cautious(&machine, template.boot_disk, template.node.max_pods().unwrap_or(allocatable::MAX_PODS))
}

/// The template's labels and those that every GKE node carries.
fn node_labels(template: &TemplateFacts, machine: &Machine, pool: &Pool) -> Labels {
    let mut labels = template.node.labels.clone();
    let (arch, machine_type, region, zone) =
        (machine.arch.as_str(), pool.machine_type.as_str(), pool.region.as_str(), pool.zone.as_str());
    let standard = [
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/instance-type", machine_type),
        ("beta.kubernetes.io/os", "linux"),
        ("cloud.google.com/machine-family", machine.family.as_str()),
        ("failure-domain.beta.kubernetes.io/region", region),
        ("failure-domain.beta.kubernetes.io/zone", zone),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", machine_type),
        ("topology.gke.io/zone", zone),
        ("topology.kubernetes.io/region", region),
        ("topology.kubernetes.io/zone", zone),
    ];
    for (key, value) in standard {
        labels.entry(Name::truncated(key)).or_insert_with(|| Name::truncated(value));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_to_their_parts() {
        assert_eq!(last_part("https://x/compute/v1/projects/p/zones/us-central1-b"), "us-central1-b");
        assert_eq!(region_of("us-central1-b"), "us-central1");
        assert_eq!(region_of_template("https://x/projects/p/regions/us-east1/instanceTemplates/t"), Some("us-east1"));
        assert_eq!(region_of_template("https://x/projects/p/global/instanceTemplates/t"), None);
    }

    #[test]
    fn a_custom_machine_with_attached_accelerators_offers_them() {
        let machine =
            read_machine(&model::MachineType::new().set_name("custom-4-16384").set_guest_cpus(4).set_memory_mb(16384));
        let template = TemplateFacts {
            node: NodeTemplate::default(),
            machine_type: "custom-4-16384".to_owned(),
            spot: false,
            boot_disk: allocatable::BOOT_DISK,
            accelerators: 2,
        };
        let offered = offered(&machine, &template);
        assert_eq!((offered.cpu, offered.pods), (MilliCpu(3920), 110));
        assert_eq!(offered.extended.get("nvidia.com/gpu"), Some(&2));
    }
}
