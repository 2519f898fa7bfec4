//! What the programs do on a cluster, as the rights that their accounts need: verbs of resources.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use crate::cleanup::RetainedVolumes;
use crate::objects::Kind;

/// One verb of one resource, in all namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// The resource as `kubectl` names it: `pods`, `pods/log`, `ingresses.networking.k8s.io`.
    pub resource: &'static str,
    /// The verb: `get`, `list`, ….
    pub verb: &'static str,
}

/// What is asked of the cluster beside the objects that a preview is made of.
const AROUND: [(&str, &[&str]); 8] = [
    (
        "namespaces",
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    (
        "persistentvolumeclaims",
        &["get", "list", "watch", "delete"],
    ),
    ("persistentvolumes", &["get", "list", "watch"]),
    ("pods", &["list", "watch", "delete"]),
    ("pods/log", &["get"]),
    ("events", &["list", "watch"]),
    ("services/proxy", &["get"]),
    ("replicasets.apps", &["list", "watch"]),
];

/// What is done to each object that a preview is made of.
const APPLIED: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// What `preview-deploy` has to be allowed in all namespaces, previews being made as they come; `custom` are the kinds that
/// it makes besides and that Kubernetes itself does not have. It takes down, too: a preview whose pull request was closed
/// meanwhile, and one whose cleanup died.
#[must_use]
pub fn of_deploy(custom: &[Kind], retained: RetainedVolumes) -> Vec<Right> {
    let around = AROUND
        .iter()
        .flat_map(|(resource, verbs)| of(resource, verbs));
    let kinds = Kind::ALL.into_iter().filter(|kind| {
        let is_made = !matches!(kind, Kind::Namespace | Kind::PersistentVolumeClaim);
        is_made && (!kind.is_custom() || custom.contains(kind))
    });
    let applied = kinds.flat_map(|kind| {
        let watched: &[&str] = match kind {
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => &["watch"],
            _ => &[],
        };
        of(kind.resource(), &APPLIED).chain(of(kind.resource(), watched))
    });
    let volumes: &[&str] = match retained {
        RetainedVolumes::Stay => &[],
        RetainedVolumes::Go => &["delete"],
    };
    let volumes = of("persistentvolumes", volumes);
    around.chain(applied).chain(volumes).collect()
}

fn of(resource: &'static str, verbs: &'static [&'static str]) -> impl Iterator<Item = Right> {
    verbs.iter().map(move |verb| Right { resource, verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_needs_custom_kinds_only_where_it_makes_them() {
        let resources = |custom: &[Kind]| {
            let rights = of_deploy(custom, RetainedVolumes::Stay);
            rights
                .iter()
                .any(|right| right.resource == "httproutes.gateway.networking.k8s.io")
        };
        assert!(!resources(&[]));
        assert!(resources(&[Kind::HttpRoute]));
    }

    #[test]
    fn volumes_are_deleted_only_where_that_is_configured() {
        let delete = Right {
            resource: "persistentvolumes",
            verb: "delete",
        };
        let may = |retained| of_deploy(&[], retained).contains(&delete);
        assert!(!may(RetainedVolumes::Stay));
        assert!(may(RetainedVolumes::Go));
    }

    #[test]
    fn no_right_is_asked_for_twice() {
        let mut rights = of_deploy(&Kind::ALL, RetainedVolumes::Go);
        let all = rights.len();
        rights.sort();
        rights.dedup();
        assert_eq!(rights.len(), all);
    }
}
