//! OCI layouts that somebody else wrote: what may stand in one, and what of it is an image.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>
//!
//! The author of a pull request may have written every byte of it. So an entry is taken by its kind, name and size before any
//! of it is read, a blob by its hash before any of it is interpreted, and of all that only what the one image refers to: an
//! allow-list each time. Nothing is ever decompressed or given a name on a disk.

mod image;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::names::{Digest, hex};

pub use image::{Image, Part, Piece};
pub use refused::{Refused, Said};

/// Registries take manifests of at most so many bytes.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
pub const LARGEST_MANIFEST: u64 = 4 << 20;

/// A config is text of a few KiB; one with a long history may have more. In bytes.
pub const LARGEST_CONFIG: u64 = 8 << 20;

/// How large a layout may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries, folders too.
    pub entries: usize,
    /// The most bytes of one entry.
    pub blob: u64,
    /// The most bytes of all entries together.
    pub whole: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1000,
            blob: 2 << 30,
            whole: 4 << 30,
        }
    }
}

/// An entry of an archive or a folder, before any of it is read.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name, as it stands there.
    pub name: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// How many bytes it claims to have.
    pub size: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// Anything else; this is what, with its article.
    Other(&'static str),
}

/// What an entry stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of a layout.
    Folder,
    /// The file that makes it a layout.
    Mark,
    /// `index.json`, which names the image.
    Index,
    /// What other programs read, and we do not.
    Ignored,
    /// A blob that is to have this digest.
    Blob(Digest),
}

/// What was found in a layout so far.
#[derive(Debug)]
pub struct Contents {
    limits: Limits,
    entries: usize,
    bytes: u64,
    names: BTreeSet<String>,
    blobs: BTreeMap<Digest, u64>,
}

impl Contents {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: 0,
            bytes: 0,
            names: BTreeSet::new(),
            blobs: BTreeMap::new(),
        }
    }

    /// What the next entry stands for.
    ///
    /// # Errors
    /// When a layout has no such entry, or it goes beyond a limit.
    pub fn admit(&mut self, entry: Entry<'_>) -> Result<Place, Refused> {
        let shown = Said::new(entry.name);
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Refused::Entries(self.limits.entries));
        }
        if let EntryKind::Other(kind) = entry.kind {
            return Err(Refused::Kind { name: shown, kind });
        }
        let place = place(entry).ok_or_else(|| Refused::Name(shown.clone()))?;
        let most = match place {
            Place::Folder => 0,
            Place::Mark | Place::Index | Place::Ignored => LARGEST_MANIFEST.min(self.limits.blob),
            Place::Blob(_) => self.limits.blob,
        };
        let size = entry.size;
        if size > most {
            return Err(Refused::Large {
                name: shown,
                size,
                most,
                is_blob: matches!(place, Place::Blob(_)),
            });
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.whole {
            return Err(Refused::Whole(self.limits.whole));
        }
        if !self.names.insert(plain(entry.name).to_owned()) {
            return Err(Refused::Twice(shown));
        }
        Ok(place)
    }

    /// A blob was read to its end: its bytes have the digest `actual`, and its name says `claimed`.
    ///
    /// # Errors
    /// When these are two.
    pub fn hashed(&mut self, claimed: Digest, actual: Digest, size: u64) -> Result<(), Refused> {
        if claimed != actual {
            return Err(Refused::OtherDigest { claimed, actual });
        }
        self.blobs.insert(claimed, size);
        Ok(())
    }

    /// The image that `index` (of `index.json`) names, once everything was admitted and hashed. `document` gives the bytes of
    /// a manifest or a config that is there.
    ///
    /// # Errors
    /// When it is no image that is whole, or `document` fails.
    pub fn image<E: From<Refused>>(
        &self,
        index: Option<&[u8]>,
        document: impl FnMut(&Piece) -> Result<Vec<u8>, E>,
    ) -> Result<Image, E> {
        if !self.names.contains(MARK) {
            return Err(Refused::Lacks(MARK).into());
        }
        let index = index.ok_or(Refused::Lacks(INDEX))?;
        image::read(&self.blobs, index, document)
    }
}

const MARK: &str = "oci-layout";
const INDEX: &str = "index.json";
/// Docker's own index, which BuildKit writes beside.
/// <https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format>
const IGNORED: [&str; 2] = ["manifest.json", "repositories"];

fn place(entry: Entry<'_>) -> Option<Place> {
    let name = plain(entry.name);
    let is_folder = entry.kind == EntryKind::Folder;
    match name {
        "" | "blobs" | "blobs/sha256" if is_folder => Some(Place::Folder),
        _ if is_folder => None,
        MARK => Some(Place::Mark),
        INDEX => Some(Place::Index),
        name if IGNORED.contains(&name) => Some(Place::Ignored),
        name => {
            let digits = name.strip_prefix("blobs/sha256/")?;
            format!("sha256:{digits}").parse().ok().map(Place::Blob)
        }
    }
}

/// The name without what tar puts around it: `./` before, and `/` behind a folder. What is no text is no name of ours.
fn plain(name: &[u8]) -> &str {
    let name = std::str::from_utf8(name).unwrap_or("?");
    let name = name.strip_suffix('/').unwrap_or(name);
    match name {
        "." => "",
        name => name.strip_prefix("./").unwrap_or(name),
    }
}

/// Hashes bytes as they come.
#[derive(Clone, Debug, Default)]
pub struct Hashing(Sha256);

impl Hashing {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them.
    #[must_use]
    pub fn digest(self) -> Digest {
        let text = format!("sha256:{}", hex(&self.0.finalize()));
        text.parse()
            .unwrap_or_else(|_| unreachable!("it is written as a digest is"))
    }
}
