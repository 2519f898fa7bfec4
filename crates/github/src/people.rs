//! People: what they may do, and how a comment of theirs is answered at once.

use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;
use crate::text::encoded;

/// A reaction to a comment.
/// <https://docs.github.com/en/rest/reactions/reactions#about-reactions>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// 👀: it was taken.
    Eyes,
    /// 👍: it was done.
    Yes,
    /// 👎: a rule says no.
    No,
    /// 😕: it is not clear, or failed.
    Confused,
}

impl Reaction {
    const fn content(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Yes => "+1",
            Self::No => "-1",
            Self::Confused => "confused",
        }
    }
}

impl GitHub {
    /// Whether the account `login` may write to the repository now. What an event tells of that (`author_association`) is as
    /// old as the event, and calls a member of the organisation one whatever they may do here.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn may_write(&self, login: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Wire {
            /// `admin`, `write`, `read` or `none`: `maintain` counts as write, `triage` as read.
            permission: String,
        }
        let login = encoded(login);
        let call = Call::get(
            self.path(format_args!("/collaborators/{login}/permission")),
            format!("read what {login} may do in {}", self.slug),
            "metadata: read",
        );
        let wire: Option<Wire> = self.transport.json_if_found(&call).await?;
        Ok(wire.is_some_and(|wire| matches!(wire.permission.as_str(), "admin" | "write")))
    }

    /// Reacts to the comment `id` of a pull request; nothing where the comment is gone. The same reaction twice is one.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn react(&self, id: u64, reaction: Reaction) -> Result<(), Error> {
        let call = Call::post(
            self.path(format_args!("/issues/comments/{id}/reactions")),
            format!("react to comment {id} of {}", self.slug),
            "issues: write, pull-requests: write",
        )
        .with(&json!({ "content": reaction.content() }))?;
        self.transport.done(&call).await.map(drop)
    }
}
