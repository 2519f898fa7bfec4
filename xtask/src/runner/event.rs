//! What happens on GitHub, and which workflows it starts.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>

use anyhow::Context as _;
use sandbox::github::Repository;
use serde_json::{Map, Value, json};

use super::syntax::{Filter, Workflow};

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Something about a pull request: `opened`, `synchronize`, `closed`.
    PullRequest { number: u64, action: &'static str },
    /// The default branch is at this commit now.
    Push { sha: String },
    /// The merge queue wants to know whether this group, by its head, may be merged.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "the plays have no merge queue, the tests have one"
        )
    )]
    MergeGroup { head: String },
    /// A run of the workflow with this name has ended.
    WorkflowRun { run: u64, workflow: String },
    /// Somebody started a workflow file.
    Dispatch {
        file: String,
        inputs: Value,
        login: String,
    },
    /// It is time.
    Schedule { cron: String },
    /// Somebody wrote a comment.
    Comment { id: u64, author: String },
}

/// What a run of a workflow is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) sha: String,
    /// The branch, as `github.ref_name` has it.
    pub(crate) ref_name: String,
    pub(crate) full_ref: String,
    pub(crate) head_ref: String,
    pub(crate) base_ref: String,
    pub(crate) actor: String,
    /// Whether the run is a fork's pull request's, which may change nothing and knows no secret.
    pub(crate) of_fork: bool,
}

impl Event {
    /// GitHub's name for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::PullRequest { .. } => "pull_request",
            Self::Push { .. } => "push",
            Self::MergeGroup { .. } => "merge_group",
            Self::WorkflowRun { .. } => "workflow_run",
            Self::Dispatch { .. } => "workflow_dispatch",
            Self::Schedule { .. } => "schedule",
            Self::Comment { .. } => "issue_comment",
        }
    }

    /// Whether a workflow in this file hears of it.
    pub(crate) fn starts(&self, file: &str, workflow: &Workflow) -> bool {
        let on = &workflow.on;
        match self {
            Self::PullRequest { action, .. } => {
                let usual = ["opened", "synchronize", "reopened"];
                on.pull_request
                    .as_ref()
                    .is_some_and(|it| it.is_of_type(action, &usual) && it.is_of_branch("main"))
            }
            Self::Push { .. } => {
                let filter = on.push.as_ref();
                filter.is_some_and(|it| it.is_of_branch("main"))
            }
            Self::MergeGroup { .. } => {
                let usual = ["checks_requested"];
                on.merge_group
                    .as_ref()
                    .is_some_and(|it| it.is_of_type(usual[0], &usual) && it.is_of_branch("main"))
            }
            Self::WorkflowRun { workflow, .. } => on.workflow_run.as_ref().is_some_and(|of| {
                of.workflows.contains(workflow) && of.types.iter().any(|it| it == "completed")
            }),
            Self::Dispatch { file: named, .. } => named == file,
            Self::Schedule { cron } => on.schedule.iter().any(|it| it.cron == *cron),
            Self::Comment { .. } => {
                let filter = on.issue_comment.as_ref();
                filter.is_some_and(|it| it.is_of_type("created", &["created"]))
            }
        }
    }

    /// What the runs that it starts are about: all but a pull request's and a merge queue's are runs of the default branch.
    ///
    /// # Errors
    /// When a pull request conflicts with its base: GitHub starts nothing then.
    pub(crate) fn about(&self, repository: &Repository) -> anyhow::Result<About> {
        let (branch, head) = repository.default_branch();
        let payload = self.payload(repository);
        let sender = payload["sender"]["login"].as_str().unwrap_or("alice");
        let mut about = About {
            sha: head,
            full_ref: format!("refs/heads/{branch}"),
            ref_name: branch,
            head_ref: String::new(),
            base_ref: String::new(),
            actor: sender.to_owned(),
            of_fork: false,
        };
        match self {
            Self::PullRequest { number, .. } => {
                let pull = &payload["pull_request"];
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let merge = repository.merge_commit_of(*number);
                about.sha = merge.context("the pull request conflicts with its base")?;
                about.full_ref = format!("refs/pull/{number}/merge");
                about.ref_name = format!("{number}/merge");
                about.head_ref = text(&pull["head"]["ref"]);
                about.base_ref = text(&pull["base"]["ref"]);
                about.of_fork = pull["head"]["repo"]["id"] != payload["repository"]["id"];
            }
            Self::Push { sha } => about.sha.clone_from(sha),
            Self::MergeGroup { head } => {
                let full_ref = payload["merge_group"]["head_ref"].as_str();
                let full_ref = full_ref.context("the group has no branch")?;
                about.sha.clone_from(head);
                full_ref.clone_into(&mut about.full_ref);
                full_ref
                    .trim_start_matches("refs/heads/")
                    .clone_into(&mut about.ref_name);
            }
            Self::Dispatch { login, .. } => about.actor.clone_from(login),
            Self::Comment { author, .. } => about.actor.clone_from(author),
            Self::WorkflowRun { .. } | Self::Schedule { .. } => {}
        }
        Ok(about)
    }

    /// What `GITHUB_EVENT_PATH` holds.
    pub(crate) fn payload(&self, repository: &Repository) -> Value {
        match self {
            Self::PullRequest { number, action } => {
                repository.pull_request_payload(*number, action)
            }
            Self::Push { sha } => repository.push_payload(sha),
            Self::MergeGroup { head } => repository.merge_group_payload(head),
            Self::WorkflowRun { run, .. } => repository.workflow_run_payload_of(*run),
            Self::Dispatch {
                file,
                inputs,
                login,
            } => repository.dispatch_payload(file, inputs, login),
            Self::Schedule { cron } => json!({ "schedule": cron }),
            Self::Comment { id, .. } => repository.comment_payload(*id),
        }
    }

    /// The context `inputs`: what was said, as what it was declared, and else what stands there.
    pub(crate) fn inputs(&self, workflow: &Workflow) -> Value {
        let Self::Dispatch { inputs: given, .. } = self else {
            return json!({});
        };
        let declared = workflow.on.workflow_dispatch.iter();
        let declared = declared.flat_map(|by_hand| &by_hand.inputs);
        let values = declared.map(|(name, input)| {
            let given = given.get(name).or(input.default.as_ref());
            let value = given.cloned().unwrap_or_else(|| json!(""));
            let value = match input.kind.as_deref() {
                Some("boolean") => json!(value == "true" || value == true),
                _ => value,
            };
            (name.clone(), value)
        });
        Value::Object(values.collect::<Map<_, _>>())
    }
}

impl Filter {
    fn is_of_type(&self, action: &str, usual: &[&str]) -> bool {
        match &self.types {
            Some(types) => types.iter().any(|it| it == action),
            None => usual.contains(&action),
        }
    }

    fn is_of_branch(&self, branch: &str) -> bool {
        let named = self.branches.as_ref();
        named.is_none_or(|names| names.iter().any(|it| it == branch))
    }
}
