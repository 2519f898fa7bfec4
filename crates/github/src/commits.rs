//! Git commits.

use jiff::Timestamp;
use preview_core::names::{CommitSha, TreeSha};
use preview_core::promote::{Gained, Titled};
use preview_core::pulls::{ChangedFiles, Commit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};
use crate::files::TouchedFile;
use crate::text::encoded;

const NEEDS: &str = "contents: read";

/// Commits that are named where a branch gained some.
const SHOWN: usize = 10;

/// A comparison lists no more files.
/// <https://docs.github.com/en/rest/commits/commits#compare-two-commits>
const FILES_OF_A_COMPARISON: usize = 300;

#[derive(Deserialize)]
struct Wire {
    sha: CommitSha,
    tree: Tree,
    parents: Vec<Parent>,
}

impl From<Wire> for Commit {
    fn from(wire: Wire) -> Self {
        Self {
            sha: wire.sha,
            tree: wire.tree.sha,
            parents: wire.parents.into_iter().map(|parent| parent.sha).collect(),
        }
    }
}

/// What a commit would bring to a branch, as one comparison tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The commit.
    pub commit: Commit,
    /// The commit that it and the branch have in common last.
    pub merge_base: CommitSha,
    /// The files that differ between the two; none where GitHub may not have listed all of them.
    pub files: Option<ChangedFiles>,
}

#[derive(Deserialize)]
struct Tree {
    sha: TreeSha,
}

#[derive(Deserialize)]
struct Parent {
    sha: CommitSha,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: String,
    object: Parent,
}

impl GitHub {
    /// The commit `sha` with its tree and parents; none where the repository has no such commit. It is asked for once.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn commit(&self, sha: &CommitSha) -> Result<Option<Commit>, Error> {
        if let Some(known) = self.known.commit(sha) {
            return Ok(Some(known));
        }
        let operation = format!("read commit {sha} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/git/commits/{sha}")),
            operation,
            NEEDS,
        );
        match self.transport.json_if_found::<Wire>(&call).await {
            Ok(wire) => {
                let commit = wire.map(Commit::from);
                commit
                    .iter()
                    .for_each(|commit| self.known.learn_commit(commit));
                Ok(commit)
            }
            // The SHA of something else, such as a tag object.
            Err(Error {
                problem: Problem::Refused { status: 422, .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What `sha` would bring to `branch`, by one request in place of those for the commit, for where it left the branch, and
    /// for the files. None where one does not tell: there is no such commit or branch, they have nothing in common, the
    /// branch has the commit already, or it has not more than 100 commits that the commit would bring.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn brought(&self, branch: &str, sha: &CommitSha) -> Result<Option<Brought>, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            merge_base_commit: Parent,
            commits: Vec<Listed>,
            #[serde(default)]
            files: Vec<TouchedFile>,
        }
        #[derive(Deserialize)]
        struct Listed {
            sha: CommitSha,
            commit: Inner,
            parents: Vec<Parent>,
        }
        #[derive(Deserialize)]
        struct Inner {
            tree: Tree,
        }
        let path = self.path(format_args!(
            "/compare/{}...{sha}?per_page=100",
            encoded(branch)
        ));
        let operation = format!("compare {branch:?} with {sha} of {}", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let Some(comparison) = self.transport.json_if_found::<Comparison>(&call).await? else {
            return Ok(None);
        };
        let Comparison {
            merge_base_commit: Parent { sha: merge_base },
            commits,
            files,
        } = comparison;
        // Oldest first.
        let Some(last) = commits
            .into_iter()
            .next_back()
            .filter(|last| last.sha == *sha)
        else {
            return Ok(None);
        };
        let commit = Commit::from(Wire {
            sha: last.sha,
            tree: last.commit.tree,
            parents: last.parents,
        });
        self.known.learn_commit(&commit);
        let are_all = files.len() < FILES_OF_A_COMPARISON;
        let files = are_all.then(|| ChangedFiles::new(files.into_iter().map(Into::into).collect()));
        Ok(Some(Brought {
            commit,
            merge_base,
            files,
        }))
    }

    /// The commit that `branch` and `commit` have in common last; none where they have no history in common.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A commit or branch that does not exist is one.
    pub async fn merge_base(
        &self,
        branch: &str,
        commit: &CommitSha,
    ) -> Result<Option<CommitSha>, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            merge_base_commit: Parent,
        }
        let call = self.comparison(branch, commit.as_str());
        let comparison: Option<Comparison> = self.compared(&call).await?;
        Ok(comparison.map(|comparison| comparison.merge_base_commit.sha))
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
        let call = self.comparison(commit.as_str(), tip);
        let Some(comparison) = self.compared::<Comparison>(&call).await? else {
            return Ok(false);
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

    /// When `sha` was committed; none where the repository has no such commit.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn committed_at(&self, sha: &CommitSha) -> Result<Option<Timestamp>, Error> {
        #[derive(Deserialize)]
        struct Committed {
            committer: Dated,
        }
        #[derive(Deserialize)]
        struct Dated {
            date: Timestamp,
        }
        let path = self.path(format_args!("/git/commits/{sha}"));
        let operation = format!("read when {sha} of {} was committed", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let committed: Option<Committed> = self.transport.json_if_found(&call).await?;
        Ok(committed.map(|committed| committed.committer.date))
    }

    /// What the branch that `merged` lies on had gained since `base` when it was merged, its own changes apart: those
    /// of the head `head`. None where the two have no history in common.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn gained(
        &self,
        base: &CommitSha,
        head: &CommitSha,
        merged: &Commit,
    ) -> Result<Option<Gained>, Error> {
        let Some(first) = merged.parents.first() else {
            return Ok(None);
        };
        let is_merge = merged.parents.len() > 1;
        let end = if is_merge { first } else { &merged.sha };
        let (Some(mut all), Some(own)) =
            tokio::try_join!(self.between(base, end), self.between(base, head))?
        else {
            return Ok(None);
        };
        if !is_merge {
            let titles = |commits: &[Titled]| -> Vec<String> {
                commits.iter().map(|commit| commit.title.clone()).collect()
            };
            let (own, landed) = (titles(&own.commits), titles(&all.commits));
            // Rebased, its commits are there one by one; squashed, they are one.
            let rebased = own.len() > 1 && landed.ends_with(&own);
            let brought = if rebased { own.len() } else { 1 };
            match all.more {
                0 => all
                    .commits
                    .truncate(all.commits.len().saturating_sub(brought)),
                more => all.more = more.saturating_sub(brought as u64),
            }
        }
        let shown = all.commits.len().min(SHOWN);
        all.more += (all.commits.len() - shown) as u64;
        all.commits.truncate(shown);
        Ok(Some(all))
    }

    /// The commits that `to` has and `from` has not, oldest first: the first 100, and how many more there are.
    async fn between(&self, from: &CommitSha, to: &CommitSha) -> Result<Option<Gained>, Error> {
        #[derive(Deserialize)]
        struct Comparison {
            total_commits: u64,
            commits: Vec<Listed>,
        }
        #[derive(Deserialize)]
        struct Listed {
            sha: CommitSha,
            commit: Message,
        }
        #[derive(Deserialize)]
        struct Message {
            message: String,
        }
        let path = self.path(format_args!("/compare/{from}...{to}?per_page=100"));
        let operation = format!("list the commits from {from} to {to} of {}", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let comparison: Option<Comparison> = self.compared(&call).await?;
        Ok(comparison.map(|comparison| {
            let commits: Vec<Titled> = comparison
                .commits
                .into_iter()
                .map(|listed| Titled {
                    sha: listed.sha,
                    title: listed
                        .commit
                        .message
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                })
                .collect();
            Gained {
                more: comparison
                    .total_commits
                    .saturating_sub(commits.len() as u64),
                commits,
            }
        }))
    }

    /// The commit at the end of `branch`; none where there is no such branch.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn branch_head(&self, branch: &str) -> Result<Option<CommitSha>, Error> {
        let parts: Vec<String> = branch.split('/').map(encoded).collect();
        let path = self.path(format_args!("/git/ref/heads/{}", parts.join("/")));
        let operation = format!("read the branch {branch:?} of {}", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let reference: Option<Reference> = self.transport.json_if_found(&call).await?;
        Ok(reference.map(|reference| reference.object.sha))
    }

    /// The commits at the end of the branches whose names begin with `prefix`.
    /// <https://docs.github.com/en/rest/git/refs#list-matching-references>
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn heads_below(&self, prefix: &str) -> Result<Vec<CommitSha>, Error> {
        // A / between two parts is none within one, and one at the end may get lost: the answer is looked through again.
        let parts: Vec<String> = prefix.split('/').map(encoded).collect();
        let path = self.path(format_args!("/git/matching-refs/heads/{}", parts.join("/")));
        let operation = format!("list the branches {prefix}… of {}", self.slug);
        let call = Call::get(path, operation, NEEDS);
        let references: Vec<Reference> = self.transport.linked(&call).await?;
        let begin = format!("refs/heads/{prefix}");
        let heads = references
            .into_iter()
            .filter(|reference| reference.name.starts_with(&begin));
        Ok(heads.map(|reference| reference.object.sha).collect())
    }

    /// Compares two commits or branches. One commit per page: the commits between them are not read.
    fn comparison(&self, from: &str, to: &str) -> Call {
        let path = self.path(format_args!(
            "/compare/{}...{}?per_page=1",
            encoded(from),
            encoded(to)
        ));
        let operation = format!("compare {from:?} with {to:?} of {}", self.slug);
        Call::get(path, operation, NEEDS)
    }

    /// The answer; none where both exist and have no history in common.
    async fn compared<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, Error> {
        match self.transport.json(call).await {
            Ok(comparison) => Ok(Some(comparison)),
            Err(Error {
                problem: Problem::NotFound { message },
                ..
            }) if message.starts_with("No common ancestor") => Ok(None),
            Err(error) => Err(error),
        }
    }
}
