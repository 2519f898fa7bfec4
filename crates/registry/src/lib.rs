//! Adapter to OCI registries: which digest a tag means, what an image is made of, moving a tag, and pushing what was built
//! elsewhere.
//!
//! A registry's word is never taken for a digest: the bytes are hashed here. The digest of an image is always that of
//! its index, where it has one, and never of one platform's manifest.
//!
//! The wire types are oci-client's; its transport is not used, because its errors drop what this adapter needs: the
//! headers of an answer (`Retry-After`, `Content-Type`), and the failure of a token endpoint, which it treats as
//! "anonymous". It also reads bodies of any size, and gives credentials to whatever address a registry names.
//!
//! Where registries differ: ghcr answers 403 for a repository that the anonymous may not see, whether it exists or
//! not, so an unknown image there needs a credential to be recognised as unknown. ghcr refuses to delete manifests
//! (405); this adapter never tries.
//!
//! A rustls provider must be installed in the process before [`Registry::new`].

mod error;
mod inspect;
mod layout;
mod manifest;
mod push;
mod retry;
mod token;
mod transport;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use preview_core::names::{Digest, ImageName, NotA, PinnedImage};
use secrecy::SecretString;

pub use error::Error;
pub use inspect::{Attestation, Inspection, Kind, Missing, PlatformImage, RevisionsDisagree};
pub use layout::{Layout, Unreadable};

use error::Operation;
use manifest::Manifest;
use transport::{Ask, Transport};

/// A user of a registry. Its password is never printed.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name; ghcr takes any.
    pub user: String,
    /// The password or token.
    pub password: SecretString,
}

/// How to reach registries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are, by the registry's host as it stands in the names of images. A registry that is not listed is asked
    /// anonymously: one registry never sees another's password.
    pub credentials: BTreeMap<String, Credentials>,
    /// The hosts (`host` or `host:port`, as in the names of images) that are spoken to in plain HTTP.
    pub plain_http: BTreeSet<String>,
    /// How long one operation may take, with all its requests and repetitions.
    pub timeout: Duration,
}

impl Settings {
    /// Asks the registry of `login` (host, user and password) with it, where there is one, and all others anonymously.
    #[must_use]
    pub fn new(
        login: Option<(String, String, SecretString)>,
        plain_http: BTreeSet<String>,
    ) -> Self {
        let credentials = login
            .into_iter()
            .map(|(host, user, password)| (host, Credentials { user, password }));
        Self {
            credentials: credentials.collect(),
            plain_http,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            credentials: BTreeMap::new(),
            plain_http: BTreeSet::new(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// Registries, as seen with one set of [`Settings`].
#[derive(Debug)]
pub struct Registry {
    transport: Transport,
}

impl Registry {
    /// Makes the client; nothing is asked yet.
    ///
    /// # Errors
    /// When the TLS client cannot be made.
    ///
    /// # Panics
    /// When no rustls provider is installed in the process.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(settings)?,
        })
    }

    /// The digest that `tag` means now; none when the registry says that there is no such tag or image.
    ///
    /// # Errors
    /// When the registry refuses us, cannot be reached in time, or answers something that is no manifest.
    pub async fn resolve(&self, name: &ImageName, tag: &str) -> Result<Option<Digest>, Error> {
        let operation = self.operation(format!("resolve {name}:{tag}"), name);
        check_tag(tag, &operation)?;
        let path = format!("manifests/{tag}");
        let Some(reply) = self.transport.get_manifest(&operation, path).await? else {
            return Ok(None);
        };
        Manifest::parse(&reply.body).map_err(|problem| operation.malformed(tag, problem))?;
        let digest = Digest::of(&reply.body);
        // A proxy that mangles bodies shows here; taking the hash in silence would deploy what nobody pushed.
        match reply.header("docker-content-digest") {
            Some(said) if said != digest.as_str() => {
                Err(operation.corrupt("the manifest", said, digest.as_str()))
            }
            _ => Ok(Some(digest)),
        }
    }

    /// What the image is made of, what it says it was built from, and what of it is missing in the registry.
    ///
    /// An absent image is an answer ([`Inspection::missing`]), not an error.
    ///
    /// # Errors
    /// When the registry refuses us, cannot be reached in time, or serves bytes that are not those of their digest.
    pub async fn inspect(&self, image: &PinnedImage) -> Result<Inspection, Error> {
        let operation = self.operation(format!("inspect {image}"), &image.name);
        inspect::inspect(&self.transport, &operation, &image.digest).await
    }

    /// The manifests that an index names, those of attestations too; empty for the manifest of a single image. None when
    /// the image is not there.
    ///
    /// # Errors
    /// As [`Self::inspect`].
    pub async fn children(&self, image: &PinnedImage) -> Result<Option<Vec<Digest>>, Error> {
        let operation = self.operation(format!("read the manifests of {image}"), &image.name);
        let reply = inspect::verified_manifest(&self.transport, &operation, &image.digest).await?;
        let Some(reply) = reply else {
            return Ok(None);
        };
        let of_image = image.digest.as_str();
        let manifest = Manifest::parse(&reply.body)
            .map_err(|problem| operation.malformed(of_image, problem))?;
        let Manifest::Index(index) = manifest else {
            return Ok(Some(Vec::new()));
        };
        let named = index.manifests.iter().map(|entry| {
            let named = entry.digest.parse();
            named.map_err(|error: NotA| operation.malformed(of_image, error.to_string()))
        });
        named.collect::<Result<_, _>>().map(Some)
    }

    /// Points `tag` at the image by putting the very same bytes under it; its digest stays.
    ///
    /// # Errors
    /// As [`Self::inspect`], and when the image is not there or we may not push.
    pub async fn tag(&self, image: &PinnedImage, tag: &str) -> Result<(), Error> {
        let operation = self.operation(format!("tag {image} as {tag}"), &image.name);
        check_tag(tag, &operation)?;
        let (bytes, media_type) = self.manifest(&operation, image).await?;
        let ask = Ask::put_manifest(tag, media_type, bytes);
        let reply = self.transport.send(&operation, ask).await?;
        if !reply.status.is_success() {
            return Err(operation.unexpected(&reply.summary()));
        }
        match reply.header("docker-content-digest") {
            Some(said) if said != image.digest.as_str() => {
                Err(operation.corrupt("what was put", image.digest.as_str(), said))
            }
            _ => Ok(()),
        }
    }

    async fn manifest(
        &self,
        operation: &Operation,
        image: &PinnedImage,
    ) -> Result<(Bytes, String), Error> {
        let reply = inspect::verified_manifest(&self.transport, operation, &image.digest)
            .await?
            .ok_or_else(|| operation.absent())?;
        let manifest = Manifest::parse(&reply.body)
            .map_err(|problem| operation.malformed(image.digest.as_str(), problem))?;
        let media_type = manifest.media_type(reply.header("content-type"));
        Ok((reply.body, media_type))
    }

    fn operation(&self, what: String, name: &ImageName) -> Operation {
        Operation::new(what, name, self.transport.timeout())
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`: anything else would change the request's path.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn check_tag(tag: &str, operation: &Operation) -> Result<(), Error> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err(operation.not_a_tag(tag))
    }
}
