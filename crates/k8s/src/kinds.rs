//! The core's kinds as the API names them.

use kube::core::{ApiResource, GroupVersionKind};
use preview_core::objects::Kind;

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
