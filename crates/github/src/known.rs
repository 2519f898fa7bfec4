//! What a client has learned, and need not ask for again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use preview_core::names::{CommitSha, PrNumber};
use preview_core::pulls::Commit;

use crate::comments::Comment;

/// What GitHub has told this client once.
#[derive(Debug, Default)]
pub(crate) struct Known {
    commits: Mutex<BTreeMap<CommitSha, Commit>>,
    /// Ours, by their hidden marker, as they were when they were read or written last.
    comments: Mutex<BTreeMap<(PrNumber, String), Comment>>,
}

impl Known {
    /// A commit that was read before: its SHA is the hash of all that it is, so it cannot have changed.
    pub(crate) fn commit(&self, sha: &CommitSha) -> Option<Commit> {
        locked(&self.commits).get(sha).cloned()
    }

    pub(crate) fn learn_commit(&self, commit: &Commit) {
        locked(&self.commits).insert(commit.sha.clone(), commit.clone());
    }

    /// Our comment, as this client knows it: somebody may have changed or deleted it since.
    pub(crate) fn comment(&self, pr: PrNumber, marker: &str) -> Option<Comment> {
        locked(&self.comments)
            .get(&(pr, marker.to_owned()))
            .cloned()
    }

    /// Keeps which comment is ours; none where there is none.
    pub(crate) fn learn_comment(&self, pr: PrNumber, marker: &str, comment: Option<&Comment>) {
        let key = (pr, marker.to_owned());
        let mut comments = locked(&self.comments);
        match comment {
            Some(comment) => comments.insert(key, comment.clone()),
            None => comments.remove(&key),
        };
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
