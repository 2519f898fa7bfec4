//! Commit statuses: the small marks beside a commit that branch protection can require.

use preview_core::names::CommitSha;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;
use crate::text::clipped;

/// Characters of a status's description.
const DESCRIPTION_LIMIT: usize = 140;

/// How a check of ours turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// It could not be made.
    Error,
    /// It failed.
    Failure,
    /// It is under way.
    Pending,
    /// It succeeded.
    Success,
}

/// A status of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// Which check it is, such as `preview/promotable`; a later status of the same context replaces an earlier one.
    pub context: String,
    /// How it turned out.
    pub state: CommitState,
    /// For people; cut at 140 characters when it is set.
    pub description: String,
    /// Where more is to be read.
    pub target_url: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    context: String,
    state: CommitState,
    description: Option<String>,
    target_url: Option<String>,
}

impl From<Wire> for CommitStatus {
    fn from(wire: Wire) -> Self {
        Self {
            context: wire.context,
            state: wire.state,
            description: wire.description.unwrap_or_default(),
            target_url: wire.target_url.filter(|url| !url.is_empty()),
        }
    }
}

impl GitHub {
    /// Sets a status of `commit`.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn set_status(&self, commit: &CommitSha, status: &CommitStatus) -> Result<(), Error> {
        let wanted = CommitStatus {
            description: clipped(&status.description, DESCRIPTION_LIMIT),
            ..status.clone()
        };
        let mut body = json!({
            "context": wanted.context,
            "state": wanted.state,
            "description": wanted.description,
        });
        if let Some(url) = &wanted.target_url {
            body["target_url"] = json!(url);
        }
        let operation = format!(
            "set the status {:?} of commit {commit} of {}",
            wanted.context, self.slug
        );
        let call = Call::post(
            self.path(format_args!("/statuses/{commit}")),
            operation,
            "statuses: write",
        )
        .with(&body)?;
        let read_back = || async {
            let newest = self
                .statuses(commit)
                .await?
                .into_iter()
                .find(|status| status.context == wanted.context);
            Ok(newest.filter(|newest| *newest == wanted))
        };
        self.transport
            .create::<Wire, CommitStatus, _>(&call, read_back)
            .await?;
        Ok(())
    }

    /// All statuses that were ever set on `commit`, newest first.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn statuses(&self, commit: &CommitSha) -> Result<Vec<CommitStatus>, Error> {
        let operation = format!("list the statuses of commit {commit} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/commits/{commit}/statuses")),
            operation,
            "statuses: read",
        );
        let wires: Vec<Wire> = self.transport.pages(&call).await?;
        Ok(wires.into_iter().map(CommitStatus::from).collect())
    }
}
