//! The one comment on a pull request that is kept up to date.

use preview_core::names::PrNumber;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;
use crate::people::UserWire;
use crate::text::head_of;

/// Bytes a comment may have; GitHub refuses more than 65,536 characters.
pub const COMMENT_BUDGET: usize = 60_000;

/// Comments of a pull request belong to the issue of the same number.
const NEEDS: &str = "pull-requests: write";

/// A comment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: u64,
    /// Its page for people.
    pub url: String,
    /// Its Markdown, marker included.
    pub body: String,
}

/// What became of the comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It said something else.
    Updated,
    /// It says this already.
    Unchanged,
}

/// The comment as it is now, and what was done for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentOutcome {
    /// The comment.
    pub comment: Comment,
    /// What was done.
    pub change: Change,
}

#[derive(Deserialize)]
struct Wire {
    id: u64,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    user: Option<UserWire>,
}

impl UserWire {
    /// Whether this is the account that GraphQL calls `viewer`. GraphQL names a bot with or without the suffix that
    /// REST always gives it.
    fn is(&self, viewer: &str) -> bool {
        let bot_of_that_name =
            || self.kind == "Bot" && self.login.strip_suffix("[bot]") == Some(viewer);
        self.login == viewer || bot_of_that_name()
    }
}

impl From<Wire> for Comment {
    fn from(wire: Wire) -> Self {
        Self {
            id: wire.id,
            url: wire.html_url,
            body: wire.body.unwrap_or_default(),
        }
    }
}

impl GitHub {
    /// Our comment with this hidden marker on a pull request, looked for on all pages; the oldest, should there be two.
    ///
    /// Ours is one that this token's account wrote: others can copy the marker.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn comment(&self, pr: PrNumber, marker: &str) -> Result<Option<Comment>, Error> {
        let viewer = self.login().await?;
        let operation = format!("read the comments of pull request #{pr} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/issues/{pr}/comments")),
            operation,
            "pull-requests: read",
        );
        let comments: Vec<Wire> = self.transport.pages(&call).await?;
        let ours = comments.into_iter().find(|comment| {
            comment
                .user
                .as_ref()
                .is_some_and(|author| author.is(viewer))
                && comment
                    .body
                    .as_ref()
                    .is_some_and(|body| body.contains(marker))
        });
        let ours = ours.map(Comment::from);
        self.known.learn_comment(pr, marker, ours.as_ref());
        Ok(ours)
    }

    /// Makes our comment with this hidden marker say `body`: creates it, changes it, or leaves it when it says so
    /// already (a change notifies nobody). Two that create it at the same time leave one. It is looked for once: later writes
    /// of this client go to the one that was found, unless that is gone.
    ///
    /// The marker is put before the body where the body does not hold it. A body beyond [`COMMENT_BUDGET`] is cut, and
    /// says so.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn upsert_comment(
        &self,
        pr: PrNumber,
        marker: &str,
        body: &str,
    ) -> Result<CommentOutcome, Error> {
        let fitted = fitted(marker, body);
        let known = self.known.comment(pr, marker);
        // What says this already as far as is known may have been changed since: that takes a look.
        if let Some(known) = known.filter(|known| !same_text(&known.body, &fitted))
            && let Some(written) = self.rewrite_comment(pr, marker, known, &fitted).await?
        {
            return Ok(written);
        }
        let body = |_: Option<&str>| body.to_owned();
        self.upsert_comment_with(pr, marker, body).await
    }

    /// As [`Self::upsert_comment`], with a body that keeps something of what the comment says: `body` is given that as it is
    /// read right before the write, and none where there is no comment. GitHub has no condition for the write: what somebody
    /// writes between the two is lost.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn upsert_comment_with(
        &self,
        pr: PrNumber,
        marker: &str,
        body: impl Fn(Option<&str>) -> String + Send,
    ) -> Result<CommentOutcome, Error> {
        let found = self.comment(pr, marker).await?;
        if let Some(old) = found {
            let body = fitted(marker, &body(Some(&old.body)));
            if let Some(written) = self.rewrite_comment(pr, marker, old, &body).await? {
                return Ok(written);
            }
        }
        let first = fitted(marker, &body(None));
        let made = self.create_comment(pr, marker, &first).await?;
        // Another run may have found none at the same time.
        let oldest = self.comment(pr, marker).await?;
        if let Some(older) = oldest.filter(|oldest| oldest.id != made.id) {
            self.delete_comment(pr, made.id).await?;
            let body = fitted(marker, &body(Some(&older.body)));
            if let Some(written) = self.rewrite_comment(pr, marker, older, &body).await? {
                return Ok(written);
            }
        }
        Ok(CommentOutcome {
            comment: made,
            change: Change::Created,
        })
    }

    /// Makes the comment `old` say `body`; none where it is gone.
    async fn rewrite_comment(
        &self,
        pr: PrNumber,
        marker: &str,
        old: Comment,
        body: &str,
    ) -> Result<Option<CommentOutcome>, Error> {
        if same_text(&old.body, body) {
            return Ok(Some(CommentOutcome {
                comment: old,
                change: Change::Unchanged,
            }));
        }
        let operation = format!(
            "update comment {} on pull request #{pr} of {}",
            old.id, self.slug
        );
        let call = Call::patch(
            self.path(format_args!("/issues/comments/{}", old.id)),
            operation,
            NEEDS,
        )
        .with(&json!({ "body": body }))?;
        let wire: Option<Wire> = self.transport.json_if_found(&call).await?;
        let now = wire.map(Comment::from);
        self.known.learn_comment(pr, marker, now.as_ref());
        Ok(now.map(|comment| CommentOutcome {
            comment,
            change: Change::Updated,
        }))
    }

    async fn delete_comment(&self, pr: PrNumber, id: u64) -> Result<(), Error> {
        let call = Call::delete(
            self.path(format_args!("/issues/comments/{id}")),
            format!("delete comment {id} on pull request #{pr} of {}", self.slug),
            NEEDS,
        );
        self.transport.done(&call).await.map(drop)
    }

    async fn create_comment(
        &self,
        pr: PrNumber,
        marker: &str,
        body: &str,
    ) -> Result<Comment, Error> {
        let operation = format!("comment on pull request #{pr} of {}", self.slug);
        let call = Call::post(
            self.path(format_args!("/issues/{pr}/comments")),
            operation,
            NEEDS,
        )
        .with(&json!({ "body": body }))?;
        self.transport
            .create::<Wire, _, _>(&call, || self.comment(pr, marker))
            .await
    }

    /// The login of the token's account; of a bot as GraphQL names it, with or without the suffix. Installation tokens,
    /// `GITHUB_TOKEN` among them, may not ask `GET /user`; where the token has created something before, its creator was told
    /// ([`Self::is_known_as`]).
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn login(&self) -> Result<&str, Error> {
        #[derive(Deserialize)]
        struct Data {
            viewer: Viewer,
        }
        #[derive(Deserialize)]
        struct Viewer {
            login: String,
        }
        let ask = || async {
            let data: Data = self
                .transport
                .graphql(
                    "query { viewer { login } }",
                    serde_json::json!({}),
                    "metadata: read",
                    "ask GitHub whose token this is",
                )
                .await?;
            Ok(data.viewer.login)
        };
        Ok(self.login.get_or_try_init(ask).await?)
    }

    /// Keeps whose token this is: `login` has created what this client has just created.
    pub(crate) fn is_known_as(&self, login: &str) {
        // Whoever has asked already was told the same.
        let _ = self.login.set(login.to_owned());
    }
}

/// Whether two bodies read the same: GitHub may store other line ends and no blank ends.
fn same_text(a: &str, b: &str) -> bool {
    a.trim_end().lines().eq(b.trim_end().lines())
}

/// The body with its marker first and within the budget.
fn fitted(marker: &str, body: &str) -> String {
    let whole = if body.contains(marker) {
        body.to_owned()
    } else {
        format!("{marker}\n{body}")
    };
    if whole.len() <= COMMENT_BUDGET {
        return whole;
    }
    let bytes = whole.len();
    // The marker might stand in the part that is cut off.
    let rest = whole.replacen(marker, "", 1);
    let note = format!(
        "\n\n*Cut here: the whole has {bytes} bytes, more than fit in a comment. See the job summary.*\n"
    );
    // Room for the marker, the note, and what closes open blocks.
    let kept = head_of(
        rest.trim_start(),
        COMMENT_BUDGET - marker.len() - note.len() - 200,
    );
    format!("{marker}\n{kept}{}{note}", closing(kept))
}

/// What closes the code block and the folded sections that the cut left open, lest they swallow the note.
fn closing(kept: &str) -> String {
    let fences = kept
        .lines()
        .filter(|line| line.trim_start().starts_with("```"))
        .count();
    let open = kept
        .matches("<details")
        .count()
        .saturating_sub(kept.matches("</details>").count());
    let fence = if fences % 2 == 1 { "\n```" } else { "" };
    format!("{fence}{}", "\n</details>".repeat(open.min(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "<!-- preview -->";

    fn author(login: &str, kind: &str) -> UserWire {
        UserWire {
            login: login.into(),
            kind: kind.into(),
        }
    }

    #[test]
    fn a_bot_is_recognised_under_either_of_its_names_and_nobody_else() {
        assert!(author("github-actions[bot]", "Bot").is("github-actions[bot]"));
        assert!(author("github-actions[bot]", "Bot").is("github-actions"));
        assert!(author("maria", "User").is("maria"));
        assert!(!author("maria[bot]", "User").is("maria"));
        assert!(!author("mallory", "User").is("maria"));
    }

    #[test]
    fn a_comment_that_is_too_long_keeps_its_marker_and_closes_what_it_opened() {
        let body = format!(
            "<details>\n\n```\n{}\n```\n</details>\n{MARKER}",
            "ä".repeat(40_000)
        );
        let cut = fitted(MARKER, &body);
        assert!(cut.len() <= COMMENT_BUDGET, "{}", cut.len());
        assert!(cut.starts_with(MARKER));
        let end = &cut[cut.find("\n```\n</details>").unwrap()..];
        insta::assert_snapshot!(end.trim(), @r"
        ```
        </details>

        *Cut here: the whole has 80047 bytes, more than fit in a comment. See the job summary.*
        ");
    }

    #[test]
    fn a_comment_that_fits_is_left_alone_but_for_its_marker() {
        assert_eq!(fitted(MARKER, "hello"), "<!-- preview -->\nhello");
        assert_eq!(
            fitted(MARKER, "<!-- preview -->\nhello"),
            "<!-- preview -->\nhello"
        );
        assert!(same_text("a\r\nb\n", "a\nb"));
        assert!(!same_text("a\nb", "a\n\nb"));
    }
}
