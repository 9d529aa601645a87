//! Persistent volumes and their claims.

use journal_schema::facts::{Kind, Object, PvFact, PvcFact};
use journal_schema::text::Name;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{IdentityError, Notes, Project, Projected, affinity, meta};

impl Project for PersistentVolumeClaim {
    const KIND: Kind = Kind::PersistentVolumeClaim;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let spec = self.spec.as_ref();
        let status = self.status.as_ref();
        let bound = status.and_then(|status| status.phase.as_deref()) == Some("Bound");
        let volume = spec.and_then(|spec| spec.volume_name.as_deref()).filter(|name| bound && !name.is_empty());
        let modes = spec.and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
        let storage_class = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
        let fact = PvcFact {
            key: meta::key(&self.metadata)?,
            uid: meta::uid(&self.metadata)?,
            volume: volume.map(|name| notes.name("spec.volumeName", name)),
            storage_class: notes.name("spec.storageClassName", storage_class),
            single_node: !modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany"),
        };
        Ok(notes.done(Object::Pvc(fact)))
    }
}

/// The driver that attaches the volume. In-tree disks of the clouds go by the CSI driver that has
/// taken them over, as kube-scheduler counts them.
fn driver(spec: &PersistentVolumeSpec) -> &str {
    if let Some(csi) = &spec.csi {
        return &csi.driver;
    }
    let in_tree = [
        (spec.gce_persistent_disk.is_some(), "pd.csi.storage.gke.io"),
        (spec.aws_elastic_block_store.is_some(), "ebs.csi.aws.com"),
        (spec.azure_disk.is_some(), "disk.csi.azure.com"),
        (spec.azure_file.is_some(), "file.csi.azure.com"),
        (spec.cinder.is_some(), "cinder.csi.openstack.org"),
        (spec.vsphere_volume.is_some(), "csi.vsphere.vmware.com"),
        (spec.portworx_volume.is_some(), "pxd.portworx.com"),
        (spec.rbd.is_some(), "kubernetes.io/rbd"),
        (spec.local.is_some(), "kubernetes.io/local-volume"),
        (spec.host_path.is_some(), "kubernetes.io/host-path"),
        (spec.nfs.is_some(), "kubernetes.io/nfs"),
        (spec.iscsi.is_some(), "kubernetes.io/iscsi"),
        (spec.fc.is_some(), "kubernetes.io/fc"),
        (spec.cephfs.is_some(), "kubernetes.io/cephfs"),
        (spec.glusterfs.is_some(), "kubernetes.io/glusterfs"),
    ];
    in_tree.iter().find(|(present, _)| *present).map_or("", |(_, name)| name)
}

impl Project for PersistentVolume {
    const KIND: Kind = Kind::PersistentVolume;

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn project(&self) -> Result<Projected, IdentityError> {
        let mut notes = Notes::default();
        let empty = PersistentVolumeSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        let node_affinity = required.map(|required| {
            let terms = required.node_selector_terms.iter();
            let terms = terms.map(|term| affinity::node_term(&mut notes, "spec.nodeAffinity", term)).collect();
            notes.few("spec.nodeAffinity", terms)
        });
        let labels = self.metadata.labels.as_ref();
        let zone = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]
            .iter()
            .find_map(|key| labels.and_then(|labels| labels.get(*key)));
        // A regional disk lists its zones in one label.
        let zones: Vec<Name> = zone
            .into_iter()
            .flat_map(|zones| zones.split("__"))
            .map(|zone| notes.name("metadata.labels", zone))
            .collect();
        let fact = PvFact {
            name: meta::name(&self.metadata)?,
            uid: meta::uid(&self.metadata)?,
            driver: notes.name("spec.csi.driver", driver(spec)),
            node_affinity,
            zones: notes.few("zones", zones),
        };
        Ok(notes.done(Object::Pv(fact)))
    }
}
