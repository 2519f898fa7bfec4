//! Bundles against authorities.

use preview_core::attestation::{Attestation, Provenance};
use preview_core::names::Digest;
use serde::Deserialize;
use serde_json::Value;
use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_verify::types::{Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{VerificationPolicy, VerificationResult};

use crate::crypto;

/// Characters of the reason why a bundle does not hold: what sigstore-verify says for two instances, with room.
const LONGEST_REASON: usize = 600;

/// Authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not what it should be.
    #[error(
        "cannot read the trusted authorities: line {line}: {why}; write what `gh attestation trusted-root` prints, one JSON \
         object a line"
    )]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// Why not.
        why: String,
    },
    /// There is nothing in it.
    #[error(
        "there are no trusted authorities in it; write what `gh attestation trusted-root` prints, one JSON object a line"
    )]
    Empty,
}

/// Verifies attestations against the authorities that are trusted.
pub struct Verifier {
    roots: Vec<Root>,
}

/// One instance of Sigstore, with what it demands.
struct Root {
    /// Where its certificates come from, for messages.
    name: String,
    verifier: sigstore_verify::Verifier,
    policy: VerificationPolicy,
}

impl Root {
    fn new(root: &TrustedRoot) -> Result<Self, sigstore_verify::Error> {
        // Who is authorised is decided of what the certificate says, in the core.
        let mut policy = VerificationPolicy::any_identity();
        // An instance without public logs, such as GitHub's for private repositories, vouches by timestamps alone. One with
        // logs demands their evidence of everything.
        if root.tlogs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        if root.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        let authorities = root.certificate_authorities.iter();
        let name = authorities
            .map(|authority| authority.uri.clone())
            .next_back();
        Ok(Self {
            name: name.unwrap_or_else(|| "nobody".to_owned()),
            verifier: sigstore_verify::Verifier::new(root)?,
            policy,
        })
    }
}

impl Verifier {
    /// Trusts Sigstore's public instance, which attests for public repositories, and GitHub's, which does for private ones,
    /// as they were when the program was built.
    ///
    /// # Errors
    /// When the program came with something that cannot be used.
    pub fn embedded() -> Result<Self, Error> {
        let instances = [SigstoreInstance::PublicGood, SigstoreInstance::GitHub];
        Self::of_roots(instances.map(SigstoreInstance::embedded_trusted_root_json))
    }

    /// Trusts the authorities in `text`: Sigstore's `trusted_root.json`, or several of them, one a line.
    /// <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto>
    ///
    /// # Errors
    /// When there are none, or one cannot be used.
    pub fn trusting(text: &str) -> Result<Self, Error> {
        // One over several lines is one; else each line is.
        match serde_json::from_str::<Value>(text) {
            Ok(_) => Self::of_roots([text]),
            Err(_) => Self::of_roots(text.lines()),
        }
    }

    fn of_roots<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        crypto::install();
        let mut roots = Vec::new();
        for (place, text) in texts.into_iter().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let unreadable = |why: String| Error::Unreadable {
                line: place + 1,
                why,
            };
            let root = TrustedRoot::from_json(text).map_err(|why| unreadable(why.to_string()))?;
            // An empty object parses, and would be a root that trusts nobody.
            if root.certificate_authorities.is_empty() {
                return Err(unreadable("it names no certificate authority".to_owned()));
            }
            roots.push(Root::new(&root).map_err(|why| unreadable(why.to_string()))?);
        }
        if roots.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Self { roots })
    }

    /// Whether `bundle`, in Sigstore's JSON, is an attestation of the image with this digest that holds, and what it says.
    /// <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>
    #[must_use]
    pub fn judge(&self, image: &Digest, bundle: &Value) -> Attestation {
        match self.verified(image, bundle) {
            Ok(provenance) => Attestation::Verified(provenance),
            // It quotes what anybody may have written.
            Err(why) => Attestation::Invalid(plain(&why)),
        }
    }

    fn verified(&self, image: &Digest, bundle: &Value) -> Result<Provenance, String> {
        if bundle.is_null() {
            return Err("its bundle is left out of what GitHub answers".to_owned());
        }
        let bundle = Bundle::from_json(&bundle.to_string())
            .map_err(|why| format!("it is no bundle of Sigstore: {why}"))?;
        let digest = Sha256Hash::from_hex(image.hex()).map_err(|why| why.to_string())?;
        let mut refused = Vec::new();
        for root in &self.roots {
            match root.verifier.verify(digest, &bundle, &root.policy) {
                Ok(result) => return provenance(&bundle, &result),
                Err(why) => refused.push(format!("by {}: {why}", root.name)),
            }
        }
        Err(refused.join("; "))
    }
}

/// One line of no great length.
fn plain(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    one_line.take(LONGEST_REASON).collect()
}

/// What is said by a bundle that holds.
fn provenance(bundle: &Bundle, result: &VerificationResult) -> Result<Provenance, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Statement {
        predicate_type: String,
    }
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err("it signs a file, and states nothing".to_owned());
    };
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|why| format!("its statement cannot be read: {why}"))?;
    let certificate = result
        .certificate()
        .filter(|_| result.certificate_verified());
    let certificate = certificate.ok_or("no certificate of it was verified")?;
    let claims = &certificate.ci_claims;
    let said = |claim: &Option<String>| claim.clone().unwrap_or_default();
    Ok(Provenance {
        predicate: statement.predicate_type,
        issuer: said(&certificate.issuer),
        signer: certificate
            .identity
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        repository: said(&claims.source_repository_identifier),
        commit: said(&claims.source_repository_digest),
        reference: said(&claims.source_repository_ref),
        runner: said(&claims.runner_environment),
    })
}
