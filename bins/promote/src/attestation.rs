//! Who built the images, where the configuration asks.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::try_join_all;
use preview_actions::{Failed, Options, Outside as _};
use preview_core::config::AttestationSettings;
use preview_core::names::PinnedImage;
use preview_core::promote::Attestations;

use crate::world::World;

#[cfg(not(feature = "attestation"))]
pub(crate) use absent::Verifier;
#[cfg(feature = "attestation")]
pub(crate) use preview_attestation::Verifier;

#[cfg(any(test, not(feature = "attestation")))]
mod absent;

/// What verifies attestations as the configuration wants it; none where it does not ask for any.
///
/// # Errors
/// When it asks, and this program cannot, or what is to be trusted cannot be read.
pub(crate) fn verifier(
    options: &Options,
    settings: Option<&AttestationSettings>,
) -> Result<Option<Verifier>, Failed> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let Some(file) = &settings.trust_root else {
        return Verifier::embedded().misused().map(Some);
    };
    // Beside the configuration, which is in the root of the same checkout.
    let folder = options.config.parent().unwrap_or(Path::new(""));
    let file = folder.join(file);
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failed::Misused(format!(
            "cannot read the trusted authorities {}: {error}; correct promote.require_attestation.trust_root, or leave it \
             out",
            file.display()
        ))
    })?;
    Verifier::trusting(&text).misused().map(Some)
}

impl World<'_> {
    /// What GitHub keeps of who built these images, judged; none where the configuration does not ask.
    pub(crate) async fn attestations(
        &self,
        images: impl IntoIterator<Item = &PinnedImage>,
    ) -> Result<Option<Attestations>, Failed> {
        let settings = self.config.promote.require_attestation.as_ref();
        let (Some(settings), Some(verifier)) = (settings, &self.verifier) else {
            return Ok(None);
        };
        let found = images.into_iter().map(|image| async move {
            let bundles = self.github.attestations(&image.digest).await.outside()?;
            let judged = bundles.iter();
            let judged = judged.map(|bundle| verifier.judge(&image.digest, bundle));
            Ok::<_, Failed>((image.clone(), judged.collect()))
        });
        let found: BTreeMap<_, _> = try_join_all(found).await?.into_iter().collect();
        Ok(Some(Attestations {
            demand: settings.demand(&self.repository),
            found,
        }))
    }
}
