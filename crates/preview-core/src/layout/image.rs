//! From `index.json` to the one image that it names: index, manifests, configs, layers.
//! <https://github.com/opencontainers/image-spec/blob/main/spec.md>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refused::{Refused, Said};
use super::{LARGEST_CONFIG, LARGEST_MANIFEST};
use crate::names::{CommitSha, Digest};

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
/// Those that lie in a registry. The foreign ones of Docker, and OCI's nondistributable ones, do not.
const LAYERS: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];
/// What an attestation has in place of layers.
const STATEMENT: [&str; 1] = ["application/vnd.in-toto+json"];

/// The annotation by which BuildKit marks an attestation in an index.
/// <https://docs.docker.com/build/metadata/attestations/attestation-storage/>
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A blob of the image, as another names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub part: Part,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size, in bytes.
    pub size: u64,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.part, self.digest)
    }
}

/// What a blob is in its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The list of an image's manifests.
    Index,
    /// The manifest for one platform, or of an attestation.
    Manifest,
    /// How one platform's image starts.
    Config,
    /// Files; of an attestation, its statement.
    Layer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
        })
    }
}

/// An image that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Configs and layers, each once.
    pub blobs: Vec<Piece>,
    /// Manifests, each after those that it refers to: the last is the image.
    pub manifests: Vec<Piece>,
    /// The commit B that all its platforms say they were built from.
    pub revision: CommitSha,
}

impl Image {
    /// The image's digest: that of its index, where it has one.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        let top = self.manifests.last();
        top.map_or_else(
            || unreachable!("an image has a manifest"),
            |top| &top.digest,
        )
    }
}

/// How one document names another.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
    /// The content itself, which nobody would compare with the digest.
    data: Option<Value>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

pub(super) fn read<E: From<Refused>>(
    there: &BTreeMap<Digest, u64>,
    index: &[u8],
    document: impl FnMut(&Piece) -> Result<Vec<u8>, E>,
) -> Result<Image, E> {
    let index: Index = parsed("index.json", index, None)?;
    let distinct: BTreeSet<&Digest> = index.manifests.iter().map(|one| &one.digest).collect();
    // BuildKit names an image once for each of its tags.
    let (Some(top), 1) = (index.manifests.first(), distinct.len()) else {
        return Err(Refused::NotOne(distinct.len()).into());
    };
    let mut walk = Walk {
        there,
        document,
        blobs: BTreeMap::new(),
        manifests: Vec::new(),
        revisions: BTreeSet::new(),
    };
    walk.top(top)?;
    let revision = walk.revision()?;
    Ok(Image {
        blobs: walk.blobs.into_values().collect(),
        manifests: walk.manifests,
        revision,
    })
}

struct Walk<'a, D> {
    there: &'a BTreeMap<Digest, u64>,
    document: D,
    blobs: BTreeMap<Digest, Piece>,
    manifests: Vec<Piece>,
    /// What the platforms say; none for one that says nothing.
    revisions: BTreeSet<Option<String>>,
}

impl<E: From<Refused>, D: FnMut(&Piece) -> Result<Vec<u8>, E>> Walk<'_, D> {
    fn top(&mut self, named: &Descriptor) -> Result<(), E> {
        let by = "index.json";
        if !INDEXES.contains(&named.media_type.as_str()) {
            return self.manifest(named, by);
        }
        let index = self.piece(Part::Index, named, by)?;
        let list: Index = self.read(&index, LARGEST_MANIFEST)?;
        let by = index.to_string();
        for child in &list.manifests {
            if INDEXES.contains(&child.media_type.as_str()) {
                return Err(Refused::Nested(child.digest.to_string()).into());
            }
            self.manifest(child, &by)?;
        }
        if self.revisions.is_empty() {
            return Err(Refused::Empty(by).into());
        }
        self.manifests.push(index);
        Ok(())
    }

    fn manifest(&mut self, named: &Descriptor, by: &str) -> Result<(), E> {
        let piece = self.piece(Part::Manifest, named, by)?;
        if self.manifests.contains(&piece) {
            return Ok(());
        }
        let manifest: Manifest = self.read(&piece, LARGEST_MANIFEST)?;
        let by = piece.to_string();
        let config = self.piece(Part::Config, &manifest.config, &by)?;
        let is_attestation = named.annotations.contains_key(REFERENCE_TYPE);
        for layer in &manifest.layers {
            let layer = match is_attestation {
                true => self.piece_of(Part::Layer, &STATEMENT, "a statement", layer, &by),
                false => self.piece(Part::Layer, layer, &by),
            }?;
            self.blobs.insert(layer.digest.clone(), layer);
        }
        if !is_attestation {
            let config: Value = self.read(&config, LARGEST_CONFIG)?;
            let label = &config["config"]["Labels"]["org.opencontainers.image.revision"];
            self.revisions.insert(label.as_str().map(str::to_owned));
        }
        self.blobs.insert(config.digest.clone(), config);
        self.manifests.push(piece);
        Ok(())
    }

    /// What `named` names, if it may stand there and is there.
    fn piece(&self, part: Part, named: &Descriptor, by: &str) -> Result<Piece, Refused> {
        let (types, may) = match part {
            Part::Index => (&INDEXES[..], "an index"),
            Part::Manifest => (&MANIFESTS[..], "an index or a manifest of OCI or Docker"),
            Part::Config => (&CONFIGS[..], "a config of OCI or Docker"),
            Part::Layer => (&LAYERS[..], "a layer that lies in the registry"),
        };
        self.piece_of(part, types, may, named, by)
    }

    fn piece_of(
        &self,
        part: Part,
        types: &[&str],
        may: &'static str,
        named: &Descriptor,
        by: &str,
    ) -> Result<Piece, Refused> {
        let digest = named.digest.clone();
        if let Some(url) = named.urls.first() {
            return Err(Refused::Elsewhere {
                by: by.to_owned(),
                digest,
                url: Said::new(url.as_bytes()),
            });
        }
        if !types.contains(&named.media_type.as_str()) {
            return Err(Refused::MediaType {
                by: by.to_owned(),
                digest,
                media_type: Said::new(named.media_type.as_bytes()),
                may,
            });
        }
        if named.data.is_some() {
            return Err(malformed(by, "it has the data of a blob in itself"));
        }
        let piece = Piece {
            part,
            digest,
            media_type: named.media_type.clone(),
            size: named.size,
        };
        match self.there.get(&piece.digest) {
            None => Err(Refused::Missing {
                what: piece.to_string(),
                by: by.to_owned(),
            }),
            Some(actual) if *actual != named.size => Err(Refused::OtherSize {
                what: piece.to_string(),
                actual: *actual,
                by: by.to_owned(),
                said: named.size,
            }),
            Some(_) => Ok(piece),
        }
    }

    fn read<T: DeserializeOwned>(&mut self, piece: &Piece, most: u64) -> Result<T, E> {
        let (what, size) = (piece.to_string(), piece.size);
        if size > most {
            return Err(Refused::LargeDocument { what, size, most }.into());
        }
        let bytes = (self.document)(piece)?;
        Ok(parsed(&what, &bytes, Some(piece))?)
    }

    fn revision(&self) -> Result<CommitSha, Refused> {
        let said: Vec<String> = self
            .revisions
            .iter()
            .map(|one| match one {
                Some(text) => Said::new(text.as_bytes()).to_string(),
                None => "nothing".to_owned(),
            })
            .collect();
        let mut revisions = self.revisions.iter();
        match (revisions.next(), revisions.next()) {
            (Some(Some(one)), None) => one.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| {
            let nothing = || "nothing".to_owned();
            Refused::Revision(
                said.into_iter()
                    .reduce(|all, one| format!("{all} and {one}"))
                    .unwrap_or_else(nothing),
            )
        })
    }
}

/// The document in `bytes`, which its media type does not contradict.
fn parsed<T: DeserializeOwned>(
    what: &str,
    bytes: &[u8],
    piece: Option<&Piece>,
) -> Result<T, Refused> {
    let no_json = |error: serde_json::Error| malformed(what, error.to_string());
    let value: Value = serde_json::from_slice(bytes).map_err(no_json)?;
    if piece.is_none_or(|piece| piece.part != Part::Config) {
        let (version, media_type) = (&value["schemaVersion"], value["mediaType"].as_str());
        if version != 2 {
            return Err(malformed(
                what,
                format!("schemaVersion is {version}, not 2"),
            ));
        }
        let named = piece.map(|piece| piece.media_type.as_str());
        if let (Some(own), Some(named)) = (media_type, named)
            && own != named
        {
            return Err(malformed(what, format!("it calls itself {own}")));
        }
        // https://github.com/opencontainers/image-spec/pull/411: a document that can be read as both is an attack.
        let is = |key: &str| value.get(key).is_some();
        if is("manifests") && (is("config") || is("layers")) {
            return Err(malformed(what, "it is an index and a manifest at once"));
        }
        if is("subject") {
            return Err(malformed(what, "it speaks of another image (subject)"));
        }
    }
    serde_json::from_value(value).map_err(no_json)
}

fn malformed(what: &str, why: impl AsRef<str>) -> Refused {
    Refused::Malformed {
        what: what.to_owned(),
        why: Said::new(why.as_ref().as_bytes()),
    }
}
