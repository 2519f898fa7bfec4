//! Whether somebody has to approve the head of a pull request before it runs, and whether somebody has.
//!
//! Approval is the protection of one of GitHub's environments, [`GATE`], in which a job waits. An environment that a workflow
//! merely names is created without any protection, so what protects it is read when it counts. Where a repository's plan has
//! no reviewers, whoever may write to it approves, by naming the very commit: by starting the workflow with it, or in a
//! comment.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Of, Previewed};
use crate::commands::{Command, Heard, Word, Written};
use crate::config::ApprovalOf;
use crate::deployments::ENVIRONMENT;
use crate::doctor::{Environment, Finding, Health, Purpose, environment};
use crate::markdown::code;
use crate::names::{CommitSha, ComponentName, PinnedImage, PrNumber, RepositorySlug};

/// The environment in which somebody approves a pull request's head: it has reviewers, and no secrets.
pub const GATE: &str = "preview-approval";

/// Whether somebody has to approve a head before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Somebody has to, and a job has to wait for that.
    Required,
    /// Nobody has to, or somebody has already.
    NotRequired,
}

impl Need {
    /// The value of the output `approval`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotRequired => "not-required",
        }
    }
}

/// Whether the configuration wants somebody to approve what is `previewed`. The merge of a commit was its review.
#[must_use]
pub fn needs_approval(rule: ApprovalOf, previewed: &Previewed) -> Need {
    let is_strange = match &previewed.of {
        Of::Commit { .. } => return Need::NotRequired,
        Of::Pull { is_strange, .. } => *is_strange,
    };
    match rule {
        ApprovalOf::All => Need::Required,
        ApprovalOf::Forks if is_strange => Need::Required,
        ApprovalOf::Forks | ApprovalOf::None => Need::NotRequired,
    }
}

/// How somebody approved a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// As a reviewer of [`GATE`], on the run's page.
    Review,
    /// By starting the workflow with pull request and head.
    Dispatch,
    /// By `/preview approve` in a comment.
    Comment,
}

/// Somebody's approval of a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// The login of who approved it; where GitHub does not tell several apart, all of them.
    pub by: String,
    /// When. GitHub does not tell when a review was given, nor when a workflow was asked for: then when it was first seen, by
    /// the clock of the runner.
    pub at: Timestamp,
    /// How.
    pub how: How,
}

/// A clause of Markdown: who, when and how.
impl fmt::Display for Approved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, at, how } = self;
        let how = match how {
            How::Review => "in a review of the run",
            How::Dispatch => "by starting the workflow with it",
            How::Comment => "in a comment",
        };
        let at = at.strftime("%Y-%m-%d %H:%M UTC");
        write!(f, "{}, {at}, {how}", code(by))
    }
}

/// An approval as it is kept on the Namespace: what it is of, down to the digests. It stands while the preview waits for a
/// slot, or sleeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Whose.
    pub approved: Approved,
    /// The commit H.
    pub head: CommitSha,
    /// The images that were to run.
    pub images: BTreeMap<ComponentName, PinnedImage>,
}

impl Kept {
    /// The value of the annotation that keeps it.
    #[must_use]
    pub fn annotation(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// A decision of a reviewer about a run, as GitHub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The login of the reviewer; none of an account that was deleted.
    pub login: Option<String>,
    /// Whether it lets the job go on.
    pub approves: bool,
    /// The environments that it is about.
    pub environments: Vec<String>,
}

impl Review {
    fn is_of_gate(&self) -> bool {
        self.environments
            .iter()
            .any(|name| name.eq_ignore_ascii_case(GATE))
    }

    /// How many of `all` let the gate be passed.
    #[must_use]
    pub fn count(all: &[Self]) -> usize {
        let passes = |review: &&Self| review.approves && review.is_of_gate();
        all.iter().filter(passes).count()
    }
}

/// A comment that a command was given in, as it is read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The login of its author; none of an account that was deleted.
    pub login: Option<String>,
    /// Whether GitHub marks the author as a bot.
    pub is_by_bot: bool,
    /// Whether the author may write to the repository.
    pub may_write: bool,
    /// The pull request that it stands on.
    pub number: PrNumber,
    /// Its Markdown.
    pub body: String,
    /// When it was written.
    pub at: Timestamp,
    /// Whether it was changed since.
    pub is_edited: bool,
}

impl Said {
    /// The approval that it is, of `head` of the pull request `number`.
    fn approval(&self, number: PrNumber, head: &CommitSha) -> Option<Approved> {
        let written = Written {
            action: "created",
            is_by_bot: self.is_by_bot,
            is_on_pull: true,
            body: &self.body,
        };
        let names_head =
            written.heard(&[Word::Approve]) == Ok(Heard::Command(Command::Approve(head.clone())));
        let counts = names_head && self.may_write && self.number == number && !self.is_edited;
        counts.then(|| {
            Some(Approved {
                by: self.login.clone()?,
                at: self.at,
                how: How::Comment,
            })
        })?
    }
}

/// What a run was started by, that is to deploy a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartedBy {
    /// CI, or a command line: nobody has named the head to approve it.
    Ci,
    /// The person of this login, who may write to the repository: by the workflow's inputs, which name the head.
    Writer(String),
    /// A command in this comment.
    Command(Said),
    /// A program, and no command: a slot is free for what waits for it.
    Turn,
}

/// What is known when it is decided whether a head may run. Everything was read live.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The repository.
    pub repository: &'a RepositorySlug,
    /// The page on which somebody sets up its environments.
    pub settings: &'a str,
    /// The pull request.
    pub number: PrNumber,
    /// Its head H.
    pub head: &'a CommitSha,
    /// The repository's environments.
    pub environments: &'a [Environment],
    /// What started this run.
    pub started_by: &'a StartedBy,
    /// Now, by the clock of the runner.
    pub now: Timestamp,
}

/// What has become of the approval while a run waited.
#[derive(Clone, Copy, Debug)]
pub struct Reviewed<'a> {
    /// What reviewers decided about the run, at all of its attempts.
    pub reviews: &'a [Review],
    /// How many of them had approved it before it was last shown what would be deployed; none where nobody has counted.
    pub before: Option<usize>,
    /// Which attempt of the run it is.
    pub attempt: u32,
    /// Whether it is told which images they were shown.
    pub is_shown: bool,
    /// What the Namespace keeps.
    pub kept: Option<&'a Kept>,
}

/// Why a head may not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The environment of the secrets is not as it has to be.
    #[error(
        "{}: {}; limit it to the default branch, and let it have no reviewers, on {settings}",
        found.what,
        found.found
    )]
    Secrets {
        /// What was found of it.
        found: Box<Finding>,
        /// The page that mends it.
        settings: String,
    },
    /// Nobody could approve.
    #[error(
        "{}: {}, so nobody could approve {}; give it required reviewers on {settings}; where the plan of {repository} has \
         none, let somebody who may write comment `/preview approve {head}`",
        found.what,
        found.found,
        head.short()
    )]
    NoReviewers {
        /// What was found of the environment.
        found: Box<Finding>,
        /// The page that mends it.
        settings: String,
        /// The repository.
        repository: RepositorySlug,
        /// The head.
        head: CommitSha,
    },
    /// Nobody has approved.
    #[error(
        "nobody has approved {} in this run; let a job of its workflow wait in the environment {GATE} before it deploys, or comment \
         `/preview deploy` to have somebody asked",
        head.short()
    )]
    Nobody {
        /// The head.
        head: CommitSha,
    },
    /// Somebody has approved what nobody can tell any more: the tags may name other images by now.
    #[error(
        "{} was approved, and which images were shown for that is not told; deploy with the output `images` of `preview-deploy ask`, \
         or of `preview-deploy import` where that made them (the input `images`)",
        head.short()
    )]
    Unshown {
        /// The head.
        head: CommitSha,
    },
    /// Somebody has approved an earlier attempt, and nobody can tell whether this one, too.
    #[error(
        "{} was approved in an earlier attempt of this run, and what that showed may be another image; deploy with the output \
         `approvals` of `preview-deploy ask` (the input `approvals-before`), or start a new run by `/preview deploy`",
        head.short()
    )]
    EarlierAttempt {
        /// The head.
        head: CommitSha,
    },
}

/// Who may approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A job has to wait for one of these: logins of people, and names of teams.
    Reviewers(Vec<String>),
    /// No job has to wait: somebody has approved by what started the run, or an earlier one was approved.
    Open(Option<Approved>),
}

impl Facts<'_> {
    /// Who may approve, before anybody was asked.
    ///
    /// # Errors
    /// When the environments are not as they have to be.
    pub fn gate(&self) -> Result<Gate, NotApproved> {
        let missing = |name, purpose| {
            let found = environment(self.repository, name, purpose, self.environments);
            (found.health == Health::Missing).then_some(found)
        };
        if let Some(found) = missing(ENVIRONMENT, Purpose::Secrets) {
            return Err(NotApproved::Secrets {
                found: Box::new(found),
                settings: self.settings.to_owned(),
            });
        }
        let unguarded = missing(GATE, Purpose::Approval);
        match (self.started_by, unguarded) {
            (StartedBy::Turn, _) => Ok(Gate::Open(None)),
            (_, None) => Ok(Gate::Reviewers(self.reviewers())),
            (_, Some(unguarded)) => match self.by_start() {
                Some(approved) => Ok(Gate::Open(Some(approved))),
                None => Err(self.no_reviewers(unguarded)),
            },
        }
    }

    /// Whose approval lets the head run, and where it is one that the Namespace keeps, of which images.
    ///
    /// # Errors
    /// When nobody has approved it, or the environments are not as they have to be.
    pub fn decide(&self, reviewed: Reviewed<'_>) -> Result<Kept, NotApproved> {
        let kept = reviewed.kept.filter(|kept| kept.head == *self.head);
        let of = |approved| Kept {
            approved,
            head: self.head.clone(),
            images: BTreeMap::new(),
        };
        match (self.gate(), kept) {
            (Err(why @ NotApproved::Secrets { .. }), _) => Err(why),
            (Ok(Gate::Open(Some(approved))), _) => Ok(of(approved)),
            (Ok(Gate::Reviewers(_) | Gate::Open(None)), kept) => {
                match (self.by_review(reviewed), kept) {
                    (Ok(approved), _) => Ok(of(approved)),
                    (Err(_), Some(kept)) => Ok(kept.clone()),
                    (Err(why), None) => Err(why),
                }
            }
            (Err(_), Some(kept)) => Ok(kept.clone()),
            (Err(why), None) => Err(why),
        }
    }

    /// The approval that lies in what started the run.
    fn by_start(&self) -> Option<Approved> {
        match self.started_by {
            StartedBy::Ci | StartedBy::Turn => None,
            StartedBy::Writer(login) => Some(Approved {
                by: login.clone(),
                at: self.now,
                how: How::Dispatch,
            }),
            StartedBy::Command(said) => said.approval(self.number, self.head),
        }
    }

    /// The approval that reviewers gave after they were shown what would be deployed: an earlier one may have been of
    /// another image.
    fn by_review(&self, reviewed: Reviewed<'_>) -> Result<Approved, NotApproved> {
        let head = self.head.clone();
        let is_first = reviewed.attempt == 1;
        let count = Review::count(reviewed.reviews);
        let before = match reviewed.before {
            None if is_first => 0,
            None if count > 0 => return Err(NotApproved::EarlierAttempt { head }),
            before => before.unwrap_or_default(),
        };
        if count <= before {
            return Err(NotApproved::Nobody { head });
        }
        if !reviewed.is_shown {
            return Err(NotApproved::Unshown { head });
        }
        let passes = reviewed.reviews.iter();
        let passes = passes.filter(|review| review.approves && review.is_of_gate());
        let deleted = || "an account that was deleted".to_owned();
        let mut logins: Vec<String> = passes
            .map(|review| review.login.clone().unwrap_or_else(deleted))
            .collect();
        logins.sort();
        logins.dedup();
        Ok(Approved {
            by: logins.join(", "),
            at: self.now,
            how: How::Review,
        })
    }

    fn reviewers(&self) -> Vec<String> {
        let gate = self
            .environments
            .iter()
            .find(|found| found.name.eq_ignore_ascii_case(GATE));
        gate.map(|gate| gate.reviewers.clone()).unwrap_or_default()
    }

    fn no_reviewers(&self, unguarded: Finding) -> NotApproved {
        NotApproved::NoReviewers {
            found: Box::new(unguarded),
            settings: self.settings.to_owned(),
            repository: self.repository.clone(),
            head: self.head.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
