//! The resources that are modelled, as the API names them.

use super::refusal::Refusal;

/// One kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) namespaced: bool,
    /// Whether `metadata.generation` counts changes of its spec.
    pub(super) counted: bool,
}

macro_rules! resources {
    ($($kind:ident $plural:literal $group:literal $namespaced:literal $counted:literal),* $(,)?) => {
        static RESOURCES: &[Resource] = &[$(Resource {
            kind: stringify!($kind),
            plural: $plural,
            group: $group,
            namespaced: $namespaced,
            counted: $counted,
        }),*];
    };
}

resources! {
    Namespace "namespaces" "" false false,
    PersistentVolume "persistentvolumes" "" false false,
    ConfigMap "configmaps" "" true false,
    Event "events" "" true false,
    LimitRange "limitranges" "" true false,
    PersistentVolumeClaim "persistentvolumeclaims" "" true false,
    Pod "pods" "" true true,
    ResourceQuota "resourcequotas" "" true false,
    Secret "secrets" "" true false,
    Service "services" "" true false,
    ServiceAccount "serviceaccounts" "" true false,
    DaemonSet "daemonsets" "apps" true true,
    Deployment "deployments" "apps" true true,
    ReplicaSet "replicasets" "apps" true true,
    StatefulSet "statefulsets" "apps" true true,
    CronJob "cronjobs" "batch" true true,
    Job "jobs" "batch" true true,
    Lease "leases" "coordination.k8s.io" true false,
    Ingress "ingresses" "networking.k8s.io" true true,
    IngressClass "ingressclasses" "networking.k8s.io" false true,
    NetworkPolicy "networkpolicies" "networking.k8s.io" true true,
    StorageClass "storageclasses" "storage.k8s.io" false false,
    GatewayClass "gatewayclasses" "gateway.networking.k8s.io" false true,
    Gateway "gateways" "gateway.networking.k8s.io" true true,
    HTTPRoute "httproutes" "gateway.networking.k8s.io" true true,
    VolumeSnapshotClass "volumesnapshotclasses" "snapshot.storage.k8s.io" false true,
    VolumeSnapshotContent "volumesnapshotcontents" "snapshot.storage.k8s.io" false true,
    VolumeSnapshot "volumesnapshots" "snapshot.storage.k8s.io" true true,
}

/// The kinds that are modelled, each with its group (empty for the core's); all in version `v1`.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = RESOURCES.iter();
    all.map(|resource| (resource.group, resource.kind))
}

/// The group of Gateway API.
pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The group of volume snapshots.
pub(super) const VOLUME_SNAPSHOTS: &str = "snapshot.storage.k8s.io";

impl Resource {
    /// Whether it is there only where somebody installed its definition.
    pub(super) fn is_custom(&self) -> bool {
        matches!(self.group, GATEWAY_API | VOLUME_SNAPSHOTS)
    }

    /// Everything modelled.
    pub(super) fn all() -> &'static [Self] {
        RESOURCES
    }

    /// The resource under this group and plural name; all have version v1.
    pub(super) fn named(group: &str, plural: &str) -> Option<&'static Self> {
        let mut all = RESOURCES.iter();
        all.find(|resource| resource.group == group && resource.plural == plural)
    }

    /// The resource of an object's kind.
    pub(super) fn of_kind(kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.kind == kind)
    }

    /// The resource of a kind that the model itself names.
    pub(super) fn get(kind: &'static str) -> Result<&'static Self, Refusal> {
        Self::of_kind(kind).ok_or_else(|| Refusal::not_modelled(&format!("the kind {kind}")))
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            "v1".to_owned()
        } else {
            format!("{}/v1", self.group)
        }
    }

    /// `deployments.apps`.
    pub(super) fn qualified_plural(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// `Deployment.apps`.
    pub(super) fn qualified_kind(&self) -> String {
        qualified(self.kind, self.group)
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}
