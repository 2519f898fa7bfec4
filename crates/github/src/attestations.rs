//! Attestations of artifacts: what a workflow run stated about an image, signed.

use preview_core::attestation::PREDICATE;
use preview_core::names::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;
use crate::text::encoded;

const READ: &str = "attestations: read";

#[derive(Deserialize)]
struct Page {
    attestations: Vec<Wire>,
}

impl IntoIterator for Page {
    type Item = Wire;
    type IntoIter = std::vec::IntoIter<Wire>;

    fn into_iter(self) -> Self::IntoIter {
        self.attestations.into_iter()
    }
}

#[derive(Deserialize)]
struct Wire {
    /// Left out by versions of the API from 2026-03-10 on; requests that name no version get an older one.
    #[serde(default)]
    bundle: Value,
}

impl GitHub {
    /// The bundles of Sigstore in which somebody states how the artifact with this digest was built, as this repository has
    /// them. Nothing of them is verified; anybody who may write attestations may have written one.
    ///
    /// GitHub answers alike where there are none and where the token may not read them.
    /// <https://docs.github.com/en/rest/repos/attestations#list-attestations>
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn attestations(&self, digest: &Digest) -> Result<Vec<Value>, Error> {
        let predicate = encoded(PREDICATE);
        let path = self.path(format_args!(
            "/attestations/{digest}?predicate_type={predicate}"
        ));
        let operation = format!("list the attestations of {digest}");
        let call = Call::get(path, operation, READ);
        let found = self.transport.pages_of_if_found::<Page>(&call).await?;
        let found = found.unwrap_or_default().into_iter();
        Ok(found.map(|it| it.bundle).collect())
    }
}
