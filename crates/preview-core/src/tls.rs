//! The certificate that previews share: whether it may be used for a preview's hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::config::TlsSettings;
use crate::names::Host;

/// How long a certificate must still be valid: a preview lives for days, and whoever renews it has a week to do so.
pub const MARGIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The certificate's key in a Secret of type `kubernetes.io/tls`: PEM, its own certificate first, then the chain.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// The private key's key in that Secret: PEM.
pub const PRIVATE_KEY_KEY: &str = "tls.key";
/// The certificate authority's key in that Secret, where there is one: cert-manager and private authorities write it.
pub const AUTHORITY_KEY: &str = "ca.crt";

/// The data of a Secret, encoded as the API has it. Its `Debug` names the keys alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretData(BTreeMap<String, String>);

impl SecretData {
    /// Values by key, each in Base64.
    #[must_use]
    pub fn new(encoded: BTreeMap<String, String>) -> Self {
        Self(encoded)
    }

    /// The encoded values, for whoever sends them.
    #[must_use]
    pub fn exposed(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is at the place where the certificate should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HomeSecret {
    /// Nothing.
    Missing,
    /// A Secret of another type than `kubernetes.io/tls`.
    OfType(String),
    /// A Secret of which a part cannot be read.
    Unreadable {
        /// Which part.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// A certificate with its key.
    Certificate {
        /// What it says.
        facts: CertificateFacts,
        /// The Secret's data, to be copied.
        data: SecretData,
    },
}

/// What a certificate says, and whether the key is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The host names that it is for, wildcards among them: its subject alternative names.
    pub names: Vec<String>,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// Whether the private key belongs to the public key that it certifies.
    pub key_matches: bool,
}

/// Why a preview cannot have the certificate that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate in {home} {problem}")]
pub struct TlsRefusal {
    home: TlsSettings,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(
        "is not there; put it there (`kubectl create secret tls`), or name its home under [tls] in preview.toml"
    )]
    Missing,
    #[error("cannot be used: the Secret is of type {0:?}; make it one of type kubernetes.io/tls")]
    OfType(String),
    #[error("cannot be used: its {key} {why}; put the certificate there anew")]
    Unreadable { key: &'static str, why: String },
    #[error(
        "is for {names}, and not for {host}; put one there that covers it, or choose another `host` in preview.toml"
    )]
    NotFor { host: Host, names: String },
    #[error("and its key do not belong together; put both there anew")]
    OtherKey,
    #[error("has expired at {0}; renew it")]
    Expired(Timestamp),
    #[error("expires at {0}, within 7 days; renew it")]
    Expires(Timestamp),
    #[error("is not valid before {0}; put one there that is valid now")]
    NotYet(Timestamp),
}

/// Everything that keeps a preview with these `hosts` from having the certificate that was found at `home`.
#[must_use]
pub fn check(
    home: &TlsSettings,
    found: &HomeSecret,
    hosts: &BTreeSet<Host>,
    now: Timestamp,
) -> Vec<TlsRefusal> {
    let problems = match found {
        HomeSecret::Missing => vec![Problem::Missing],
        HomeSecret::OfType(other) => vec![Problem::OfType(other.clone())],
        HomeSecret::Unreadable { key, why } => vec![Problem::Unreadable {
            key,
            why: why.clone(),
        }],
        HomeSecret::Certificate { facts, .. } => problems(facts, hosts, now),
    };
    let refusal = |problem| TlsRefusal {
        home: home.clone(),
        problem,
    };
    problems.into_iter().map(refusal).collect()
}

fn problems(facts: &CertificateFacts, hosts: &BTreeSet<Host>, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for host in hosts.iter().filter(|host| !covers(&facts.names, host)) {
        problems.push(Problem::NotFor {
            host: host.clone(),
            names: shown(&facts.names),
        });
    }
    if !facts.key_matches {
        problems.push(Problem::OtherKey);
    }
    if now < facts.not_before {
        problems.push(Problem::NotYet(facts.not_before));
    }
    if facts.not_after <= now {
        problems.push(Problem::Expired(facts.not_after));
    } else if facts.not_after.duration_since(now) <= MARGIN {
        problems.push(Problem::Expires(facts.not_after));
    }
    problems
}

fn shown(names: &[String]) -> String {
    match names {
        [] => "no host name".to_owned(),
        names => names.join(", "),
    }
}

/// Whether a certificate for `names` is one for `host`: a wildcard stands for exactly one label, the first, and for
/// nothing else. <https://www.rfc-editor.org/rfc/rfc9525#section-6.3>
fn covers(names: &[String], host: &Host) -> bool {
    let below = host.as_str().split_once('.').map(|(_, below)| below);
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(wildcard) => below.is_some_and(|below| wildcard.eq_ignore_ascii_case(below)),
        None => name.eq_ignore_ascii_case(host.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn facts() -> CertificateFacts {
        CertificateFacts {
            names: vec!["*.pr.example.com".to_owned()],
            not_before: at("2026-11-01T00:00:00Z"),
            not_after: at("2027-01-01T00:00:00Z"),
            key_matches: true,
        }
    }

    fn home() -> TlsSettings {
        TlsSettings {
            secret: "preview-wildcard-tls".to_owned(),
            namespace: "ingress-nginx".parse().unwrap(),
        }
    }

    /// What is said of `found` for the preview of pull request 7 at `now`.
    fn told_of(found: &HomeSecret, now: &str) -> String {
        let hosts = BTreeSet::from(["7.pr.example.com".parse().unwrap()]);
        let refusals = check(&home(), found, &hosts, at(now));
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn told(facts: CertificateFacts, now: &str) -> String {
        let data = SecretData::new(BTreeMap::new());
        told_of(&HomeSecret::Certificate { facts, data }, now)
    }

    #[test]
    fn a_certificate_for_the_host_with_its_key_and_a_week_to_live_is_taken() {
        assert_eq!(told(facts(), NOW), "");
    }

    #[test]
    fn what_is_no_certificate_is_told_with_what_to_do() {
        insta::assert_snapshot!(told_of(&HomeSecret::Missing, NOW), @"the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is not there; put it there (`kubectl create secret tls`), or name its home under [tls] in preview.toml");
        insta::assert_snapshot!(told_of(&HomeSecret::OfType("Opaque".to_owned()), NOW), @r#"the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx cannot be used: the Secret is of type "Opaque"; make it one of type kubernetes.io/tls"#);
        let unreadable = HomeSecret::Unreadable {
            key: PRIVATE_KEY_KEY,
            why: "is not PEM".to_owned(),
        };
        insta::assert_snapshot!(told_of(&unreadable, NOW), @"the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx cannot be used: its tls.key is not PEM; put the certificate there anew");
    }

    #[test]
    fn everything_that_is_wrong_with_a_certificate_is_told_at_once() {
        let bad = CertificateFacts {
            names: vec!["example.com".to_owned(), "*.example.com".to_owned()],
            key_matches: false,
            ..facts()
        };
        insta::assert_snapshot!(told(bad, "2027-06-01T00:00:00Z"), @r"
        the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is for example.com, *.example.com, and not for 7.pr.example.com; put one there that covers it, or choose another `host` in preview.toml
        the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx and its key do not belong together; put both there anew
        the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx has expired at 2027-01-01T00:00:00Z; renew it
        ");
        let nameless = CertificateFacts {
            names: Vec::new(),
            ..facts()
        };
        insta::assert_snapshot!(told(nameless, NOW), @"the certificate in Secret/preview-wildcard-tls of namespace ingress-nginx is for no host name, and not for 7.pr.example.com; put one there that covers it, or choose another `host` in preview.toml");
    }

    #[test]
    fn a_certificate_must_be_valid_now_and_for_seven_days() {
        for (now, said) in [
            (
                "2026-10-31T23:59:59Z",
                "is not valid before 2026-11-01T00:00:00Z",
            ),
            ("2026-11-01T00:00:00Z", ""),
            ("2026-12-24T23:59:59Z", ""),
            (
                "2026-12-25T00:00:00Z",
                "expires at 2027-01-01T00:00:00Z, within 7 days",
            ),
            (
                "2026-12-31T23:59:59Z",
                "expires at 2027-01-01T00:00:00Z, within 7 days",
            ),
            (
                "2027-01-01T00:00:00Z",
                "has expired at 2027-01-01T00:00:00Z",
            ),
        ] {
            let told = told(facts(), now);
            assert!(
                told.contains(said) && said.is_empty() == told.is_empty(),
                "{now}: {told}"
            );
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let host: Host = "7.pr.example.com".parse().unwrap();
        for (name, is_for_it) in [
            ("*.pr.example.com", true),
            ("*.PR.Example.com", true),
            ("7.pr.example.com", true),
            ("7.PR.example.com", true),
            ("*.example.com", false),
            ("pr.example.com", false),
            ("*.7.pr.example.com", false),
            ("*", false),
            ("*.", false),
            ("7*.pr.example.com", false),
            ("8.pr.example.com", false),
        ] {
            assert_eq!(covers(&[name.to_owned()], &host), is_for_it, "{name}");
        }
    }

    #[test]
    fn no_value_of_a_secret_is_printed() {
        let data = SecretData::new(BTreeMap::from([(
            "tls.key".to_owned(),
            "c2VjcmV0".to_owned(),
        )]));
        assert_eq!(format!("{data:?}"), r#"{"tls.key"}"#);
    }
}
