//! Payloads of webhooks, made from the state: what a workflow finds in `GITHUB_EVENT_PATH`.

use serde_json::{Value, json};

use super::git::differing;
use super::repository::Repository;
use super::runs;
use super::state::{Repo, Run, State};
use super::{comments, issues, objects};

impl Repository {
    /// `workflow_run`, completed, of the newest `pull_request` run for the pull request's present head; a successful
    /// run of `ci.yml` is made where there is none.
    #[must_use]
    pub fn workflow_run_payload(&self, number: u64) -> Value {
        let head = self.head_of(number);
        let newest = {
            let state = self.lock();
            let runs = state
                .repos
                .get(&self.id)
                .into_iter()
                .flat_map(|repo| repo.runs.values());
            let of_head = |run: &&Run| run.event == "pull_request" && run.head_sha == head;
            runs.filter(of_head).map(|run| run.id).next_back()
        };
        let run = newest.unwrap_or_else(|| self.complete_ci(number));
        self.workflow_run_payload_of(run)
    }

    /// `workflow_run`, completed, of the run with this id.
    #[must_use]
    pub fn workflow_run_payload_of(&self, run: u64) -> Value {
        self.payload("workflow-run-completed", |state, repo| {
            let run = repo.runs.get(&run)?;
            let mut shown = runs::shown(state, repo, run);
            let id = shown["workflow_id"].clone();
            // The payload has no links of its own API kind; `name` and `path` are the workflow's.
            let workflow = json!({
                "id": id, "name": shown["name"], "path": shown["path"], "state": "active",
            });
            shown["workflow_url"] =
                json!(format!("{}/actions/workflows/{id}", state.addresses.api));
            Some(json!({
                "action": "completed", "workflow_run": shown, "workflow": workflow,
                "repository": objects::repository(state, repo),
                "sender": objects::user(state, &run.actor),
            }))
        })
    }

    /// `pull_request`, closed.
    #[must_use]
    pub fn pull_request_closed_payload(&self, number: u64) -> Value {
        self.payload("pull-request-closed", |state, repo| {
            let pull = repo.pulls.get(&number)?;
            let by = pull
                .merged
                .as_ref()
                .map_or(&pull.author, |merged| &merged.by);
            Some(json!({
                "action": "closed", "number": number,
                "pull_request": objects::pull(state, repo, pull),
                "repository": objects::repository(state, repo),
                "sender": objects::user(state, by),
            }))
        })
    }

    /// `issue_comment`, created, of the comment with this id.
    #[must_use]
    pub fn comment_payload(&self, comment: u64) -> Value {
        self.payload("issue-comment-created", |state, repo| {
            let comment = repo.comments.get(&comment)?;
            let pull = repo.pulls.get(&comment.issue)?;
            let mut issue = issues::issue(state, repo, pull);
            issue["pull_request"] = json!({
                "url": format!("{}/repos/{}/pulls/{}", state.addresses.api, repo.slug(), pull.number),
                "html_url": issue["pull_request"]["html_url"],
            });
            Some(json!({
                "action": "created", "comment": comments::comment(state, repo, comment),
                "issue": issue, "repository": objects::repository(state, repo),
                "sender": objects::user(state, &comment.author),
            }))
        })
    }

    /// `workflow_dispatch`, as `login` started `file` with these inputs on the default branch.
    #[must_use]
    pub fn dispatch_payload(&self, file: &str, inputs: &Value, login: &str) -> Value {
        self.payload("workflow-dispatch", |state, repo| {
            Some(json!({
                "inputs": inputs, "ref": format!("refs/heads/{}", repo.default_branch),
                "workflow": format!(".github/workflows/{file}"),
                "repository": objects::repository(state, repo), "sender": objects::user(state, login),
            }))
        })
    }

    /// `merge_group`, checks requested, of a group whose head is `head`.
    #[must_use]
    pub fn merge_group_payload(&self, head: &str) -> Value {
        self.payload("merge-group-checks-requested", |state, repo| {
            let commit = state.git.commits.get(head)?;
            let base = commit.parents.first()?;
            let person = objects::person(commit);
            let person = json!({ "name": person["name"], "email": person["email"] });
            Some(json!({
                "action": "checks_requested",
                "merge_group": {
                    "head_sha": head, "base_sha": base, "base_ref": format!("refs/heads/{}", repo.default_branch),
                    "head_ref": format!("refs/heads/gh-readonly-queue/{}/pr-1-{base}", repo.default_branch),
                    "head_commit": {
                        "id": head, "tree_id": commit.tree(), "message": commit.message,
                        "timestamp": commit.at.to_string(), "author": person, "committer": person,
                    },
                },
                "repository": objects::repository(state, repo),
                "sender": objects::user(state, &commit.author),
            }))
        })
    }

    /// `push` of a commit to the default branch.
    #[must_use]
    pub fn push_payload(&self, sha: &str) -> Value {
        self.payload("push", |state, repo| {
            let commit = state.git.commits.get(sha)?;
            let before = commit.parents.first()?;
            let commits: Vec<Value> = state
                .git
                .between(before, sha)
                .iter()
                .map(|sha| pushed_commit(state, repo, sha))
                .collect();
            let mut repository = objects::repository(state, repo);
            // Seconds since 1970 here, text everywhere else.
            repository["created_at"] = json!(repo.created_at.as_second());
            Some(json!({
                "ref": format!("refs/heads/{}", repo.default_branch), "base_ref": null,
                "before": before, "after": sha, "created": false, "deleted": false, "forced": false,
                "compare": format!("{}/compare/{before}...{sha}", state.page_of(repo)),
                "commits": commits, "head_commit": pushed_commit(state, repo, sha),
                "pusher": { "name": commit.author }, "repository": repository,
                "sender": objects::user(state, &commit.author),
            }))
        })
    }

    fn payload(&self, webhook: &str, build: impl Fn(&State, &Repo) -> Option<Value>) -> Value {
        let state = self.lock();
        let built = state
            .repos
            .get(&self.id)
            .and_then(|repo| build(&state, repo));
        let Some(mut payload) = built else {
            panic!("the sandbox's GitHub has nothing to tell in a {webhook} payload");
        };
        drop(state);
        let judge = &self.github.shared.judge;
        judge.complete_payload(webhook, &mut payload);
        let wrong = judge.payload(webhook, &payload);
        self.lock().violations.extend(wrong);
        payload
    }
}

fn pushed_commit(state: &State, repo: &Repo, sha: &str) -> Value {
    let Some(commit) = state.git.commits.get(sha) else {
        return Value::Null;
    };
    let before = commit
        .parents
        .first()
        .map(|parent| state.git.files(parent))
        .unwrap_or_default();
    let changed = differing(&before, &commit.files);
    let paths = |wanted: &str| -> Vec<String> {
        let matching = changed.iter().filter(|(_, how)| *how == wanted);
        matching.map(|(path, _)| path.clone()).collect()
    };
    let person = objects::person(commit);
    json!({
        "id": sha, "tree_id": commit.tree(), "message": commit.message, "distinct": true,
        "timestamp": commit.at.to_string(),
        "url": format!("{}/commit/{sha}", state.page_of(repo)),
        "author": person, "committer": person,
        "added": paths("added"), "removed": paths("removed"), "modified": paths("modified"),
    })
}
