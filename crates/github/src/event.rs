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
    /// `schedule`: its payload says no more than when.
    Schedule,
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
    /// The commit it pointed to before; none when it was created.
    pub before: Option<CommitSha>,
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
            .map_err(|why| fails(format!("it is no JSON ({why}); {WHOLE_FILE}")))?;
        let payload = Payload(&payload);
        let event = match name {
            "workflow_run" => payload.workflow_run().map(Self::WorkflowRun),
            "pull_request" | "pull_request_target" => payload.pull_request().map(Self::PullRequest),
            "push" => payload.push().map(Self::Push),
            "schedule" => Ok(Self::Schedule),
            _ => {
                return Err(fails(
                    "this program reads workflow_run, pull_request, push and schedule only; start it on one of these, or \
                     name the pull request or commit on the command line"
                        .to_owned(),
                ));
            }
        };
        event.map_err(|why| fails(format!("{why}; {WHOLE_FILE}")))
    }
}

/// The next step where a payload is not what GitHub writes.
const WHOLE_FILE: &str = "give it the file at GITHUB_EVENT_PATH as GitHub wrote it";

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
        let created = self.flag("created")?;
        Ok(Push {
            reference: self.text("ref")?.to_owned(),
            // A deletion gives forty zeros, which parse as a SHA; a creation does before it.
            after: if deleted {
                None
            } else {
                Some(self.value("after")?)
            },
            before: if created {
                None
            } else {
                Some(self.value("before")?)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repository() -> Value {
        json!({ "id": 42, "full_name": "acme/shop", "default_branch": "main" })
    }

    fn workflow_run() -> Value {
        json!({
            "action": "completed",
            "workflow_run": {
                "id": 99, "event": "pull_request", "conclusion": "success", "head_branch": "feature/tea",
                "head_sha": "a".repeat(40),
                "head_repository": { "full_name": "maria/shop", "owner": { "login": "maria" } },
            },
            "repository": repository(),
        })
    }

    fn parsed(name: &str, payload: &Value) -> Result<Event, EventError> {
        Event::parse(name, "event.json", &payload.to_string())
    }

    #[test]
    fn a_completed_run_says_whose_branch_it_was_about() {
        let Ok(Event::WorkflowRun(run)) = parsed("workflow_run", &workflow_run()) else {
            panic!()
        };
        let head = run.head_repository.unwrap();
        assert_eq!(
            (head.slug.to_string().as_str(), head.owner.as_str()),
            ("maria/shop", "maria")
        );
        assert_eq!((run.run_id, run.event.as_str()), (99, "pull_request"));
    }

    #[test]
    fn a_deleted_fork_is_none_and_not_an_error() {
        let mut payload = workflow_run();
        payload["workflow_run"]["head_repository"] = Value::Null;
        let Ok(Event::WorkflowRun(run)) = parsed("workflow_run", &payload) else {
            panic!()
        };
        assert_eq!(run.head_repository, None);
    }

    #[test]
    fn only_commits_on_the_default_branch_count_as_pushed_there() {
        let push = |reference: &str, deleted: bool| {
            let after = if deleted {
                "0".repeat(40)
            } else {
                "a".repeat(40)
            };
            let payload = json!({ "ref": reference, "after": after, "deleted": deleted, "created": false, "before": "a".repeat(40), "repository": repository() });
            let Ok(Event::Push(push)) = parsed("push", &payload) else {
                panic!()
            };
            push.is_to_default_branch()
        };
        assert!(push("refs/heads/main", false));
        assert!(!push("refs/heads/main", true));
        assert!(!push("refs/heads/main2", false));
        assert!(!push("refs/tags/main", false));
    }

    #[test]
    fn a_closed_pull_request_says_whether_it_was_merged() {
        let payload = json!({
            "action": "closed", "number": 7,
            "pull_request": { "merged": true, "head": { "sha": "a".repeat(40) } },
            "repository": repository(),
        });
        let Ok(Event::PullRequest(change)) = parsed("pull_request", &payload) else {
            panic!()
        };
        assert_eq!(
            (change.action.as_str(), change.number.get(), change.merged),
            ("closed", 7, true)
        );
    }

    #[test]
    fn a_malformed_payload_is_refused_by_file_and_field() {
        let without = |field: &str| {
            let mut payload = workflow_run();
            payload["workflow_run"]
                .as_object_mut()
                .unwrap()
                .remove(field);
            parsed("workflow_run", &payload).unwrap_err().to_string()
        };
        let mut wrong_sha = workflow_run();
        wrong_sha["workflow_run"]["head_sha"] = json!("main");
        let mut wrong_id = workflow_run();
        wrong_id["repository"]["id"] = json!("42");
        let told = [
            without("head_repository"),
            without("head_sha"),
            parsed("workflow_run", &wrong_sha).unwrap_err().to_string(),
            parsed("workflow_run", &wrong_id).unwrap_err().to_string(),
            parsed("push", &json!([])).unwrap_err().to_string(),
            parsed("issues", &json!({})).unwrap_err().to_string(),
            Event::parse("push", "event.json", "{\"ref\": ")
                .unwrap_err()
                .to_string(),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        cannot read the payload of the event "workflow_run" in event.json: the field workflow_run.head_repository is missing; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "workflow_run" in event.json: the field workflow_run.head_sha is missing; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "workflow_run" in event.json: the field workflow_run.head_sha: "main" is not a commit SHA of 40 lower-case hex digits; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "workflow_run" in event.json: the field repository.id is no whole number; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "push" in event.json: the field deleted is missing; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "issues" in event.json: this program reads workflow_run, pull_request, push and schedule only; start it on one of these, or name the pull request or commit on the command line
        cannot read the payload of the event "push" in event.json: it is no JSON (EOF while parsing a value at line 1 column 8); give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        "#);
    }
}
