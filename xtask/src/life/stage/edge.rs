//! Where the wildcard certificate of all previews is at home: the ingress controller's namespace.

use anyhow::Context as _;
use serde_json::json;

use super::{super::certificate::Wildcard, Stage};
use crate::life::certificate::WILDCARD;

/// The Secret of the certificate, as the example's configuration names it.
const SECRET: &str = "preview-wildcard-tls";
/// How many days a certificate is good for that nobody need think of.
const A_SEASON: i32 = 90;

impl Stage {
    /// The Namespace of the certificate.
    pub(crate) fn edge(&self) -> String {
        format!("{}-edge", self.name)
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
