//! What the comment tells of an approval that is waited for, or that nobody gave.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::{State, display_name, list, tells_of_destruction};
use crate::approvals::Cancelled;
use crate::markdown::{code, link};
use crate::names::{CommitSha, ComponentName, PinnedImage};

/// What the line begins with that tells, under another status, of a run that waits for approval, or has waited.
const APPROVAL: &str = "**Approval**: ";

/// An approval that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// The commit H.
    pub head: CommitSha,
    /// What would run; empty where it is built only after the approval.
    pub images: BTreeMap<ComponentName, PinnedImage>,
    /// Who may approve: logins of people, and names of teams.
    pub reviewers: Vec<String>,
    /// The run's page; none outside Actions.
    pub page: Option<String>,
    /// When a sweep cancels it.
    pub until: Timestamp,
}

impl Asks {
    pub(super) fn markdown(&self) -> String {
        let head = self.head.short();
        let mut out = String::new();
        let _ = match self.images.is_empty() {
            true => writeln!(
                out,
                "Somebody has to look at {head} and approve it. Its images are built only then, so what is approved is the commit."
            ),
            false => writeln!(
                out,
                "Somebody has to look at {head} and approve it; then exactly these images run:\n"
            ),
        };
        let images = self.images.iter();
        let images = images.map(|(component, image)| {
            let image = code(&image.to_string());
            format!("{}: {image}", display_name(component))
        });
        list(&mut out, images);
        let until = self.until();
        let _ = writeln!(
            out,
            "\n**Who may approve**: {}\n**Until**: {until}, when a sweep cancels the run; a push needs an approval of its own",
            self.who()
        );
        out
    }

    fn who(&self) -> String {
        let names: Vec<String> = self.reviewers.iter().map(|name| code(name)).collect();
        let names = names.join(", ");
        match &self.page {
            Some(page) => format!("{names}, on {}", link("the page of the run", page)),
            None => names,
        }
    }

    fn until(&self) -> impl fmt::Display {
        self.until.strftime("%Y-%m-%d %H:%M UTC")
    }
}

/// One line of Markdown.
impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.images.iter();
        let images = images.map(|(component, image)| {
            let image = code(&image.to_string());
            format!("{} {image}", display_name(component))
        });
        let images: Vec<String> = images.collect();
        let what = match images.is_empty() {
            true => "its images are built only then".to_owned(),
            false => format!("it would run {}", images.join(", ")),
        };
        write!(
            f,
            "{} waits until {} for {}; {what}.",
            self.head.short(),
            self.until(),
            self.who()
        )
    }
}

/// A comment that tells how something else is, telling in addition that an approval is waited for; none where `body` tells of
/// nothing but approvals or that the preview is gone, and may be written anew.
#[must_use]
pub fn with_asks(body: &str, asks: &Asks) -> Option<String> {
    let is_gone = tells_of_destruction(body);
    (!is_gone && !tells_of_approval(body)).then(|| with_approval(body, asks))
}

/// A comment that tells how something else is, telling in addition that a run which waited for approval was cancelled; none
/// where `body` tells of nothing but such a run, and may be written anew.
///
/// What it says stays: the preview of an earlier head may serve, and a later run writes the whole comment.
#[must_use]
pub fn with_cancelled(body: &str, cancelled: &Cancelled) -> Option<String> {
    let is_of_it = body.contains(&format!("**Commit**: {}\n", cancelled.head.short()));
    let may_go = status(body).is_some_and(|status| {
        status.ends_with(State::NOT_APPROVED)
            || status.ends_with(State::AWAITING_APPROVAL) && is_of_it
    });
    (!may_go).then(|| with_approval(body, cancelled))
}

fn status(body: &str) -> Option<&str> {
    body.lines().find(|line| line.starts_with("**Status**: "))
}

fn tells_of_approval(body: &str) -> bool {
    status(body).is_some_and(|status| {
        [State::NOT_APPROVED, State::AWAITING_APPROVAL]
            .iter()
            .any(|told| status.ends_with(told))
    })
}

fn with_approval(body: &str, told: impl fmt::Display) -> String {
    let mut lines: Vec<&str> = body.lines().collect();
    let status = lines
        .iter()
        .position(|line| line.starts_with("**Status**: "));
    let told = format!("{APPROVAL}{told}");
    let below = status.map_or(lines.len(), |at| at + 1);
    let of_before = lines
        .get(below)
        .is_some_and(|line| line.starts_with(APPROVAL));
    lines.splice(below..below + usize::from(of_before), [told.as_str()]);
    lines.join("\n") + "\n"
}
