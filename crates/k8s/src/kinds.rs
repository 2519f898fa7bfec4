//! The core's kinds as the API names them.

use kube::core::{ApiResource, GroupVersionKind};
use preview_core::objects::Kind;

/// The kinds that a cluster may lack.
pub(crate) const CUSTOM: [Kind; 3] = [
    Kind::HttpRoute,
    Kind::VolumeSnapshot,
    Kind::VolumeSnapshotContent,
];

/// Where objects of `kind` live in the API.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let (group, version) = kind
        .api_version()
        .split_once('/')
        .unwrap_or(("", kind.api_version()));
    let gvk = GroupVersionKind::gvk(group, version, kind.as_str());
    ApiResource::from_gvk_with_plural(&gvk, plural(kind))
}

const fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "namespaces",
        Kind::ResourceQuota => "resourcequotas",
        Kind::LimitRange => "limitranges",
        Kind::NetworkPolicy => "networkpolicies",
        Kind::ServiceAccount => "serviceaccounts",
        Kind::ConfigMap => "configmaps",
        Kind::Secret => "secrets",
        Kind::PersistentVolumeClaim => "persistentvolumeclaims",
        Kind::Service => "services",
        Kind::StatefulSet => "statefulsets",
        Kind::Deployment => "deployments",
        Kind::DaemonSet => "daemonsets",
        Kind::CronJob => "cronjobs",
        Kind::Job => "jobs",
        Kind::Ingress => "ingresses",
        Kind::HttpRoute => "httproutes",
        Kind::VolumeSnapshot => "volumesnapshots",
        Kind::VolumeSnapshotContent => "volumesnapshotcontents",
    }
}

/// Where the pod template of a workload is, as a JSON pointer to its `spec`.
pub(crate) const fn pod_spec(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
            Some("/spec/template/spec")
        }
        Kind::CronJob => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_that_a_cluster_may_lack_are_the_custom_ones() {
        let custom: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.is_custom())
            .collect();
        assert_eq!(custom, CUSTOM);
    }
}
