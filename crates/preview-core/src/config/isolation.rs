//! `[tls]` and `[network]`: the certificate that previews share, who may reach them and what they may not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::read::{check, value};
use crate::manifests;
use crate::names::{NamespaceName, NotA, is_dns_label, is_host};

/// The label that Kubernetes itself puts on every Namespace: its name.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name>
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Where ingress-nginx is installed by its manifests and its Helm chart.
const INGRESS_NGINX: &str = "ingress-nginx";

/// `[tls]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct TlsFile {
    /// The Secret of type kubernetes.io/tls with the wildcard certificate. Every preview gets a copy under this name.
    #[serde(default = "wildcard")]
    secret: String,
    /// The namespace that it is in.
    #[serde(default = "ingress_nginx")]
    namespace: String,
}

fn wildcard() -> String {
    "preview-wildcard-tls".to_owned()
}

fn ingress_nginx() -> String {
    INGRESS_NGINX.to_owned()
}

/// `[network]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct NetworkFile {
    /// Who may open connections to previews from outside: the ingress controller. The namespace ingress-nginx unless
    /// told.
    ingress_from: Option<Vec<PeerFile>>,
    /// What previews may not reach beside private, shared and link-local addresses, such as `203.0.113.0/24`.
    #[serde(default)]
    deny: Vec<String>,
}

/// Pods by their namespace, or addresses: one of `namespace`, `namespace_labels` and `cidr`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct PeerFile {
    /// Pods of the namespace of this name.
    namespace: Option<String>,
    /// Pods of the namespaces with these labels.
    namespace_labels: Option<BTreeMap<String, String>>,
    /// Only those of these pods that have these labels.
    #[serde(default)]
    pod_labels: BTreeMap<String, String>,
    /// Addresses, such as `10.0.0.0/8`: pods on their node's own network match no labels.
    cidr: Option<String>,
}

/// Where the certificate is that every preview gets a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The Secret's name, in its home as in every preview.
    pub secret: String,
    /// The namespace that is its home.
    pub namespace: NamespaceName,
}

impl fmt::Display for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret/{} of namespace {}", self.secret, self.namespace)
    }
}

/// Who reaches previews from outside, and what they do not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Who may open connections to a preview's components; never nobody.
    pub ingress_from: Vec<Peer>,
    /// Addresses that previews may not reach, beside those that none may.
    pub deny: Vec<Cidr>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            ingress_from: vec![Peer::in_namespace(INGRESS_NGINX, BTreeMap::new())],
            deny: Vec::new(),
        }
    }
}

/// The other end of a connection, as a NetworkPolicy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Pods.
    Pods {
        /// Labels of their namespace; never empty.
        namespace_labels: BTreeMap<String, String>,
        /// Labels of their own; all pods where there are none.
        pod_labels: BTreeMap<String, String>,
    },
    /// Addresses.
    Addresses(Cidr),
}

impl Peer {
    fn in_namespace(namespace: &str, pod_labels: BTreeMap<String, String>) -> Self {
        let name = (NAMESPACE_NAME.to_owned(), namespace.to_owned());
        Self::Pods {
            namespace_labels: BTreeMap::from([name]),
            pod_labels,
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`. The bits after the prefix are zero, and there is a prefix: Kubernetes
/// takes no exception of everything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether it is of IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4() && first(address, self.prefix) == self.address
    }
}

/// The first address of the range of `address` with this prefix.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let expected = "a range of addresses with its prefix, such as 203.0.113.0/24 or 2001:db8::/32, whose bits \
                        after the prefix are zero";
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let written = !prefix.starts_with(['0', '+']);
            let prefix: u8 = prefix.parse().ok().filter(|_| written)?;
            let mapped =
                matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
            let good = prefix <= longest && first(address, prefix) == address && !mapped;
            good.then_some(Self { address, prefix })
        };
        read().ok_or_else(|| NotA::new(text, expected))
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What `[tls]` means.
pub(super) fn tls(source: &Source<'_>, written: TlsFile) -> Result<TlsSettings, ConfigError> {
    let at = ["tls", "secret"];
    check(
        source,
        is_host(&written.secret),
        &at,
        "no name of a Kubernetes object: a-z, 0-9, - and dots",
    )?;
    let ours = [manifests::SECRET, manifests::PULL_SECRET];
    check(
        source,
        !ours.contains(&written.secret.as_str()),
        &at,
        "the name of another Secret of every preview; give the certificate's another name",
    )?;
    Ok(TlsSettings {
        secret: written.secret,
        namespace: value(source, &["tls", "namespace"], &written.namespace)?,
    })
}

/// What `[network]` means.
pub(super) fn network(
    source: &Source<'_>,
    written: NetworkFile,
) -> Result<NetworkSettings, ConfigError> {
    let default = NetworkSettings::default();
    let ingress_from = match written.ingress_from {
        None => default.ingress_from,
        Some(peers) => {
            check(
                source,
                !peers.is_empty(),
                &["network", "ingress_from"],
                "nobody could open a preview; name the ingress controller, or leave the key out for the namespace \
                 ingress-nginx",
            )?;
            let peers = peers.into_iter().enumerate();
            peers
                .map(|(index, written)| peer(source, &format!("[{index}]"), written))
                .collect::<Result<_, _>>()?
        }
    };
    let deny = written.deny.iter().enumerate().map(|(index, text)| {
        let index = format!("[{index}]");
        value(source, &["network", "deny", &index], text)
    });
    Ok(NetworkSettings {
        ingress_from,
        deny: deny.collect::<Result<_, _>>()?,
    })
}

fn peer(source: &Source<'_>, index: &str, written: PeerFile) -> Result<Peer, ConfigError> {
    let table = ["network", "ingress_from", index];
    let at = |key: &'static str| ["network", "ingress_from", index, key];
    let PeerFile {
        namespace,
        namespace_labels,
        pod_labels,
        cidr,
    } = written;
    for (key, labels) in [
        ("namespace_labels", namespace_labels.as_ref()),
        ("pod_labels", Some(&pod_labels)),
    ] {
        for (name, value) in labels.into_iter().flatten() {
            check(
                source,
                is_label(name, value),
                &at(key),
                format!("{name} = {value:?} is no label; Kubernetes has rules for both sides"),
            )?;
        }
    }
    match (namespace, namespace_labels, cidr) {
        (Some(name), None, None) => {
            let name: NamespaceName = value(source, &at("namespace"), &name)?;
            Ok(Peer::in_namespace(name.as_str(), pod_labels))
        }
        (None, Some(namespace_labels), None) => {
            check(
                source,
                !namespace_labels.is_empty(),
                &at("namespace_labels"),
                "no labels are those of every namespace, other previews' among them; name one at least",
            )?;
            Ok(Peer::Pods {
                namespace_labels,
                pod_labels,
            })
        }
        (None, None, Some(text)) => {
            check(
                source,
                pod_labels.is_empty(),
                &at("pod_labels"),
                "addresses have no labels; write either cidr or labels",
            )?;
            Ok(Peer::Addresses(value(source, &at("cidr"), &text)?))
        }
        _ => Err(source.wrong(
            &table,
            "write one of namespace, namespace_labels and cidr, such as { namespace = \"ingress-nginx\" }",
        )),
    }
}

/// Whether Kubernetes takes it as a label.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_label(name: &str, value: &str) -> bool {
    let is_word = |text: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && ends(text.chars().next())
            && ends(text.chars().next_back())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let (prefix, word) = match name.split_once('/') {
        Some((prefix, word)) => (Some(prefix), word),
        None => (None, name),
    };
    let good_prefix = prefix.is_none_or(|prefix| is_host(prefix) || is_dns_label(prefix));
    good_prefix && is_word(word) && (value.is_empty() || is_word(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(more: &str) -> Result<Config, ConfigError> {
        let text = format!(
            "host = \"{{pr}}.pr.example.com\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n{more}"
        );
        Config::parse("preview.toml", &text)
    }

    #[test]
    fn without_a_word_there_is_no_certificate_and_the_ingress_controller_is_nginx_s() {
        let config = read("").unwrap();
        assert_eq!(config.tls, None);
        assert_eq!(config.network, NetworkSettings::default());
        let tls = read("[tls]\n").unwrap().tls.unwrap();
        insta::assert_snapshot!(tls, @"Secret/preview-wildcard-tls of namespace ingress-nginx");
    }

    #[test]
    fn an_ingress_controller_is_named_by_namespace_labels_or_addresses() {
        let config = read(
            "[network]\ningress_from = [\n  { namespace = \"traefik\", pod_labels = { app = \"traefik\" } },\n  \
             { namespace_labels = { \"example.com/edge\" = \"\" } },\n  { cidr = \"10.0.0.0/8\" },\n]\n\
             deny = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n",
        )
        .unwrap();
        let [named, labelled, addresses] = &config.network.ingress_from[..] else {
            panic!("{:?}", config.network);
        };
        let labels =
            |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let expected = Peer::Pods {
            namespace_labels: labels(NAMESPACE_NAME, "traefik"),
            pod_labels: labels("app", "traefik"),
        };
        assert_eq!(*named, expected);
        let expected = Peer::Pods {
            namespace_labels: labels("example.com/edge", ""),
            pod_labels: BTreeMap::new(),
        };
        assert_eq!(*labelled, expected);
        assert_eq!(*addresses, Peer::Addresses("10.0.0.0/8".parse().unwrap()));
        let denied: Vec<String> = config
            .network
            .deny
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(denied, ["203.0.113.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_its_place() {
        let told = [
            "[tls]\nsecret = \"app-secret\"\n",
            "[tls]\nsecret = \"Wild Card\"\n",
            "[tls]\nnamespace = \"Ingress\"\n",
            "[network]\ningress_from = []\n",
            "[network]\ningress_from = [{ }]\n",
            "[network]\ningress_from = [{ namespace = \"a\", cidr = \"10.0.0.0/8\" }]\n",
            "[network]\ningress_from = [{ namespace_labels = {} }]\n",
            "[network]\ningress_from = [{ namespace = \"a\", pod_labels = { \"a b\" = \"c\" } }]\n",
            "[network]\ningress_from = [{ cidr = \"10.0.0.1/8\" }]\n",
            "[network]\ningress_from = [{ cidr = \"10.0.0.0/8\", pod_labels = { a = \"b\" } }]\n",
            "[network]\ndeny = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n",
        ]
        .map(|more| read(more).unwrap_err().to_string())
        .join("\n");
        insta::assert_snapshot!(told, @r#"
        preview.toml:5: tls.secret: the name of another Secret of every preview; give the certificate's another name
        preview.toml:5: tls.secret: no name of a Kubernetes object: a-z, 0-9, - and dots
        preview.toml:5: tls.namespace: "Ingress" is not a namespace name (a DNS label: at most 63 of a-z, 0-9 and -)
        preview.toml:5: network.ingress_from: nobody could open a preview; name the ingress controller, or leave the key out for the namespace ingress-nginx
        preview.toml:5: network.ingress_from[0]: write one of namespace, namespace_labels and cidr, such as { namespace = "ingress-nginx" }
        preview.toml:5: network.ingress_from[0]: write one of namespace, namespace_labels and cidr, such as { namespace = "ingress-nginx" }
        preview.toml:5: network.ingress_from[0].namespace_labels: no labels are those of every namespace, other previews' among them; name one at least
        preview.toml:5: network.ingress_from[0].pod_labels: a b = "c" is no label; Kubernetes has rules for both sides
        preview.toml:5: network.ingress_from[0].cidr: "10.0.0.1/8" is not a range of addresses with its prefix, such as 203.0.113.0/24 or 2001:db8::/32, whose bits after the prefix are zero
        preview.toml:5: network.ingress_from[0].pod_labels: addresses have no labels; write either cidr or labels
        preview.toml:5: network.deny[1]: "0.0.0.0/0" is not a range of addresses with its prefix, such as 203.0.113.0/24 or 2001:db8::/32, whose bits after the prefix are zero
        "#);
    }

    #[test]
    fn a_range_is_written_in_one_way() {
        for good in [
            "10.0.0.0/8",
            "169.254.20.10/32",
            "fc00::/7",
            "::1/128",
            "128.0.0.0/1",
        ] {
            let cidr: Cidr = good.parse().unwrap();
            assert_eq!(cidr.to_string(), good);
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "10.0.0.0/0",
            "::/0",
            "10.0.0.1/8",
            "fc01::/7",
            "10.0.0/8",
            "::ffff:10.0.0.0/104",
            "example.com/8",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_contains_its_addresses() {
        let contains = |range: &str, address: &str| {
            range
                .parse::<Cidr>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("172.16.0.0/12", "172.31.255.255"));
        assert!(!contains("172.16.0.0/12", "172.32.0.0"));
        assert!(contains("fc00::/7", "fdff::1"));
        assert!(!contains("fc00::/7", "fe80::1"));
        assert!(!contains("128.0.0.0/1", "fe80::1"));
        assert!(contains("169.254.20.10/32", "169.254.20.10"));
    }
}
