//! Who may speak with whom: the NetworkPolicies of every preview.
//!
//! Policies are additive: the first denies everything, each of the others allows one thing by its name.
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{DATABASE, NAME_LABEL, Preview};
use crate::config::{Cidr, Peer};
use crate::objects::{Kind, Manifest};

/// Addresses that a preview never reaches beyond its own namespace: private ones (RFC 1918), those that providers share
/// among customers (RFC 6598), link-local ones with the metadata services of clouds (RFC 3927), and the same of IPv6
/// (RFC 4193, RFC 4291).
pub const NEVER_REACHED: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// DNS servers that are no pods: NodeLocal DNSCache, and GKE's metadata server, which answers names too.
/// <https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/>
const DNS_ADDRESSES: [&str; 2] = ["169.254.20.10/32", "169.254.169.254/32"];

/// All policies of `preview`.
pub(super) fn policies(preview: &Preview<'_>) -> Vec<Manifest> {
    vec![
        policy("deny-all", json!({ "policyTypes": ["Ingress", "Egress"] })),
        same_namespace(),
        dns(),
        ingress_controller(preview),
        internet(preview),
    ]
}

/// A policy of every pod, unless `rules` select others.
fn policy(name: &str, rules: Value) -> Manifest {
    let mut spec = json!({ "podSelector": {} });
    if let (Value::Object(spec), Value::Object(rules)) = (&mut spec, rules) {
        spec.extend(rules);
    }
    Manifest::new(
        Kind::NetworkPolicy,
        name,
        &BTreeMap::new(),
        json!({ "spec": spec }),
    )
}

fn same_namespace() -> Manifest {
    let all_pods = json!([{ "podSelector": {} }]);
    policy(
        "allow-same-namespace",
        json!({
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{ "from": all_pods }],
            "egress": [{ "to": all_pods }],
        }),
    )
}

fn dns() -> Manifest {
    let mut servers = vec![json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    })];
    servers.extend(DNS_ADDRESSES.map(|cidr| json!({ "ipBlock": { "cidr": cidr } })));
    let ports = ["UDP", "TCP"].map(|protocol| json!({ "protocol": protocol, "port": 53 }));
    policy(
        "allow-dns",
        json!({ "policyTypes": ["Egress"], "egress": [{ "to": servers, "ports": ports }] }),
    )
}

/// The ingress controller reaches every component, and never the database: where it is named by addresses, others have
/// some of those, too.
fn ingress_controller(preview: &Preview<'_>) -> Manifest {
    let peers = preview.config.network.ingress_from.iter().map(peer);
    let mut rules = json!({
        "policyTypes": ["Ingress"],
        "ingress": [{ "from": peers.collect::<Vec<_>>() }],
    });
    if preview.config.database.is_some() {
        rules["podSelector"] = json!({ "matchExpressions": [
            { "key": NAME_LABEL, "operator": "NotIn", "values": [DATABASE] },
        ]});
    }
    policy("allow-ingress-controller", rules)
}

fn peer(peer: &Peer) -> Value {
    match peer {
        Peer::Addresses(cidr) => json!({ "ipBlock": { "cidr": cidr.to_string() } }),
        Peer::Pods {
            namespace_labels,
            pod_labels,
        } => {
            let mut peer = json!({ "namespaceSelector": { "matchLabels": namespace_labels } });
            if !pod_labels.is_empty() {
                peer["podSelector"] = json!({ "matchLabels": pod_labels });
            }
            peer
        }
    }
}

fn internet(preview: &Preview<'_>) -> Manifest {
    let denied = |of_family: fn(&Cidr) -> bool| -> Vec<String> {
        let never = NEVER_REACHED.iter().filter_map(|cidr| cidr.parse().ok());
        let configured = preview.config.network.deny.iter().copied();
        let mut all: Vec<String> = Vec::new();
        for cidr in never.chain(configured).filter(of_family) {
            // Twice the same is refused nowhere and reads as a mistake.
            if !all.contains(&cidr.to_string()) {
                all.push(cidr.to_string());
            }
        }
        all
    };
    let everywhere = [
        json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": denied(Cidr::is_ipv4) } }),
        json!({ "ipBlock": { "cidr": "::/0", "except": denied(|cidr| !cidr.is_ipv4()) } }),
    ];
    policy(
        "allow-internet",
        json!({ "policyTypes": ["Egress"], "egress": [{ "to": everywhere }] }),
    )
}

#[cfg(test)]
mod tests;
