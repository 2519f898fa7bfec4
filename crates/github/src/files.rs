//! Files: which ones a pull request touches, which ones a tree has, and what is in them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use preview_core::names::{BlobSha, PrNumber, TreeSha};
use preview_core::pulls::{ChangedFile, ChangedFiles, FileStatus};
use serde::Deserialize;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};

const READS_PULLS: &str = "pull-requests: read";
const READS_CONTENTS: &str = "contents: read";

/// The largest file that is read, in bytes: GitHub would send 100 MB, and nothing that we read is meant to be so large.
/// <https://docs.github.com/en/rest/git/blobs#get-a-blob>
const LARGEST_BLOB: u64 = 8 * 1024 * 1024;

/// A file that a change touches, as GitHub lists it of a pull request and of a comparison.
#[derive(Deserialize)]
pub(crate) struct TouchedFile {
    filename: String,
    previous_filename: Option<String>,
    status: FileStatus,
}

impl From<TouchedFile> for ChangedFile {
    fn from(file: TouchedFile) -> Self {
        Self {
            path: file.filename,
            previous_path: file.previous_filename,
            status: file.status,
        }
    }
}

#[derive(Deserialize)]
struct Tree {
    tree: Vec<Entry>,
    truncated: bool,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: String,
    /// Of a blob, of a tree, or of a submodule's commit.
    sha: BlobSha,
}

impl Tree {
    /// Mode and SHA of everything but folders, which are no more than what is in them.
    fn leaves(self) -> BTreeMap<String, (String, BlobSha)> {
        let leaves = self.tree.into_iter().filter(|entry| entry.mode != "040000");
        leaves
            .map(|entry| (entry.path, (entry.mode, entry.sha)))
            .collect()
    }
}

impl Entry {
    /// A file, executable or not; not a folder, a symbolic link or another repository's commit.
    /// <https://docs.github.com/en/rest/git/trees#create-a-tree>
    fn is_file(&self) -> bool {
        matches!(self.mode.as_str(), "100644" | "100755")
    }
}

#[derive(Deserialize)]
struct Blob {
    content: String,
    encoding: String,
    size: u64,
}

impl GitHub {
    /// The files that pull request `number` touches: what its head changed since it left its base.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A pull request that does not exist is one.
    pub async fn changed_files(&self, number: PrNumber) -> Result<ChangedFiles, Error> {
        let operation = format!(
            "list the files that pull request #{number} of {} touches",
            self.slug
        );
        let path = self.path(format_args!("/pulls/{number}/files"));
        let call = Call::get(path, operation, READS_PULLS);
        let files: Vec<TouchedFile> = self.transport.pages(&call).await?;
        Ok(ChangedFiles::new(
            files.into_iter().map(ChangedFile::from).collect(),
        ))
    }

    /// Every file of `tree`, in all its folders, with what is in it: sorted by path. Symbolic links and submodules are
    /// not among them.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A tree that does not exist is one, and so is one of which GitHub lists only a
    /// part (more than 100,000 entries or 7 MB): half a list would be read as files that are gone.
    pub async fn files_of_tree(&self, tree: &TreeSha) -> Result<Vec<(String, BlobSha)>, Error> {
        let call = self.listing(tree);
        let listed: Tree = self.transport.json(&call).await?;
        if listed.truncated {
            return Err(call.invalid(format!(
                "GitHub lists only {} of its entries, as it does beyond 100,000 or 7 MB; what is configured by patterns \
                 of paths cannot be used in a repository of this size",
                listed.tree.len()
            )));
        }
        let files = listed.tree.into_iter().filter(Entry::is_file);
        let mut files: Vec<_> = files.map(|entry| (entry.path, entry.sha)).collect();
        files.sort();
        Ok(files)
    }

    /// The paths, sorted, at which two trees do not have the same: files by content and mode, symbolic links and
    /// submodules. None where GitHub lists only a part of one of them (more than 100,000 entries or 7 MB).
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A tree that does not exist is one.
    pub async fn differing_paths(
        &self,
        one: &TreeSha,
        other: &TreeSha,
    ) -> Result<Option<Vec<String>>, Error> {
        if one == other {
            return Ok(Some(Vec::new()));
        }
        let (one, other) = (self.listing(one), self.listing(other));
        let listed = tokio::try_join!(
            self.transport.json::<Tree>(&one),
            self.transport.json::<Tree>(&other)
        )?;
        if listed.0.truncated || listed.1.truncated {
            return Ok(None);
        }
        let (one, other) = (listed.0.leaves(), listed.1.leaves());
        let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let differing = paths
            .into_iter()
            .filter(|path| one.get(*path) != other.get(*path));
        Ok(Some(differing.cloned().collect()))
    }

    fn listing(&self, tree: &TreeSha) -> Call {
        let operation = format!("list the files of tree {tree} of {}", self.slug);
        let path = self.path(format_args!("/git/trees/{tree}?recursive=1"));
        Call::get(path, operation, READS_CONTENTS)
    }

    /// What is in the file `blob`.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A blob that does not exist is one, and so is one of more than 8 MiB.
    pub async fn blob(&self, blob: &BlobSha) -> Result<Vec<u8>, Error> {
        let operation = format!("read file {blob} of {}", self.slug);
        let path = self.path(format_args!("/git/blobs/{blob}"));
        let call = Call::get(path, operation, READS_CONTENTS);
        let read: Blob = self.transport.json(&call).await?;
        if read.size > LARGEST_BLOB {
            return Err(call.invalid(format!(
                "it has {} bytes, and {LARGEST_BLOB} are the most that is read; keep something so large in an image",
                read.size
            )));
        }
        let unreadable = |message: String| {
            call.fails(Problem::Unreadable {
                message,
                passing: false,
            })
        };
        if read.encoding != "base64" {
            return Err(unreadable(format!("its encoding is {:?}", read.encoding)));
        }
        // GitHub breaks its lines.
        let digits: String = read.content.split_ascii_whitespace().collect();
        let bytes = STANDARD
            .decode(digits)
            .map_err(|why| unreadable(format!("its content is no base64: {why}")))?;
        if bytes.len() as u64 == read.size {
            Ok(bytes)
        } else {
            Err(unreadable(format!(
                "it is said to have {} bytes and has {}",
                read.size,
                bytes.len()
            )))
        }
    }
}
