//! The walk from an index over its manifests to their configs and layers.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::try_join_all;
use oci_client::manifest::{ImageIndexEntry, OciDescriptor, OciImageManifest};
use preview_core::names::{CommitSha, Digest};
use serde::Deserialize;

use crate::error::{Error, Operation};
use crate::manifest::Manifest;
use crate::transport::{Ask, Reply, Transport};

/// The label that names the commit an image was built from.
/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys>
const REVISION: &str = "org.opencontainers.image.revision";

/// The annotation by which BuildKit marks an attestation in an index.
/// <https://docs.docker.com/build/metadata/attestations/attestation-storage/>
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A config is text of a few KiB; one with a long history may have more.
const LARGEST_CONFIG: usize = 8 << 20;

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The media type of what the digest names; none when it is missing.
    pub media_type: Option<String>,
    /// The image for each platform whose manifest and config are there.
    pub platforms: Vec<PlatformImage>,
    /// The attestations in the index. A missing one does not keep the image from running.
    pub attestations: Vec<Attestation>,
    /// What an image needs to run on all its platforms and the registry does not have.
    pub missing: Vec<Missing>,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformImage {
    /// `os/architecture`, with `/variant` where there is one.
    pub platform: String,
    /// Its manifest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// Its config.
    pub config: Digest,
    /// The config's `org.opencontainers.image.revision` label, whatever it says.
    pub revision: Option<String>,
}

/// A statement about an image, kept beside it in its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Its manifest.
    pub digest: Digest,
    /// Whether the registry has the manifest.
    pub present: bool,
}

/// A piece of an image that the registry does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which kind of piece.
    pub kind: Kind,
    /// Its digest.
    pub digest: Digest,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.digest)
    }
}

/// The kinds of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The image itself: the index, or the manifest of an image without one.
    Image,
    /// The manifest of a platform, in an index.
    Manifest,
    /// The config of a platform's image.
    Config,
    /// A layer.
    Layer,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Image => "image",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
        })
    }
}

/// The platforms of an image do not name one commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image does not name one commit in its label {REVISION}: {}; build all its platforms from one commit and label them with its SHA", list(.0))]
pub struct RevisionsDisagree(pub Vec<(String, Option<String>)>);

fn list(revisions: &[(String, Option<String>)]) -> String {
    let said = revisions.iter().map(|(platform, revision)| {
        let said = revision.as_ref().map(|text| {
            // A label is somebody else's text.
            format!("{:?}", text.chars().take(60).collect::<String>())
        });
        format!("{platform} says {}", said.as_deref().unwrap_or("nothing"))
    });
    said.collect::<Vec<_>>().join(", ")
}

impl Inspection {
    /// Whether the registry has all that the image needs to run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The commit that the image says it was built from; none when no platform says anything.
    ///
    /// # Errors
    /// When the platforms say different things, or something that is no commit.
    pub fn revision(&self) -> Result<Option<CommitSha>, RevisionsDisagree> {
        let all = || self.platforms.iter().map(|p| p.revision.as_deref());
        let Some(first) = all().next().flatten() else {
            return if all().all(|revision| revision.is_none()) {
                Ok(None)
            } else {
                Err(self.disagreement())
            };
        };
        if all().any(|revision| revision != Some(first)) {
            return Err(self.disagreement());
        }
        first.parse().map(Some).map_err(|_| self.disagreement())
    }

    fn disagreement(&self) -> RevisionsDisagree {
        let said = self.platforms.iter();
        RevisionsDisagree(
            said.map(|p| (p.platform.clone(), p.revision.clone()))
                .collect(),
        )
    }

    fn empty(media_type: Option<String>) -> Self {
        Self {
            media_type,
            platforms: Vec::new(),
            attestations: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Attestation(attestation) => self.attestations.push(attestation),
            Part::Platform(image, missing) => {
                self.platforms.extend(image);
                // Platforms may share layers.
                for piece in missing {
                    if !self.missing.contains(&piece) {
                        self.missing.push(piece);
                    }
                }
            }
        }
    }
}

/// What the walk of one manifest found.
enum Part {
    Attestation(Attestation),
    Platform(Option<PlatformImage>, Vec<Missing>),
}

pub(crate) async fn inspect(
    transport: &Transport,
    operation: &Operation,
    digest: &Digest,
) -> Result<Inspection, Error> {
    let Some(reply) = verified_manifest(transport, operation, digest).await? else {
        let mut inspection = Inspection::empty(None);
        inspection.missing.push(missing(Kind::Image, digest));
        return Ok(inspection);
    };
    let walk = Walk {
        transport,
        operation,
    };
    let manifest = walk.parse(digest, &reply)?;
    let media_type = manifest.media_type(reply.header("content-type"));
    let parts = match &manifest {
        Manifest::Image(image) => vec![walk.image(digest, image, media_type.clone()).await?],
        Manifest::Index(index) if index.manifests.iter().all(is_attestation) => {
            return Err(operation.malformed(digest.as_str(), "an index of no image".to_owned()));
        }
        Manifest::Index(index) => {
            try_join_all(index.manifests.iter().map(|e| walk.entry(e))).await?
        }
    };
    let mut inspection = Inspection::empty(Some(media_type));
    parts.into_iter().for_each(|part| inspection.add(part));
    Ok(inspection)
}

/// The manifest of this digest, its bytes hashed; none when the registry does not have it.
pub(crate) async fn verified_manifest(
    transport: &Transport,
    operation: &Operation,
    digest: &Digest,
) -> Result<Option<Reply>, Error> {
    let path = format!("manifests/{digest}");
    let Some(reply) = transport.get_manifest(operation, path).await? else {
        return Ok(None);
    };
    verify(operation, "manifest", digest, &reply)?;
    Ok(Some(reply))
}

fn verify(operation: &Operation, what: &str, digest: &Digest, reply: &Reply) -> Result<(), Error> {
    let actual = Digest::of(&reply.body);
    if actual == *digest {
        Ok(())
    } else {
        Err(operation.corrupt(&format!("a {what}"), digest.as_str(), actual.as_str()))
    }
}

fn missing(kind: Kind, digest: &Digest) -> Missing {
    Missing {
        kind,
        digest: digest.clone(),
    }
}

struct Walk<'a> {
    transport: &'a Transport,
    operation: &'a Operation,
}

impl Walk<'_> {
    async fn entry(&self, entry: &ImageIndexEntry) -> Result<Part, Error> {
        let digest = self.digest(&entry.digest)?;
        let reply = verified_manifest(self.transport, self.operation, &digest).await?;
        if is_attestation(entry) {
            let present = reply.is_some();
            return Ok(Part::Attestation(Attestation { digest, present }));
        }
        let Some(reply) = reply else {
            return Ok(Part::Platform(None, vec![missing(Kind::Manifest, &digest)]));
        };
        let manifest = self.parse(&digest, &reply)?;
        let media_type = manifest.media_type(reply.header("content-type"));
        match manifest {
            Manifest::Image(image) => self.image(&digest, &image, media_type).await,
            Manifest::Index(_) => {
                let detail = "an index within an index, which is not supported".to_owned();
                Err(self.operation.malformed(digest.as_str(), detail))
            }
        }
    }

    async fn image(
        &self,
        digest: &Digest,
        image: &OciImageManifest,
        media_type: String,
    ) -> Result<Part, Error> {
        let config_digest = self.digest(&image.config.digest)?;
        let layers = image.layers.iter().filter(|layer| is_in_registry(layer));
        let (config, layers) = futures::try_join!(
            self.config(&config_digest),
            try_join_all(layers.map(|layer| self.layer(layer)))
        )?;
        let mut absent: Vec<Missing> = layers.into_iter().flatten().collect();
        let Some(config) = config else {
            absent.insert(0, missing(Kind::Config, &config_digest));
            return Ok(Part::Platform(None, absent));
        };
        let image = PlatformImage {
            platform: config.platform(),
            manifest: digest.clone(),
            media_type,
            config: config_digest,
            revision: config.revision(),
        };
        Ok(Part::Platform(Some(image), absent))
    }

    /// The config of this digest, its bytes hashed.
    async fn config(&self, digest: &Digest) -> Result<Option<Config>, Error> {
        let ask = Ask::get_blob(digest.as_str(), LARGEST_CONFIG);
        let Some(reply) = self.transport.find(self.operation, ask).await? else {
            return Ok(None);
        };
        verify(self.operation, "config", digest, &reply)?;
        let config = serde_json::from_slice(&reply.body);
        let malformed =
            |e: serde_json::Error| self.operation.malformed(digest.as_str(), e.to_string());
        config.map(Some).map_err(malformed)
    }

    /// Says when the layer is missing. Its bytes are not fetched: a node hashes them when it pulls.
    async fn layer(&self, layer: &OciDescriptor) -> Result<Option<Missing>, Error> {
        let digest = self.digest(&layer.digest)?;
        let ask = Ask::head_blob(digest.as_str());
        let reply = self.transport.send(self.operation, ask).await?;
        if !reply.status.is_success() {
            // An answer to HEAD has no words, so it cannot say that the layer is missing: a GET can.
            let ask = Ask::get_blob(digest.as_str(), LARGEST_CONFIG);
            let found = self.transport.find(self.operation, ask).await?;
            return Ok(found.is_none().then(|| missing(Kind::Layer, &digest)));
        }
        let served = reply
            .header("content-length")
            .and_then(|l| l.parse::<i64>().ok());
        match served {
            Some(served) if served != layer.size => Err(self.operation.corrupt(
                &format!("the layer {digest}"),
                &format!("{} bytes", layer.size),
                &format!("{served} bytes"),
            )),
            _ => Ok(None),
        }
    }

    fn parse(&self, digest: &Digest, reply: &Reply) -> Result<Manifest, Error> {
        Manifest::parse(&reply.body)
            .map_err(|problem| self.operation.malformed(digest.as_str(), problem))
    }

    fn digest(&self, text: &str) -> Result<Digest, Error> {
        text.parse().map_err(|error: preview_core::names::NotA| {
            self.operation.malformed("a reference", error.to_string())
        })
    }
}

fn is_attestation(entry: &ImageIndexEntry) -> bool {
    let annotations = entry.annotations.as_ref();
    annotations.is_some_and(|a| a.contains_key(REFERENCE_TYPE))
}

/// Layers that may not be distributed are fetched from elsewhere.
/// <https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers>
fn is_in_registry(layer: &OciDescriptor) -> bool {
    let foreign = ["nondistributable", "rootfs.foreign"];
    !foreign.iter().any(|word| layer.media_type.contains(word))
}

/// What we read of a config.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    config: Option<RunConfig>,
}

#[derive(Debug, Deserialize)]
struct RunConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Config {
    fn platform(&self) -> String {
        let variant = self.variant.iter().map(String::as_str);
        [self.os.as_str(), self.architecture.as_str()]
            .into_iter()
            .chain(variant)
            .collect::<Vec<_>>()
            .join("/")
    }

    fn revision(&self) -> Option<String> {
        let labels = self.config.as_ref()?.labels.as_ref()?;
        labels
            .get(REVISION)
            .filter(|text| !text.is_empty())
            .cloned()
    }
}
