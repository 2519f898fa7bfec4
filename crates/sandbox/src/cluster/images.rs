//! Pulling images: from the registries that are known; all other images are taken to be there, but for those of this
//! machine, where nobody else listens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::state::State;
use super::store::Key;
use crate::registry::Registry;

/// An image that was pulled.
#[derive(Clone, Debug)]
pub(super) struct Pulled {
    /// As a container's status names it: `name@digest`.
    pub(super) id: String,
    /// The commit that it says it was built from.
    pub(super) revision: Option<String>,
}

/// Why there is no image: the reason that the container waits, and the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The name that the node has for an image: containerd keys images by what they consist of, and of several references to
/// the same it tells the first in the alphabet.
fn first_reference(
    state: &State,
    registry: &Registry,
    reference: &Reference<'_>,
    digest: &str,
) -> String {
    let own = reference.pinned(digest);
    let (name, _) = own.split_once('@').unwrap_or((&own, ""));
    let mut first = own.clone();
    for (key, pod) in state.store.all() {
        if key.kind != "Pod" {
            continue;
        }
        let statuses = pod["status"]["containerStatuses"].as_array();
        for id in statuses
            .into_iter()
            .flatten()
            .filter_map(|it| it["imageID"].as_str())
        {
            let is_same = id.split_once('@').is_some_and(|(of, other)| {
                of == name && registry.are_one(&reference.name, digest, other)
            });
            if is_same && id < first.as_str() {
                id.clone_into(&mut first);
            }
        }
    }
    first
}

/// Pulls `image` for a pod of `namespace`.
pub(super) fn pull(
    state: &State,
    namespace: &str,
    image: &str,
    secrets: &[&str],
) -> Result<Pulled, Failed> {
    let reference = parse(image).ok_or_else(|| invalid(image))?;
    let failed = |code: &str, why: &str| Failed {
        reason: "ErrImagePull",
        message: format!(
            "rpc error: code = {code} desc = failed to pull and unpack image {image:?}: {why}"
        ),
    };
    let Some(registry) = state.registries.iter().find(|r| r.host() == reference.host) else {
        if reference.host.starts_with("127.0.0.1:") {
            let (host, name, wanted) = (reference.host, &reference.name, &reference.wanted);
            let why = format!(
                "failed to resolve reference {image:?}: failed to do request: Head \
                 \"https://{host}/v2/{name}/manifests/{wanted}\": dial tcp {host}: connect: connection refused"
            );
            return Err(failed("Unknown", &why));
        }
        return Ok(Pulled {
            id: reference.pinned(&assumed_digest(image)),
            revision: None,
        });
    };
    let login = login(state, namespace, secrets, reference.host);
    let known = registry.account();
    let why = match &login {
        None if registry.is_private(&reference.name) => Some(
            "failed to resolve image: failed to authorize: failed to fetch anonymous token: unexpected status: \
             401 Unauthorized",
        ),
        // Whoever says a wrong password may not even do what anybody may.
        Some((user, password)) if (user, password) != (&known.user, &known.password) => Some(
            "failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden",
        ),
        _ => None,
    };
    if let Some(why) = why {
        return Err(failed("Unknown", why));
    }
    match registry.pull(&reference.name, &reference.wanted) {
        Some(Ok((digest, revision))) => Ok(Pulled {
            id: first_reference(state, registry, &reference, &digest),
            revision,
        }),
        Some(Err(missing)) => {
            let why = format!(
                "failed to copy: httpReadSeeker: failed open: content {missing}: not found"
            );
            Err(failed("NotFound", &why))
        }
        None => {
            let why = format!("failed to resolve image: {image}: not found");
            Err(failed("NotFound", &why))
        }
    }
}

/// User and password for the registry `host` in the first of the pod's pull secrets that names it.
fn login(state: &State, namespace: &str, secrets: &[&str], host: &str) -> Option<(String, String)> {
    secrets.iter().find_map(|name| {
        let secret = state.store.get(&Key::new("Secret", namespace, *name))?;
        if secret["type"] != "kubernetes.io/dockerconfigjson" {
            return None;
        }
        let encoded = secret["data"][".dockerconfigjson"].as_str()?;
        let docker: Value = serde_json::from_slice(&STANDARD.decode(encoded).ok()?).ok()?;
        let login = &docker["auths"][host];
        let text = |key: &str| login[key].as_str().map(str::to_owned);
        Some((text("username")?, text("password")?))
    })
}

fn invalid(image: &str) -> Failed {
    Failed {
        reason: "InvalidImageName",
        message: format!(
            "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: invalid reference format"
        ),
    }
}

struct Reference<'a> {
    host: &'a str,
    name: String,
    /// A tag or a digest.
    wanted: String,
}

impl Reference<'_> {
    fn pinned(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.host, self.name)
    }
}

/// <https://pkg.go.dev/github.com/distribution/reference#pkg-overview>
fn parse(image: &str) -> Option<Reference<'_>> {
    let (named, digest) = match image.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (image, None),
    };
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (host, path) = match named.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => ("docker.io", named),
    };
    let (path, tag) = path.split_once(':').unwrap_or((path, "latest"));
    let part = |part: &str| {
        let inner =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        !part.is_empty() && part.chars().all(inner)
    };
    let tag_fits = tag
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let digest_fits = digest.is_none_or(|digest| {
        let hex = digest.strip_prefix("sha256:");
        hex.is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    });
    if !path.split('/').all(part) || !tag_fits || tag.is_empty() || !digest_fits {
        return None;
    }
    let official = host == "docker.io" && !path.contains('/');
    Some(Reference {
        host,
        name: if official {
            format!("library/{path}")
        } else {
            path.to_owned()
        },
        wanted: digest.unwrap_or(tag).to_owned(),
    })
}

/// The digest of an image that nobody has: its own, or one that its name alone decides.
fn assumed_digest(image: &str) -> String {
    match image.split_once('@') {
        Some((_, digest)) => digest.to_owned(),
        None => {
            let hash = Sha256::digest(image);
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("sha256:{hex}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let read = |image: &str| {
            let parsed = parse(image);
            parsed.map(|r| format!("{} {} {}", r.host, r.name, r.wanted))
        };
        assert_eq!(
            read("postgres:16").as_deref(),
            Some("docker.io library/postgres 16")
        );
        assert_eq!(
            read("127.0.0.1:5000/a/b").as_deref(),
            Some("127.0.0.1:5000 a/b latest")
        );
        assert_eq!(read("ghcr.io/Acme/web"), None);
        assert_eq!(read("web@sha256:12"), None);
    }
}
