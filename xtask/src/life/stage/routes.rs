//! What leads to a preview, and what it is called in its configuration.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Stage;

impl Stage {
    /// Somebody changes the configuration: where it says `from`, it says `to`.
    pub(crate) fn configures(&mut self, from: &str, to: &str) {
        self.changes.push((from.to_owned(), to.to_owned()));
    }

    /// The names of the preview's routes of a kind, in their order.
    pub(crate) async fn routes(&self, api: &str, kind: &str) -> anyhow::Result<Vec<String>> {
        let routes = self.list(api, kind, Some(&self.preview()?)).await?;
        let names = routes
            .iter()
            .map(|route| route["metadata"]["name"].as_str());
        let mut names: Vec<String> = names.flatten().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// The certificate of which the preview has a copy, in PEM.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) async fn certificate_of_the_preview(&self) -> anyhow::Result<String> {
        let namespace = self.preview()?;
        let secret = self.object("v1", "Secret", Some(&namespace), "preview-wildcard-tls");
        let secret = secret.await?;
        let encoded = secret["data"]["tls.crt"].as_str().unwrap_or_default();
        let decoded = STANDARD.decode(encoded).context("decode the certificate")?;
        String::from_utf8(decoded).context("read the certificate")
    }
}
