//! The ServiceAccounts of a preview, and the Secrets that come to it from outside: the credential that its images are
//! pulled with, and the certificate.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{PULL_SECRET, SERVICE_ACCOUNT};
use crate::objects::{Kind, Manifest};
use crate::tls::SecretData;

/// The account that Kubernetes makes in every namespace, for pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

/// Docker Hub's key in a configuration of Docker's, whatever images call it.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/credentialprovider/keyring.go>
const DOCKER_HUB: [&str; 2] = ["docker.io", "index.docker.io"];
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a preview is furnished with that nobody but its cluster may see.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The database's password, which it was made with.
    pub database_password: SecretString,
    /// What its images are pulled with; none where anybody may pull them.
    pub pull: Option<PullCredential>,
    /// The certificate's Secret as its home has it; none where previews have no certificate of their own.
    pub certificate: Option<SecretData>,
}

impl Secrets {
    /// No secret but the database's password.
    #[must_use]
    pub fn of_database(password: impl Into<SecretString>) -> Self {
        Self {
            database_password: password.into(),
            pull: None,
            certificate: None,
        }
    }
}

/// Who a node is at a registry. It lives as long as the preview: pods are made, and images pulled, long after the run
/// that deployed it.
#[derive(Clone, Debug)]
pub struct PullCredential {
    /// The registry, as images name it.
    pub registry: String,
    /// User name.
    pub user: String,
    /// Password or token.
    pub password: SecretString,
}

/// The accounts of pods: none has a token, and both have the credential, if there is one.
pub(super) fn accounts(pulls: bool) -> [Manifest; 2] {
    [SERVICE_ACCOUNT, DEFAULT_ACCOUNT].map(|name| {
        let mut account = json!({ "automountServiceAccountToken": false });
        if pulls {
            account["imagePullSecrets"] = json!([{ "name": PULL_SECRET }]);
        }
        Manifest::new(Kind::ServiceAccount, name, &BTreeMap::new(), account)
    })
}

/// Names the credential in the pods of a workload, too. A pod gets it from its account, but when it is made: pods that
/// could not pull before there was a credential would never have it, were their template not another one now.
pub(super) fn pull_with_credential(workload: &mut Manifest) {
    if let Some(pod) = workload.body_mut().pointer_mut("/spec/template/spec")
        && pod.get("imagePullSecrets").is_none()
    {
        pod["imagePullSecrets"] = json!([{ "name": PULL_SECRET }]);
    }
}

/// The Secret that images are pulled with.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/>
pub(super) fn pull_secret(credential: &PullCredential) -> Manifest {
    let PullCredential {
        registry,
        user,
        password,
    } = credential;
    let registry = match DOCKER_HUB.contains(&registry.as_str()) {
        true => DOCKER_HUB_KEY,
        false => registry,
    };
    let password = password.expose_secret();
    let login = json!({
        "username": user,
        "password": password,
        "auth": STANDARD.encode(format!("{user}:{password}")),
    });
    let docker = json!({ "auths": { registry: login } }).to_string();
    Manifest::new(
        Kind::Secret,
        PULL_SECRET,
        &BTreeMap::new(),
        json!({
            "type": "kubernetes.io/dockerconfigjson",
            "data": { ".dockerconfigjson": STANDARD.encode(docker) },
        }),
    )
}

/// The copy of the certificate's Secret, under the name it has in its home.
pub(super) fn certificate(name: &str, data: &SecretData) -> Manifest {
    Manifest::new(
        Kind::Secret,
        name,
        &BTreeMap::new(),
        json!({ "type": "kubernetes.io/tls", "data": data.exposed() }),
    )
}
