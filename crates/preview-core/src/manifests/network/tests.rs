//! The policies, read by an evaluator of our own: as little of Kubernetes' rules as they use.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::config::{Cidr, Config};
use crate::manifests::{Preview, Secrets};
use crate::names::{Digest, RepositoryId};
use crate::objects::Kind;
use crate::ownership::Owner;

const TABLE: &str = include_str!("reachability.txt");

const BASE: &str =
    "host = \"{pr}.pr.example.com\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n";
const CONFIGURED: &str = r#"[database]
[network]
ingress_from = [
    { namespace = "traefik", pod_labels = { "app.kubernetes.io/name" = "traefik" } },
    { cidr = "10.9.0.0/16" },
]
deny = ["203.0.113.0/24", "2001:db8::/32"]
"#;

/// What stands in `preview.toml` for a part of the table.
fn configuration(part: &str) -> String {
    let more = match part {
        "as it comes" => "[database]\n",
        "configured" => CONFIGURED,
        "without a database" => "",
        other => panic!("no configuration is known for {other:?}"),
    };
    format!("{BASE}{more}")
}

/// One end of a connection.
struct Peer {
    address: IpAddr,
    /// Namespace and labels, where it is a pod.
    pod: Option<(String, BTreeMap<String, String>)>,
}

impl Peer {
    /// `namespace/program`, or an address.
    fn named(name: &str) -> Self {
        let Some((namespace, program)) = name.split_once('/') else {
            return Self {
                address: name.parse().unwrap(),
                pod: None,
            };
        };
        let labels = [
            "app.kubernetes.io/name",
            "app.kubernetes.io/component",
            "k8s-app",
        ];
        let labels = labels.map(|key| (key.to_owned(), program.to_owned()));
        Self {
            address: "10.244.0.7".parse().unwrap(),
            pod: Some((namespace.to_owned(), labels.into())),
        }
    }
}

/// The policies of the previews of two pull requests, by their namespace.
fn policies(part: &str) -> BTreeMap<String, Vec<Value>> {
    let config = Config::parse("preview.toml", &configuration(part)).unwrap();
    let digest: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let images = config.components.iter();
    let images = images
        .map(|c| (c.name.clone(), c.image.at(digest.clone())))
        .collect();
    let of_subject = |subject: &str| {
        let owner = Owner {
            repository: RepositoryId(42),
            subject: subject.parse().unwrap(),
        };
        let (repository, head) = (
            "acme/shop".parse().unwrap(),
            "a".repeat(40).parse().unwrap(),
        );
        let preview = Preview::new(&config, &repository, &owner, &head, &images).unwrap();
        let all = preview.furniture(&Secrets::of_database("x".to_owned()));
        let policies = all
            .iter()
            .filter(|m| m.object().kind == Kind::NetworkPolicy);
        let bodies = policies
            .map(|policy| policy.body()["spec"].clone())
            .collect();
        (preview.namespace_name().to_string(), bodies)
    };
    ["pr-7", "pr-8"].map(of_subject).into()
}

/// Whether a label selector takes these labels.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let given = selector["matchLabels"].as_object().into_iter().flatten();
    let mut given = given.map(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut expressions = expressions.map(|expression| {
        assert_eq!(expression["operator"], "NotIn");
        let label = labels.get(expression["key"].as_str().unwrap());
        !expression["values"]
            .as_array()
            .unwrap()
            .iter()
            .any(|value| value.as_str() == label.map(String::as_str))
    });
    given.all(|met| met) && expressions.all(|met| met)
}

fn cidr_contains(cidr: &str, address: IpAddr) -> bool {
    match cidr {
        "0.0.0.0/0" => address.is_ipv4(),
        "::/0" => address.is_ipv6(),
        cidr => cidr.parse::<Cidr>().unwrap().contains(address),
    }
}

/// Whether an element of `from` or `to` of a policy in `namespace` is `peer`.
fn is_peer(element: &Value, namespace: &str, peer: &Peer) -> bool {
    if let Some(block) = element.get("ipBlock") {
        let contains = |cidr: &Value| cidr_contains(cidr.as_str().unwrap(), peer.address);
        let excepted = block["except"]
            .as_array()
            .into_iter()
            .flatten()
            .any(contains);
        return contains(&block["cidr"]) && !excepted;
    }
    let Some((of, labels)) = &peer.pod else {
        return false;
    };
    let names = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), of.clone())]);
    let in_namespace = match element.get("namespaceSelector") {
        Some(selector) => selects(selector, &names),
        None => of == namespace,
    };
    in_namespace
        && element
            .get("podSelector")
            .is_none_or(|selector| selects(selector, labels))
}

/// Whether the policies let a connection pass at the end `at`, the other being `peer`.
fn passes(
    policies: &BTreeMap<String, Vec<Value>>,
    at: &Peer,
    peer: &Peer,
    port: (&str, u16),
    direction: [&str; 3],
) -> bool {
    let [kind, rules, peers] = direction;
    let Some((namespace, labels)) = &at.pod else {
        return true;
    };
    let mut governing = policies
        .get(namespace)
        .into_iter()
        .flatten()
        .filter(|spec| {
            let types = spec["policyTypes"].as_array().unwrap();
            types.iter().any(|one| one == kind) && selects(&spec["podSelector"], labels)
        })
        .peekable();
    let is_port = |rule: &Value| {
        let Some(ports) = rule["ports"].as_array() else {
            return true;
        };
        ports
            .iter()
            .any(|one| one["protocol"] == port.0 && one["port"] == port.1)
    };
    let is_met = |rule: &Value| {
        is_port(rule)
            && rule[peers]
                .as_array()
                .unwrap()
                .iter()
                .any(|element| is_peer(element, namespace, peer))
    };
    governing.peek().is_none()
        || governing.any(|spec| spec[rules].as_array().into_iter().flatten().any(is_met))
}

#[test]
fn the_policies_let_pass_what_the_table_says() {
    let (mut all, mut rows) = (BTreeMap::new(), 0);
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("from "))
    {
        if let Some(part) = line.strip_prefix('[') {
            all = policies(part.trim_end_matches(']'));
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [from, to, protocol, port, reaches] = words[..] else {
            panic!("{line}")
        };
        let (from, to, port) = (
            Peer::named(from),
            Peer::named(to),
            (protocol, port.parse().unwrap()),
        );
        let passes = passes(&all, &from, &to, port, ["Egress", "egress", "to"])
            && passes(&all, &to, &from, port, ["Ingress", "ingress", "from"]);
        assert_eq!(if passes { "yes" } else { "no" }, reaches, "{line}");
        rows += 1;
    }
    assert!(rows > 60, "the table has only {rows} rows");
}

#[test]
fn each_policy_is_one_thing_by_its_name() {
    let all = policies("configured");
    let told: Vec<String> = all["preview-pr-7"]
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"podSelector":{},"policyTypes":["Ingress","Egress"]}
    {"egress":[{"to":[{"podSelector":{}}]}],"ingress":[{"from":[{"podSelector":{}}]}],"podSelector":{},"policyTypes":["Ingress","Egress"]}
    {"egress":[{"ports":[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}],"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}},{"ipBlock":{"cidr":"169.254.20.10/32"}},{"ipBlock":{"cidr":"169.254.169.254/32"}}]}],"podSelector":{},"policyTypes":["Egress"]}
    {"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"traefik"}},"podSelector":{"matchLabels":{"app.kubernetes.io/name":"traefik"}}},{"ipBlock":{"cidr":"10.9.0.0/16"}}]}],"podSelector":{"matchExpressions":[{"key":"app.kubernetes.io/name","operator":"NotIn","values":["database"]}]},"policyTypes":["Ingress"]}
    {"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","100.64.0.0/10","169.254.0.0/16","203.0.113.0/24"]}},{"ipBlock":{"cidr":"::/0","except":["fc00::/7","fe80::/10","2001:db8::/32"]}}]}],"podSelector":{},"policyTypes":["Egress"]}
    "#);
}
