//! Why a layout is not taken.

use std::fmt;

use crate::names::Digest;

/// Something that the author of a layout wrote, to be shown: quoted, with what is no plain text escaped, and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// What was written.
    #[must_use]
    pub fn new(written: &[u8]) -> Self {
        Self(String::from_utf8_lossy(written).chars().take(100).collect())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Why a layout is not taken: which of its entries, and what is wrong with that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whoever decompresses it does not know how large it gets.
    #[error("it is compressed as a whole, with {0}; give the archive as it was before")]
    Compressed(&'static str),
    /// It cannot be read as one.
    #[error("it is no tar archive: {0}")]
    NotAnArchive(Said),
    /// It is neither a file nor a folder.
    #[error("its entry {name} is {kind}, and a layout has files and folders alone")]
    Kind {
        /// The entry.
        name: Said,
        /// What it is.
        kind: &'static str,
    },
    /// A layout has no such entry.
    #[error(
        "its entry {0} is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits"
    )]
    Name(Said),
    /// Which of them counts is anybody's guess.
    #[error("its entry {0} is there twice")]
    Twice(Said),
    /// There are too many.
    #[error("it has more than {0} entries, the most that pull_requests.import.entries allows")]
    Entries(usize),
    /// One is too large.
    #[error(
        "its entry {name} has {size} bytes, and may have {most}{}",
        if *is_blob { " (pull_requests.import.blob)" } else { "" }
    )]
    Large {
        /// The entry.
        name: Said,
        /// How many it claims to have.
        size: u64,
        /// How many it may have.
        most: u64,
        /// Whether that is what is configured for blobs.
        is_blob: bool,
    },
    /// All together are too large.
    #[error(
        "its entries have more than {0} bytes together, the most that pull_requests.import.whole allows"
    )]
    Whole(u64),
    /// It ends in the middle.
    #[error("its entry {name} breaks off before it has its {size} bytes")]
    Broken {
        /// The entry.
        name: Said,
        /// How many it claims to have.
        size: u64,
    },
    /// A blob holds something else than its name says.
    #[error("its blob {claimed} holds something else, whose digest is {actual}")]
    OtherDigest {
        /// What its name says.
        claimed: Digest,
        /// What its bytes say.
        actual: Digest,
    },
    /// A file is not there that makes it a layout.
    #[error("it has no {0}, so it is no OCI layout")]
    Lacks(&'static str),
    /// Something refers to a blob that is not there.
    #[error("it lacks {what}, which {by} refers to")]
    Missing {
        /// The blob.
        what: String,
        /// Who refers to it.
        by: String,
    },
    /// A blob has another size than who refers to it says.
    #[error("{what} has {actual} bytes, and {by} says {said}")]
    OtherSize {
        /// The blob.
        what: String,
        /// Its size.
        actual: u64,
        /// Who refers to it.
        by: String,
        /// The size there.
        said: u64,
    },
    /// A document that has to be read is too large for that.
    #[error("{what} has {size} bytes, and registries take {most}")]
    LargeDocument {
        /// The document.
        what: String,
        /// Its size.
        size: u64,
        /// What it may have.
        most: u64,
    },
    /// It is not what the specification describes.
    #[error("{what} is not what it should be: {why}")]
    Malformed {
        /// The document.
        what: String,
        /// What is wrong with it.
        why: Said,
    },
    /// It is of a type that is not on the list.
    #[error("{by} refers to {digest} as {media_type}, and here may stand {may}")]
    MediaType {
        /// Who refers to it.
        by: String,
        /// To what.
        digest: Digest,
        /// As what.
        media_type: Said,
        /// What may stand there.
        may: &'static str,
    },
    /// It has bytes that no registry keeps: a node would fetch them from wherever it says.
    #[error("{by} has {digest} fetched from {url}; build it with all its layers in it")]
    Elsewhere {
        /// Who refers to it.
        by: String,
        /// To what.
        digest: Digest,
        /// From where.
        url: Said,
    },
    /// An image is an index over manifests, or one manifest.
    #[error("{0} is an index in an index, and images have one index at the most")]
    Nested(String),
    /// It does not name one image.
    #[error("index.json names {0} images, and a layout is taken for one component")]
    NotOne(usize),
    /// It has no platform that could run.
    #[error("{0} lists no image of any platform")]
    Empty(String),
    /// It does not say one commit.
    #[error(
        "it names {0} as what it was built from; set the label org.opencontainers.image.revision to the one commit that was \
         built"
    )]
    Revision(String),
}
