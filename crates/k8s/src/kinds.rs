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
    let plural = kind.resource().split('.').next().unwrap_or_default();
    ApiResource::from_gvk_with_plural(&gvk, plural)
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
