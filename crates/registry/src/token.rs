//! The Bearer flow: a 401 says where a token is to be had.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::HashMap;

use http_auth::parser::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use secrecy::SecretString;
use tokio::sync::Mutex;

/// What a token is for: a repository of a registry, to pull or to push.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) push: bool,
}

impl Scope {
    /// As the token endpoint wants it.
    pub(crate) fn text(&self) -> String {
        let actions = if self.push { "pull,push" } else { "pull" };
        format!("repository:{}:{actions}", self.repository)
    }
}

/// What to prove oneself with.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// A token.
    Bearer(SecretString),
    /// The credential itself, for registries without a token endpoint.
    Basic,
}

/// The proofs in use. None has a known end (ghcr's tokens do not say): a 401 ends it.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<HashMap<Scope, Proof>>);

impl Proofs {
    pub(crate) async fn get(&self, scope: &Scope) -> Option<Proof> {
        self.0.lock().await.get(scope).cloned()
    }

    pub(crate) async fn put(&self, scope: &Scope, proof: Proof) {
        self.0.lock().await.insert(scope.clone(), proof);
    }

    pub(crate) async fn drop(&self, scope: &Scope) {
        self.0.lock().await.remove(scope);
    }
}

/// How the registry wants to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Fetch a token.
    Bearer {
        /// The address of the token endpoint.
        realm: String,
        /// What the token is to be valid at.
        service: Option<String>,
    },
    /// Send user and password.
    Basic,
}

impl Challenge {
    /// The first challenge that we can answer.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(ChallengeParser::new)
            .filter_map(Result::ok)
            .find_map(|challenge| {
                let parameter = |name: &str| {
                    let named = challenge.params.iter();
                    let mut named = named.filter(|(key, _)| key.eq_ignore_ascii_case(name));
                    named.next().map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    return Some(Self::Basic);
                }
                let bearer = challenge.scheme.eq_ignore_ascii_case("bearer");
                bearer.then_some(())?;
                Some(Self::Bearer {
                    realm: parameter("realm")?,
                    service: parameter("service"),
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
        }
        Challenge::read(&headers)
    }

    #[test]
    fn challenges_are_read_as_registries_send_them() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        };
        assert_eq!(
            read(&[
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push""#
            ]),
            Some(bearer("https://ghcr.io/token", Some("ghcr.io")))
        );
        assert_eq!(
            read(&[r#"bearer error="insufficient_scope", Realm="https://x/t""#]),
            Some(bearer("https://x/t", None))
        );
        assert_eq!(
            read(&[r#"Negotiate"#, r#"Basic realm="Registry""#]),
            Some(Challenge::Basic)
        );
        assert_eq!(read(&[r#"Bearer service="nowhere""#]), None);
        assert_eq!(read(&["Bearer realm="]), None);
        assert_eq!(read(&[]), None);
    }
}
