//! Small complete images, built byte for byte: index → manifests → configs and layers.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::Digest as _;

/// The label that names the commit an image was built from.
/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys>
pub(super) const REVISION: &str = "org.opencontainers.image.revision";

/// What kind of thing a [`Document`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A layer's archive.
    Layer,
    /// The configuration of one platform's image.
    Config,
    /// The manifest of one platform's image, or of an attestation.
    Manifest,
    /// The list of an image's manifests.
    Index,
}

/// One piece of an image, known by the hash of its bytes.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// Its media type.
    pub media_type: &'static str,
    /// `sha256:` and the hash of `bytes`.
    pub digest: String,
    /// The content.
    pub bytes: Bytes,
    /// `os/architecture`, for a manifest in an index.
    platform: Option<String>,
    /// The digest of the manifest that this one attests.
    attests: Option<String>,
}

/// An image as pieces, in the order in which a registry accepts them: what is referred to comes first.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The pieces, the last of which is what a tag points to.
    pub documents: Vec<Document>,
}

impl Artifact {
    /// The digest that a tag points to: the index, or the manifest of an image without one.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.documents.last().map_or("", |top| &top.digest)
    }

    /// The digests of all pieces of one kind, in the order in which they were built.
    #[must_use]
    pub fn digests(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.documents.iter().filter(|d| d.kind == kind);
        of_kind.map(|d| d.digest.as_str()).collect()
    }
}

/// The description of an image to publish.
#[derive(Clone, Debug)]
pub struct Image {
    platforms: Vec<Platform>,
    content: Bytes,
    attested: bool,
    indexed: bool,
    docker: bool,
}

#[derive(Clone, Debug)]
struct Platform {
    name: String,
    revision: Option<String>,
}

impl Image {
    /// An image for linux/amd64, labelled as built from the commit `revision`.
    #[must_use]
    pub fn of(revision: &str) -> Self {
        Self::labelled(Some(revision.to_owned()))
    }

    /// An image that does not say what it was built from.
    #[must_use]
    pub fn unlabelled() -> Self {
        Self::labelled(None)
    }

    fn labelled(revision: Option<String>) -> Self {
        Self {
            platforms: vec![Platform {
                name: "linux/amd64".to_owned(),
                revision,
            }],
            content: Bytes::from_static(b"a layer"),
            attested: false,
            indexed: true,
            docker: false,
        }
    }

    /// The same with one platform more, such as `linux/arm64`, built from the commit `revision`.
    #[must_use]
    pub fn and_platform(mut self, name: &str, revision: &str) -> Self {
        self.platforms.push(Platform {
            name: name.to_owned(),
            revision: Some(revision.to_owned()),
        });
        self
    }

    /// The same with `content` in its layers, so that its digests differ from another image's.
    #[must_use]
    pub fn containing(mut self, content: impl Into<Bytes>) -> Self {
        self.content = content.into();
        self
    }

    /// The same with an attestation beside each platform, as BuildKit makes them.
    /// <https://docs.docker.com/build/metadata/attestations/attestation-storage/>
    #[must_use]
    pub fn attested(mut self) -> Self {
        self.attested = true;
        self
    }

    /// The same without an index: the tag points to the manifest of the first platform.
    #[must_use]
    pub fn without_index(mut self) -> Self {
        self.indexed = false;
        self
    }

    /// The same in Docker's media types instead of OCI's.
    #[must_use]
    pub fn in_docker_format(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Builds all pieces. The same description always gives the same bytes.
    #[must_use]
    pub fn build(&self) -> Artifact {
        let mut documents = Vec::new();
        let mut manifests = Vec::new();
        for platform in &self.platforms {
            let manifest = self.platform(platform, &mut documents);
            let attestation = self
                .attested
                .then(|| attestation(&manifest, &mut documents));
            manifests.push(manifest);
            manifests.extend(attestation);
        }
        if !self.indexed {
            manifests.truncate(1);
            documents.append(&mut manifests);
            return Artifact { documents };
        }
        let index = self.index(&manifests);
        documents.append(&mut manifests);
        documents.push(index);
        Artifact { documents }
    }

    fn platform(&self, platform: &Platform, blobs: &mut Vec<Document>) -> Document {
        let (os, architecture) = platform.name.split_once('/').unwrap_or(("linux", "amd64"));
        let layer = [&self.content[..], b" for ", platform.name.as_bytes()].concat();
        let layer = document(Kind::Layer, self.types().layer, Bytes::from(layer));
        let labels = platform
            .revision
            .as_ref()
            .map_or_else(|| json!({}), |revision| json!({ REVISION: revision }));
        let config = document(
            Kind::Config,
            self.types().config,
            text(&json!({
                "architecture": architecture,
                "os": os,
                "config": { "Labels": labels },
                "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
            })),
        );
        let mut manifest = self.manifest(&config, &layer);
        manifest.platform = Some(platform.name.clone());
        blobs.extend([layer, config]);
        manifest
    }

    fn manifest(&self, config: &Document, layer: &Document) -> Document {
        manifest(self.types().manifest, config, layer)
    }

    fn index(&self, manifests: &[Document]) -> Document {
        let entries: Vec<Value> = manifests.iter().map(entry).collect();
        document(
            Kind::Index,
            self.types().index,
            text(&json!({
                "schemaVersion": 2,
                "mediaType": self.types().index,
                "manifests": entries,
            })),
        )
    }

    fn types(&self) -> &'static MediaTypes {
        if self.docker { &DOCKER } else { &OCI }
    }
}

struct MediaTypes {
    layer: &'static str,
    config: &'static str,
    manifest: &'static str,
    index: &'static str,
}

/// <https://github.com/opencontainers/image-spec/blob/main/media-types.md>
static OCI: MediaTypes = MediaTypes {
    layer: "application/vnd.oci.image.layer.v1.tar",
    config: "application/vnd.oci.image.config.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    index: "application/vnd.oci.image.index.v1+json",
};

/// <https://distribution.github.io/distribution/spec/manifest-v2-2/#media-types>
static DOCKER: MediaTypes = MediaTypes {
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    config: "application/vnd.docker.container.image.v1+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
};

/// The media types under which the registry takes manifests.
pub(super) const MANIFEST_TYPES: [&str; 4] =
    [OCI.index, OCI.manifest, DOCKER.index, DOCKER.manifest];

/// `sha256:` and the hash of `bytes`.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let hash = sha2::Sha256::digest(bytes);
    hash.iter()
        .fold(String::from("sha256:"), |mut digest, byte| {
            let _ = write!(digest, "{byte:02x}");
            digest
        })
}

fn document(kind: Kind, media_type: &'static str, bytes: Bytes) -> Document {
    Document {
        kind,
        media_type,
        digest: digest_of(&bytes),
        bytes,
        platform: None,
        attests: None,
    }
}

fn text(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn descriptor(document: &Document) -> Value {
    json!({ "mediaType": document.media_type, "digest": document.digest, "size": document.bytes.len() })
}

fn manifest(media_type: &'static str, config: &Document, layer: &Document) -> Document {
    document(
        Kind::Manifest,
        media_type,
        text(&json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config),
            "layers": [descriptor(layer)],
        })),
    )
}

/// A manifest as an index lists it.
fn entry(manifest: &Document) -> Value {
    let name = manifest.platform.as_deref().unwrap_or("unknown/unknown");
    let (os, architecture) = name.split_once('/').unwrap_or((name, ""));
    let mut entry = descriptor(manifest);
    entry["platform"] = json!({ "os": os, "architecture": architecture });
    if let Some(subject) = &manifest.attests {
        entry["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject,
        });
    }
    entry
}

fn attestation(subject: &Document, blobs: &mut Vec<Document>) -> Document {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{ "digest": { "sha256": subject.digest.trim_start_matches("sha256:") } }],
    });
    let layer = document(
        Kind::Layer,
        "application/vnd.in-toto+json",
        text(&statement),
    );
    let config = document(
        Kind::Config,
        OCI.config,
        text(&json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        })),
    );
    let mut attestation = manifest(OCI.manifest, &config, &layer);
    attestation.attests = Some(subject.digest.clone());
    blobs.extend([layer, config]);
    attestation
}
