//! People: what they may do, and how a comment of theirs is answered at once.

use jiff::Timestamp;
use preview_core::deploy::Said;
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

#[derive(Deserialize)]
struct SaidWire {
    issue_url: String,
    body: Option<String>,
    user: Option<UserWire>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An account, as GitHub writes it wherever it names one.
#[derive(Deserialize)]
pub(crate) struct UserWire {
    pub(crate) login: String,
    /// `User`, `Bot`, `Organization`, `Mannequin`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
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

    /// The comment `id` of a pull request as it reads now, with what its author may do now; none where it is gone.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn said(&self, id: u64) -> Result<Option<Said>, Error> {
        let call = Call::get(
            self.path(format_args!("/issues/comments/{id}")),
            format!("read comment {id} of {}", self.slug),
            "pull-requests: read",
        );
        let Some(wire) = self.transport.json_if_found::<SaidWire>(&call).await? else {
            return Ok(None);
        };
        // It ends with the number of the pull request.
        let number = wire.issue_url.rsplit('/').next().unwrap_or_default();
        let Ok(number) = number.parse() else {
            return Ok(None);
        };
        let may_write = match &wire.user {
            Some(user) => self.may_write(&user.login).await?,
            None => false,
        };
        Ok(Some(Said {
            is_by_bot: wire.user.as_ref().is_some_and(|user| user.kind == "Bot"),
            login: wire.user.map(|user| user.login),
            may_write,
            number,
            body: wire.body.unwrap_or_default(),
            at: wire.created_at,
            is_edited: wire.updated_at != wire.created_at,
        }))
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
