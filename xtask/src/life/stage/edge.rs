//! Where the wildcard certificate of all previews is at home: the ingress controller's namespace.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{super::certificate::Wildcard, Stage};
use crate::life::{FrontDoor, certificate::WILDCARD};

/// The Secret of the certificate, as the example's configuration names it.
const SECRET: &str = "preview-wildcard-tls";
/// How many days a certificate is good for that nobody need think of.
const A_SEASON: i32 = 90;

impl Stage {
    /// The Namespace of the certificate.
    pub(crate) fn edge(&self) -> String {
        format!("{}-edge", self.name)
    }

    /// Opens the front door for the routes that there are now: on a real cluster, open it again after they changed.
    ///
    /// # Errors
    /// When the certificate's Secret is not in its home, or the door does not open.
    pub(crate) async fn front_door(&self) -> anyhow::Result<FrontDoor> {
        let (edge, folder) = (self.edge(), self.folder.path());
        let secret = self.object("v1", "Secret", Some(&edge), SECRET).await?;
        let authority = text(&secret, "ca.crt")?;
        self.ground.front_door(&edge, authority, folder).await
    }

    /// Copies the certificate into the Secret `tls` of a namespace, as a person would; gives it in PEM.
    ///
    /// # Errors
    /// When it is not in its home, or the cluster does not take the copy.
    pub(crate) async fn copy_certificate(&self, namespace: &str) -> anyhow::Result<String> {
        let edge = self.edge();
        let secret = self.object("v1", "Secret", Some(&edge), SECRET).await?;
        let copy = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": "tls", "namespace": namespace },
            "data": secret["data"],
        });
        self.ground.kube.create(&copy).await?;
        text(&secret, "tls.crt")
    }

    /// Puts a certificate for all previews there.
    pub(super) async fn furnish_edge(&self) -> anyhow::Result<()> {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": self.edge() },
        });
        self.ground.kube.create(&namespace).await?;
        let wildcard = Wildcard::valid_for(WILDCARD, A_SEASON)?;
        let secret = wildcard.secret(&self.edge(), SECRET);
        let created = self.ground.kube.create(&secret).await;
        created.context("put the wildcard certificate in its home")
    }
}

/// A text in a Secret.
fn text(secret: &Value, key: &str) -> anyhow::Result<String> {
    let encoded = secret["data"][key].as_str();
    let encoded = encoded.with_context(|| format!("the Secret has no {key}"))?;
    let decoded = STANDARD.decode(encoded);
    let decoded = decoded.with_context(|| format!("decode {key}"))?;
    String::from_utf8(decoded).with_context(|| format!("{key} is no text"))
}
