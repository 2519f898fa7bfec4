//! Judgements of a cluster.

use super::Finding;
use crate::rights::Right;

/// An IngressClass or a StorageClass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Whether objects that name no class are of this one.
    pub is_default: bool,
}

/// Whether there is the class that is `wanted`, or a default where none is; `kind` is Kubernetes' name of such classes and
/// `setting` what names one in preview.toml.
#[must_use]
pub fn default_or_named(kind: &str, setting: &str, wanted: Option<&str>, all: &[Class]) -> Finding {
    let what = match wanted {
        Some(wanted) => format!("{kind} {wanted}"),
        None => format!("default {kind}"),
    };
    let found = all.iter().find(|class| match wanted {
        Some(wanted) => class.name == wanted,
        None => class.is_default,
    });
    if let Some(found) = found {
        return Finding::good(what, &found.name);
    }
    let names: Vec<&str> = all.iter().map(|class| class.name.as_str()).collect();
    let names = match names.is_empty() {
        true => format!("the cluster has no {kind} at all"),
        false => format!("the cluster has {}", names.join(", ")),
    };
    let plural = kind.to_lowercase();
    let group = match kind {
        "IngressClass" => "ingressclass.kubernetes.io",
        _ => "storageclass.kubernetes.io",
    };
    let one = all.first().map_or("NAME", |class| class.name.as_str());
    match wanted {
        Some(_) => Finding::missing(
            what,
            format!("it is not there; {names}, and {setting} in preview.toml may name one"),
        )
        .fixed_by(format!("kubectl get {plural}")),
        None => Finding::missing(
            what,
            format!("no class is the default; {names}, and {setting} in preview.toml may name one"),
        )
        .fixed_by(format!(
            "kubectl annotate {plural} {one} {group}/is-default-class=true"
        )),
    }
}

/// Whether an account may do what is asked of it: each right with whether it has it.
#[must_use]
pub fn rights(account: &str, asked: &[(Right, bool)]) -> Vec<Finding> {
    let mut lacking: Vec<(&str, Vec<&str>)> = Vec::new();
    for (right, _) in asked.iter().filter(|(_, has)| !has) {
        match lacking.last_mut() {
            Some((resource, verbs)) if *resource == right.resource => verbs.push(right.verb),
            _ => lacking.push((right.resource, vec![right.verb])),
        }
    }
    if lacking.is_empty() {
        let found = format!("{account} has all {} rights that it needs", asked.len());
        return vec![Finding::good("rights", found)];
    }
    let findings = lacking.into_iter().map(|(resource, verbs)| {
        let (verbs, role) = (verbs.join(","), resource.replace('/', "-"));
        Finding::missing(
            format!("rights to {resource}"),
            format!("{account} may not {}", verbs.replace(',', ", ")),
        )
        .fixed_by(format!(
            "kubectl create clusterrole preview-deploy-{role} --verb={verbs} --resource={resource} && kubectl create \
             clusterrolebinding preview-deploy-{role} --clusterrole=preview-deploy-{role} --user={account}"
        ))
    });
    findings.collect()
}

/// DaemonSets of network plugins that enforce NetworkPolicies, by what their names begin with.
const ENFORCERS: [(&str, &str); 7] = [
    ("antrea-agent", "Antrea"),
    ("calico-node", "Calico"),
    ("canal", "Calico"),
    ("cilium", "Cilium"),
    ("kindnet", "kindnet"),
    ("kube-router", "kube-router"),
    ("weave-net", "Weave Net"),
];

/// Whether NetworkPolicies are enforced: the API takes them either way, so nothing in it says so for certain.
#[must_use]
pub fn network_policies(daemon_sets: &[String]) -> Finding {
    let known = ENFORCERS
        .iter()
        .find(|(prefix, _)| daemon_sets.iter().any(|name| name.starts_with(prefix)));
    let found = match known {
        Some((_, plugin)) => {
            format!("{plugin} runs, which enforces them unless it is told not to")
        }
        None => "no network plugin runs that is known to enforce them; where none does, a preview reaches all that its \
                 node reaches"
            .to_owned(),
    };
    // In a preview, the address of the node's own cloud is never reached.
    Finding::unknown("NetworkPolicies", found).fixed_by(
        "kubectl -n preview-pr-N exec deploy/COMPONENT -- wget -T 3 -O - http://169.254.169.254/  # has to time out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::lines;

    #[test]
    fn a_class_is_there_by_name_or_as_the_default() {
        let class = |name: &str, is_default| Class {
            name: name.to_owned(),
            is_default,
        };
        let all = [class("nginx", false), class("traefik", false)];
        let told = [
            default_or_named("IngressClass", "ingress.class", Some("nginx"), &all),
            default_or_named("IngressClass", "ingress.class", Some("haproxy"), &all),
            default_or_named("IngressClass", "ingress.class", None, &all),
            default_or_named("StorageClass", "database.storage_class", None, &[]),
            default_or_named(
                "StorageClass",
                "database.storage_class",
                None,
                &[class("standard", true)],
            ),
        ];
        insta::assert_snapshot!(lines(&told).join("\n"), @r"
        ✓ IngressClass nginx: nginx
        ✗ IngressClass haproxy: it is not there; the cluster has nginx, traefik, and ingress.class in preview.toml may name one
            kubectl get ingressclass
        ✗ default IngressClass: no class is the default; the cluster has nginx, traefik, and ingress.class in preview.toml may name one
            kubectl annotate ingressclass nginx ingressclass.kubernetes.io/is-default-class=true
        ✗ default StorageClass: no class is the default; the cluster has no StorageClass at all, and database.storage_class in preview.toml may name one
            kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true
        ✓ default StorageClass: standard
        ");
    }

    #[test]
    fn rights_that_lack_are_put_together_by_resource() {
        let right = |resource, verb| Right { resource, verb };
        let asked = [
            (right("pods", "list"), true),
            (right("pods/log", "get"), false),
            (right("ingresses.networking.k8s.io", "create"), false),
            (right("ingresses.networking.k8s.io", "get"), true),
            (right("ingresses.networking.k8s.io", "delete"), false),
        ];
        insta::assert_snapshot!(lines(&rights("robot", &asked)).join("\n"), @r"
        ✗ rights to pods/log: robot may not get
            kubectl create clusterrole preview-deploy-pods-log --verb=get --resource=pods/log && kubectl create clusterrolebinding preview-deploy-pods-log --clusterrole=preview-deploy-pods-log --user=robot
        ✗ rights to ingresses.networking.k8s.io: robot may not create, delete
            kubectl create clusterrole preview-deploy-ingresses.networking.k8s.io --verb=create,delete --resource=ingresses.networking.k8s.io && kubectl create clusterrolebinding preview-deploy-ingresses.networking.k8s.io --clusterrole=preview-deploy-ingresses.networking.k8s.io --user=robot
        ");
        insta::assert_snapshot!(lines(&rights("robot", &asked[..1])).join("\n"), @"✓ rights: robot has all 1 rights that it needs");
    }

    #[test]
    fn a_network_plugin_is_known_by_its_daemon_set() {
        let found = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            network_policies(&names).found
        };
        assert!(found(&["kube-proxy", "calico-node"]).starts_with("Calico runs"));
        assert!(found(&["kube-proxy"]).starts_with("no network plugin runs"));
    }
}
