//! Where the wildcard certificate of all previews is at home: the ingress controller's namespace.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        certificate::{WILDCARD, Wildcard},
        kube::Place,
    },
    Stage,
};
use crate::life::FrontDoor;

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
        let prefix = format!("{}-", self.name);
        self.ground
            .front_door(&edge, &prefix, authority, folder)
            .await
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
        self.put_certificate(WILDCARD).await.map(drop)
    }

    /// Puts a certificate for `name` in its home, in place of the one that is there; gives it.
    pub(crate) async fn put_certificate(&self, name: &str) -> anyhow::Result<Wildcard> {
        self.take_certificate_away().await?;
        let wildcard = Wildcard::valid_for(name, A_SEASON)?;
        let secret = wildcard.secret(&self.edge(), SECRET);
        let created = self.ground.kube.create(&secret).await;
        created.context("put the wildcard certificate in its home")?;
        Ok(wildcard)
    }

    /// Takes the certificate from its home, if it is there.
    pub(crate) async fn take_certificate_away(&self) -> anyhow::Result<()> {
        let edge = self.edge();
        let place = Place {
            api: "v1",
            kind: "Secret",
            namespace: Some(&edge),
        };
        self.ground.kube.delete(place, SECRET).await.map(drop)
    }

    /// Checks that the preview has the certificate that is in its home now, whole.
    pub(crate) async fn the_preview_has_the_certificate(&self) -> anyhow::Result<()> {
        let data = async |namespace: &str| -> anyhow::Result<Value> {
            let secret = self.object("v1", "Secret", Some(namespace), SECRET).await?;
            Ok(secret["data"].clone())
        };
        let same = data(&self.edge()).await? == data(&self.preview()?).await?;
        ensure!(same, "the preview's certificate is not the one of its home");
        self.progress
            .say("the preview has its copy of the certificate");
        Ok(())
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
