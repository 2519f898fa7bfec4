//! Git commits.

use preview_core::names::{CommitSha, TreeSha};
use preview_core::pulls::Commit;
use serde::Deserialize;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};
use crate::text::encoded;

const NEEDS: &str = "contents: read";

#[derive(Deserialize)]
struct Wire {
    sha: CommitSha,
    tree: Tree,
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Tree {
    sha: TreeSha,
}

#[derive(Deserialize)]
struct Parent {
    sha: CommitSha,
}

impl GitHub {
    /// The commit `sha` with its tree and parents; none where the repository has no such commit.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn commit(&self, sha: &CommitSha) -> Result<Option<Commit>, Error> {
        let operation = format!("read commit {sha} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/git/commits/{sha}")),
            operation,
            NEEDS,
        );
        match self.transport.json_if_found::<Wire>(&call).await {
            Ok(wire) => Ok(wire.map(|wire| Commit {
                sha: wire.sha,
                tree: wire.tree.sha,
                parents: wire.parents.into_iter().map(|parent| parent.sha).collect(),
            })),
            // The SHA of something else, such as a tag object.
            Err(Error {
                problem: Problem::Refused { status: 422, .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether `commit` is reachable from `tip`, a branch's name or a commit: it is the tip or one of its ancestors.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A commit or branch that does not exist is one.
    pub async fn is_ancestor(&self, commit: &CommitSha, tip: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            status: String,
        }
        // One commit per page: only the verdict is read.
        let path = self.path(format_args!(
            "/compare/{commit}...{}?per_page=1",
            encoded(tip)
        ));
        let operation = format!("compare commit {commit} with {tip:?} of {}", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let comparison: Comparison = match self.transport.json(&call).await {
            Ok(comparison) => comparison,
            // Both exist and share no history.
            Err(Error {
                problem: Problem::NotFound { message },
                ..
            }) if message.starts_with("No common ancestor") => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        match comparison.status.as_str() {
            // The tip is ahead of the commit: the commit lies in its past.
            "ahead" | "identical" => Ok(true),
            "behind" | "diverged" => Ok(false),
            other => Err(call.fails(Problem::Unreadable {
                message: format!("it gives the status {other:?}"),
                passing: false,
            })),
        }
    }
}
