//! Runs of the deploy workflow that wait for somebody's approval, and which of them a sweep cancels.
//!
//! GitHub shows such a run with the commit of the default branch that its workflow is of, whatever it is to deploy; what
//! that is, only its name tells. So the workflow's `run-name` has to be a [`RunName`], and it counts only where none but the
//! default branch can have written it: see [`WaitingRun::is_of`].

use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::markdown::{inline, link};
use crate::names::{CommitSha, NotA, PrNumber, RepositoryId, RepositorySlug};
use crate::pulls::{PullRequest, PullState, Repository};

/// How many days a run may wait for approval. GitHub itself gives up after 30.
/// <https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/review-deployments>
const DAYS: i64 = 7;

/// Until when a run that begins to wait now may wait.
#[must_use]
pub fn expires(now: Timestamp) -> Timestamp {
    let long = SignedDuration::from_hours(DAYS * 24);
    now.checked_add(long).unwrap_or(Timestamp::MAX)
}

/// Those of `waiting`, of the workflow `file`, that wait for the approval of another head of `pull` than the one it has.
#[must_use]
pub fn outdated<'a>(
    waiting: &'a [WaitingRun],
    file: &str,
    pull: &PullRequest,
    now: Timestamp,
) -> Vec<(&'a WaitingRun, RunName, Reason)> {
    let of_file = waiting
        .iter()
        .filter(|run| run.is_of(file, &pull.base_repository));
    let outdated = of_file.filter_map(|run| {
        let name: RunName = run.title.parse().ok()?;
        match run.decide(&name, [pull], now) {
            Verdict::Cancel {
                why: why @ Reason::Outdated { .. },
                ..
            } => Some((run, name, why)),
            _ => None,
        }
    });
    outdated.collect()
}

/// What a run of the deploy workflow is to deploy, as its `run-name` has to tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RunName {
    /// `preview of #7 at <H>`: somebody, or a free slot, started it for this pull request.
    Pull {
        /// The pull request.
        number: PrNumber,
        /// The commit H.
        head: CommitSha,
    },
    /// `preview of acme/shop:feature/cart at <H>`: CI of a pull request started it, whose number GitHub does not tell where
    /// it comes from a fork.
    Branch {
        /// Where the branch lies.
        repository: RepositorySlug,
        /// The branch, named by its author.
        branch: String,
        /// The commit H.
        head: CommitSha,
    },
    /// `preview of <commit>`: of a commit by itself.
    Commit(CommitSha),
}

impl RunName {
    /// Whether it speaks of this pull request, at whatever head.
    #[must_use]
    pub fn is_of(&self, pull: &PullRequest) -> bool {
        match self {
            Self::Pull { number, .. } => pull.number == *number,
            Self::Branch {
                repository, branch, ..
            } => pull.head_ref == *branch && pull.head_repository.as_ref() == Some(repository),
            Self::Commit(_) => false,
        }
    }

    /// The commit that it is to deploy.
    #[must_use]
    pub fn head(&self) -> &CommitSha {
        match self {
            Self::Pull { head, .. } | Self::Branch { head, .. } | Self::Commit(head) => head,
        }
    }

    fn read(text: &str) -> Option<Self> {
        let what = text.strip_prefix("preview of ")?;
        let Some((whose, head)) = what.rsplit_once(" at ") else {
            return what.parse().ok().map(Self::Commit);
        };
        let head = head.parse().ok()?;
        if let Some(number) = whose.strip_prefix('#') {
            let number = number.parse().ok()?;
            return Some(Self::Pull { number, head });
        }
        // No branch has a colon, a blank or a control character in its name.
        // https://git-scm.com/docs/git-check-ref-format
        let (repository, branch) = whose.split_once(':')?;
        let is_none = |c: char| c == ':' || c.is_whitespace() || c.is_control();
        (!branch.is_empty() && !branch.contains(is_none)).then_some(())?;
        Some(Self::Branch {
            repository: repository.parse().ok()?,
            branch: branch.to_owned(),
            head,
        })
    }
}

impl FromStr for RunName {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        // A number with zeros before it is read, too, and is not what the workflow writes.
        Self::read(text)
            .filter(|name| name.to_string() == text)
            .ok_or_else(|| {
                NotA::new(
                    text,
                    "a run-name of the form \"preview of #7 at <sha>\", \"preview of owner/name:branch at <sha>\" or \
                     \"preview of <sha>\"",
                )
            })
    }
}

impl TryFrom<String> for RunName {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        text.parse()
    }
}

impl From<RunName> for String {
    fn from(name: RunName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { number, head } => write!(f, "preview of #{number} at {head}"),
            Self::Branch {
                repository,
                branch,
                head,
            } => write!(f, "preview of {repository}:{branch} at {head}"),
            Self::Commit(commit) => write!(f, "preview of {commit}"),
        }
    }
}

/// A run that waits for approval, as GitHub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRun {
    /// Its id.
    pub id: u64,
    /// The path of its workflow, with or without `@` and the ref that it is of.
    pub workflow: String,
    /// The branch whose commit GitHub shows it with, and whose workflow it is.
    pub branch: Option<String>,
    /// Where that branch lies; none when a fork was deleted.
    pub repository: Option<RepositoryId>,
    /// Its `run-name`, or a title that anybody has written.
    pub title: String,
    /// Since when it waits, at the longest.
    pub since: Timestamp,
    /// Its page for people.
    pub page: String,
}

impl WaitingRun {
    /// Whether it is of the workflow `file` as the default branch of `repository` has it: another branch, or a fork, may
    /// have a file of that name that names its runs as it likes.
    #[must_use]
    pub fn is_of(&self, file: &str, repository: &Repository) -> bool {
        let path = self.workflow.split('@').next().unwrap_or_default();
        path.strip_prefix(".github/workflows/") == Some(file)
            && self.repository == Some(repository.id)
            && self.branch.as_ref() == Some(&repository.default_branch)
    }

    /// What becomes of it, where it is to deploy what `name` tells, as far as these pull requests tell, each as GitHub
    /// gave it: that one is not among them proves nothing.
    #[must_use]
    pub fn decide<'a>(
        &self,
        name: &RunName,
        pulls: impl IntoIterator<Item = &'a PullRequest>,
        now: Timestamp,
    ) -> Verdict<'a> {
        let since = self.since;
        let is_late = now.duration_since(since) > SignedDuration::from_hours(DAYS * 24);
        let late = |pull: Option<&'a PullRequest>| match is_late {
            true => Verdict::Cancel {
                pull,
                why: Reason::Late { since },
            },
            false => Verdict::Leave,
        };
        let (RunName::Pull { head, .. } | RunName::Branch { head, .. }) = name else {
            return late(None);
        };
        let of_it: Vec<&PullRequest> = pulls.into_iter().filter(|pull| name.is_of(pull)).collect();
        let open = || of_it.iter().filter(|pull| pull.state == PullState::Open);
        if let Some(pull) = open().find(|pull| pull.head == *head) {
            return late(Some(*pull));
        }
        if let Some(pull) = open().next() {
            let head = pull.head.clone();
            return Verdict::Cancel {
                pull: Some(*pull),
                why: Reason::Outdated { head },
            };
        }
        let closed = of_it.iter().find(|pull| pull.head == *head);
        match closed.or(of_it.first()) {
            None => Verdict::Unknown,
            Some(pull) => Verdict::Cancel {
                pull: Some(*pull),
                why: Reason::Closed,
            },
        }
    }
}

/// What becomes of a run that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes on waiting.
    Leave,
    /// It goes on waiting, for GitHub knows no pull request that it could be of: no proof that there is none.
    Unknown,
    /// It is cancelled.
    Cancel {
        /// The pull request that is told; none where it is of a commit by itself.
        pull: Option<&'a PullRequest>,
        /// Why.
        why: Reason,
    },
}

/// Why a run that waited was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It waited for too long.
    Late {
        /// Since when.
        since: Timestamp,
    },
    /// The head was pushed on.
    Outdated {
        /// To which commit.
        head: CommitSha,
    },
    /// Its pull request is closed.
    Closed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { since } => {
                let since = since.strftime("%Y-%m-%d %H:%M UTC");
                write!(f, "it has waited for more than {DAYS} days, since {since}")
            }
            Self::Outdated { head } => {
                write!(f, "the head of its pull request is {} by now", head.short())
            }
            Self::Closed => f.write_str("its pull request is closed"),
        }
    }
}

/// A run that waits no longer, for its pull request to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The commit H that was to be approved.
    pub head: CommitSha,
    /// Why it was cancelled.
    pub why: Reason,
    /// The run's page.
    pub page: String,
}

/// One line of Markdown.
impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, why, page } = self;
        let run = link("The run", page);
        write!(
            f,
            "{run} that waited for the approval of {} was cancelled: {why}",
            head.short()
        )?;
        match why {
            Reason::Late { .. } => f.write_str("; run it again to ask once more."),
            Reason::Outdated { .. } => f.write_str(", which needs an approval of its own."),
            Reason::Closed => f.write_str("."),
        }
    }
}

/// What a sweep did about a run that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is cancelled.
    Cancelled,
    /// It would have been cancelled.
    WouldGo,
    /// It goes on, for GitHub does not know its pull request, or does not cancel it.
    Kept,
    /// It, or its pull request, could not be looked at, or told.
    Failed,
}

impl Answer {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Cancelled, Self::WouldGo, Self::Kept, Self::Failed];

    /// One or two words, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::WouldGo => "would go",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A run that waited for approval, and that a sweep did something about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The id of the run.
    pub run: u64,
    /// Its name: what it was to deploy.
    pub name: RunName,
    /// What was done.
    pub answer: Answer,
    /// Why, or why not.
    pub reason: String,
}

/// How many were answered so.
#[must_use]
pub fn count(all: &[Approval], answer: Answer) -> usize {
    all.iter().filter(|one| one.answer == answer).count()
}

/// What was done, as the end of a sentence; empty where nothing was.
#[must_use]
pub fn ending(all: &[Approval]) -> String {
    let told = Answer::ALL.into_iter().filter_map(|answer| {
        let count = count(all, answer);
        (count > 0).then(|| format!("{count} {answer}"))
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("; waiting for approval: {}", told.join(", ")),
    }
}

/// What was done as lines of a log, in columns.
#[must_use]
pub fn lines(all: &[Approval]) -> Vec<String> {
    let lines = all.iter().map(|one| {
        let Approval {
            run,
            name,
            answer,
            reason,
        } = one;
        format!("{answer:<10}  run {run}, {name}: {reason}")
    });
    lines.collect()
}

/// What was done as a table in Markdown.
#[must_use]
pub fn markdown(all: &[Approval]) -> String {
    let mut out = "| | Run | Name | Why |\n|---|---|---|---|\n".to_owned();
    for one in all {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            one.answer,
            one.run,
            inline(&one.name.to_string()),
            inline(&one.reason)
        );
    }
    out
}

#[cfg(test)]
mod tests;
