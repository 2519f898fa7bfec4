//! The payload of the event that started a workflow, as the file at `GITHUB_EVENT_PATH` holds it.
//!
//! A payload is a snapshot: it says what to look at, and what is true is read live. Every field we use must be there
//! and be what it should be; anything else is an error that names the file and the field.

use std::fmt;
use std::str::FromStr;

use preview_core::names::{CommitSha, PrNumber, RepositoryId, RepositorySlug};
use serde_json::Value;

/// An event we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `workflow_run`.
    WorkflowRun(WorkflowRun),
    /// `pull_request`.
    PullRequest(PullRequestChange),
    /// `push`.
    Push(Push),
}

/// The repository an event happened in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRepository {
    /// Its id.
    pub id: RepositoryId,
    /// Its name.
    pub slug: RepositorySlug,
    /// Its default branch.
    pub default_branch: String,
}

/// A workflow run that was requested, started or completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRun {
    /// What happened: `completed`, `requested` or `in_progress`.
    pub action: String,
    /// The run's id.
    pub run_id: u64,
    /// The event that had started the run, such as `pull_request`.
    pub event: String,
    /// How it ended, such as `success`; none while it runs.
    pub conclusion: Option<String>,
    /// The branch's name, written by its author; none for a run without one.
    pub head_branch: Option<String>,
    /// For a pull request's run its head H.
    pub head_sha: CommitSha,
    /// Where the branch lies; none when a fork was deleted.
    pub head_repository: Option<HeadRepository>,
    /// Where the run happened.
    pub repository: EventRepository,
}

/// The repository a branch lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRepository {
    /// Its name.
    pub slug: RepositorySlug,
    /// The login of its owner.
    pub owner: String,
}

/// Something that happened to a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestChange {
    /// What happened, such as `closed`.
    pub action: String,
    /// The pull request.
    pub number: PrNumber,
    /// Its head H at that time.
    pub head_sha: CommitSha,
    /// Whether it was merged.
    pub merged: bool,
    /// The repository it was made to.
    pub repository: EventRepository,
}

/// A push to a branch or tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// What was pushed to, such as `refs/heads/main`.
    pub reference: String,
    /// The commit it points to now; none when it was deleted.
    pub after: Option<CommitSha>,
    /// The repository.
    pub repository: EventRepository,
}

impl Push {
    /// Whether this was a push of commits to the default branch.
    #[must_use]
    pub fn is_to_default_branch(&self) -> bool {
        self.after.is_some()
            && self.reference.strip_prefix("refs/heads/")
                == Some(self.repository.default_branch.as_str())
    }
}

/// A payload that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the payload of the event {event:?} in {file}: {why}")]
pub struct EventError {
    file: String,
    event: String,
    why: String,
}

impl Event {
    /// Reads the payload `json` of an event called `name` (`GITHUB_EVENT_NAME`); `file` is where it came from, for the
    /// error.
    ///
    /// # Errors
    /// When the event is none of ours, the text is no JSON, or a field is missing or is not what it should be.
    pub fn parse(name: &str, file: &str, json: &str) -> Result<Self, EventError> {
        let fails = |why: String| EventError {
            file: file.to_owned(),
            event: name.chars().take(60).collect(),
            why,
        };
        let payload: Value = serde_json::from_str(json)
            .map_err(|why| fails(format!("it is no JSON ({why}); is the file complete?")))?;
        let payload = Payload(&payload);
        let event = match name {
            "workflow_run" => payload.workflow_run().map(Self::WorkflowRun),
            "pull_request" | "pull_request_target" => payload.pull_request().map(Self::PullRequest),
            "push" => payload.push().map(Self::Push),
            _ => Err(
                "this program reads workflow_run, pull_request and push only; start it on one of these, or name the \
                 pull request or commit on the command line"
                    .to_owned(),
            ),
        };
        event.map_err(fails)
    }
}

/// Fields of a payload by their path, such as `workflow_run.head_sha`.
struct Payload<'a>(&'a Value);

impl<'a> Payload<'a> {
    fn workflow_run(&self) -> Result<WorkflowRun, String> {
        Ok(WorkflowRun {
            action: self.text("action")?.to_owned(),
            run_id: self.number("workflow_run.id")?,
            event: self.text("workflow_run.event")?.to_owned(),
            conclusion: self
                .nullable("workflow_run.conclusion", Self::text)?
                .map(str::to_owned),
            head_branch: self
                .nullable("workflow_run.head_branch", Self::text)?
                .map(str::to_owned),
            head_sha: self.value("workflow_run.head_sha")?,
            head_repository: self
                .nullable("workflow_run.head_repository", Self::head_repository)?,
            repository: self.repository()?,
        })
    }

    fn pull_request(&self) -> Result<PullRequestChange, String> {
        let number = self.number("number")?;
        Ok(PullRequestChange {
            action: self.text("action")?.to_owned(),
            number: PrNumber::new(number)
                .ok_or("the field number is 0, which is no pull request")?,
            head_sha: self.value("pull_request.head.sha")?,
            merged: self.flag("pull_request.merged")?,
            repository: self.repository()?,
        })
    }

    fn push(&self) -> Result<Push, String> {
        let deleted = self.flag("deleted")?;
        Ok(Push {
            reference: self.text("ref")?.to_owned(),
            // A deletion gives forty zeros, which parse as a SHA.
            after: if deleted {
                None
            } else {
                Some(self.value("after")?)
            },
            repository: self.repository()?,
        })
    }

    fn repository(&self) -> Result<EventRepository, String> {
        Ok(EventRepository {
            id: RepositoryId(self.number("repository.id")?),
            slug: self.value("repository.full_name")?,
            default_branch: self.text("repository.default_branch")?.to_owned(),
        })
    }

    fn head_repository(&self, path: &str) -> Result<HeadRepository, String> {
        Ok(HeadRepository {
            slug: self.value(&format!("{path}.full_name"))?,
            owner: self.text(&format!("{path}.owner.login"))?.to_owned(),
        })
    }

    fn field(&self, path: &str) -> Result<&'a Value, String> {
        path.split('.')
            .try_fold(self.0, |value, key| value.get(key))
            .ok_or_else(|| format!("the field {path} is missing"))
    }

    /// A field that must be there and may be null.
    fn nullable<T>(
        &self,
        path: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if self.field(path)?.is_null() {
            Ok(None)
        } else {
            read(self, path).map(Some)
        }
    }

    fn text(&self, path: &str) -> Result<&'a str, String> {
        self.field(path)?
            .as_str()
            .ok_or_else(|| format!("the field {path} is no text"))
    }

    fn number(&self, path: &str) -> Result<u64, String> {
        self.field(path)?
            .as_u64()
            .ok_or_else(|| format!("the field {path} is no whole number"))
    }

    fn flag(&self, path: &str) -> Result<bool, String> {
        self.field(path)?
            .as_bool()
            .ok_or_else(|| format!("the field {path} is neither true nor false"))
    }

    fn value<T: FromStr<Err: fmt::Display>>(&self, path: &str) -> Result<T, String> {
        self.text(path)?
            .parse()
            .map_err(|why| format!("the field {path}: {why}"))
    }
}
