//! The payload of the event that started a workflow, as the file at `GITHUB_EVENT_PATH` holds it.
//!
//! A payload is a snapshot: it says what to look at, and what is true is read live. Every field we use must be there
//! and be what it should be; anything else is an error that names the file and the field.

use std::collections::BTreeMap;
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
    /// `issue_comment`.
    IssueComment(IssueComment),
    /// `workflow_dispatch`.
    Dispatch(Dispatch),
    /// `merge_group`.
    MergeGroup(MergeGroup),
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

/// Something that happened to a comment of an issue or of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueComment {
    /// What happened, such as `created`.
    pub action: String,
    /// The comment's id.
    pub id: u64,
    /// Its Markdown, written by anybody.
    pub body: String,
    /// Who wrote it; none where the account was deleted.
    pub author: Option<Account>,
    /// The number of the issue, or of the pull request.
    pub number: PrNumber,
    /// Whether it is a pull request's.
    pub is_on_pull: bool,
    /// The repository.
    pub repository: EventRepository,
}

/// Somebody with an account on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Their login.
    pub login: String,
    /// Whether GitHub marks it as a bot.
    pub is_bot: bool,
}

/// A workflow that was started by hand, or by another workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The inputs that were given, by name, each as text; one that is empty was not given.
    pub inputs: BTreeMap<String, String>,
    /// Who started it.
    pub sender: Account,
    /// The repository.
    pub repository: EventRepository,
}

/// An input of a workflow that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the input {name}: {why}; start the workflow again")]
pub struct InputError {
    name: String,
    why: String,
}

impl Dispatch {
    /// The input `name`; none where it was not given.
    ///
    /// # Errors
    /// When it is not what it should be.
    pub fn input<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, InputError> {
        let read = self.inputs.get(name).map(|text| text.parse());
        read.transpose().map_err(|why: T::Err| InputError {
            name: name.to_owned(),
            why: why.to_string(),
        })
    }
}

/// Something that happened to a group in the merge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeGroup {
    /// What happened: `checks_requested` or `destroyed`.
    pub action: String,
    /// The group's head: what its merge would leave on the branch.
    pub head_sha: CommitSha,
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
            "issue_comment" => payload.issue_comment().map(Self::IssueComment),
            "workflow_dispatch" => payload.dispatch().map(Self::Dispatch),
            "merge_group" => payload.merge_group().map(Self::MergeGroup),
            "schedule" => Ok(Self::Schedule),
            _ => {
                return Err(fails(
                    "this program reads workflow_run, workflow_dispatch, pull_request, issue_comment, merge_group, push and \
                     schedule only; start it on one of these, or name the pull request or commit on the command line"
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

    fn issue_comment(&self) -> Result<IssueComment, String> {
        let number = self.number("issue.number")?;
        let issue = self.field("issue")?;
        Ok(IssueComment {
            action: self.text("action")?.to_owned(),
            id: self.number("comment.id")?,
            body: self.text("comment.body")?.to_owned(),
            author: self.nullable("comment.user", Self::account)?,
            number: PrNumber::new(number)
                .ok_or("the field issue.number is 0, which is no pull request")?,
            is_on_pull: issue.get("pull_request").is_some_and(Value::is_object),
            repository: self.repository()?,
        })
    }

    fn dispatch(&self) -> Result<Dispatch, String> {
        Ok(Dispatch {
            // A workflow without inputs has none at all.
            inputs: self.nullable("inputs", Self::texts)?.unwrap_or_default(),
            sender: self.account("sender")?,
            repository: self.repository()?,
        })
    }

    fn merge_group(&self) -> Result<MergeGroup, String> {
        Ok(MergeGroup {
            action: self.text("action")?.to_owned(),
            head_sha: self.value("merge_group.head_sha")?,
            repository: self.repository()?,
        })
    }

    fn account(&self, path: &str) -> Result<Account, String> {
        Ok(Account {
            login: self.text(&format!("{path}.login"))?.to_owned(),
            is_bot: self.text(&format!("{path}.type"))? == "Bot",
        })
    }

    /// Names with texts, flags or numbers; what is empty is left out.
    fn texts(&self, path: &str) -> Result<BTreeMap<String, String>, String> {
        let all = self.field(path)?.as_object();
        let all = all.ok_or_else(|| format!("the field {path} is no object"))?;
        let texts = all.iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            Value::Bool(_) | Value::Number(_) => Ok((name.clone(), value.to_string())),
            Value::Null => Ok((name.clone(), String::new())),
            _ => Err(format!("the field {path}.{name} is no text")),
        });
        let texts: BTreeMap<String, String> = texts.collect::<Result<_, _>>()?;
        Ok(texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect())
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

    fn comment() -> Value {
        json!({
            "action": "created",
            "comment": { "id": 5, "body": "/preview deploy", "user": { "login": "alice", "type": "User" } },
            "issue": { "number": 7, "pull_request": {} },
            "repository": repository(),
        })
    }

    #[test]
    fn a_comment_says_who_wrote_it_and_whether_it_stands_on_a_pull_request() {
        let read = |payload: &Value| match parsed("issue_comment", payload) {
            Ok(Event::IssueComment(comment)) => (
                comment.author.map(|author| (author.login, author.is_bot)),
                comment.is_on_pull,
            ),
            other => panic!("{other:?}"),
        };
        let mut payload = comment();
        assert_eq!(read(&payload), (Some(("alice".to_owned(), false)), true));
        payload["comment"]["user"]["type"] = json!("Bot");
        payload["issue"] = json!({ "number": 7 });
        assert_eq!(read(&payload), (Some(("alice".to_owned(), true)), false));
        payload["comment"]["user"] = Value::Null;
        payload["issue"]["pull_request"] = Value::Null;
        assert_eq!(read(&payload), (None, false));
    }

    #[test]
    fn the_inputs_of_a_dispatch_are_texts_and_empty_ones_were_not_given() {
        let read = |inputs: Value| {
            let sender = json!({ "login": "alice", "type": "User" });
            let payload = json!({ "inputs": inputs, "sender": sender, "repository": repository() });
            match parsed("workflow_dispatch", &payload) {
                Ok(Event::Dispatch(dispatch)) => format!("{:?}", dispatch.inputs),
                Err(error) => error.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let told = [
            read(json!({ "pr": "7", "sha": "", "reset_database": true, "commit": null })),
            read(Value::Null),
            read(json!({ "pr": ["7"] })),
            read(json!("7")),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        {"pr": "7", "reset_database": "true"}
        {}
        cannot read the payload of the event "workflow_dispatch" in event.json: the field inputs.pr is no text; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        cannot read the payload of the event "workflow_dispatch" in event.json: the field inputs is no object; give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        "#);
    }

    #[test]
    fn a_group_in_the_merge_queue_is_its_head() {
        let payload = json!({
            "action": "checks_requested", "merge_group": { "head_sha": "a".repeat(40) },
            "repository": repository(),
        });
        let Ok(Event::MergeGroup(group)) = parsed("merge_group", &payload) else {
            panic!()
        };
        assert_eq!(group.head_sha.to_string(), "a".repeat(40));
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
        cannot read the payload of the event "issues" in event.json: this program reads workflow_run, workflow_dispatch, pull_request, issue_comment, merge_group, push and schedule only; start it on one of these, or name the pull request or commit on the command line
        cannot read the payload of the event "push" in event.json: it is no JSON (EOF while parsing a value at line 1 column 8); give it the file at GITHUB_EVENT_PATH as GitHub wrote it
        "#);
    }
}
