//! A pull request's page, as a person sees it: for the demo, and for snapshots.

use std::fmt::Write as _;

use super::repository::{Repository, pull, repo};
use super::state::{Deployment, Pull, Repo, State};
use super::statuses;

impl Repository {
    /// Title and state, labels, commit statuses, deployments and comments of a pull request, as text.
    #[must_use]
    pub fn page(&self, number: u64) -> String {
        let mut state = self.lock();
        let pull = pull(&mut state, self.id, number).clone();
        let repo = repo(&mut state, self.id);
        let mut text = String::new();
        head(&mut text, repo, &pull);
        labels(&mut text, repo, &pull);
        checks(&mut text, repo, &pull);
        let merged = pull
            .merge_commit_sha
            .clone()
            .filter(|_| pull.merged.is_some());
        deployments(&mut text, repo, [Some(pull.head_sha), merged]);
        comments(&mut text, &state, self.id, number);
        text
    }
}

fn head(text: &mut String, repo: &Repo, pull: &Pull) {
    let state = match (&pull.merged, pull.open, pull.draft) {
        (Some(_), _, _) => "merged",
        (_, true, true) => "draft",
        (_, true, false) => "open",
        (_, false, _) => "closed",
    };
    let _ = writeln!(
        text,
        "{} #{} {} [{state}]",
        repo.slug(),
        pull.number,
        pull.title
    );
    let _ = writeln!(
        text,
        "{} wants to merge {}:{} into {}",
        pull.author, pull.head_owner, pull.head_branch, pull.base
    );
}

fn labels(text: &mut String, repo: &Repo, pull: &Pull) {
    for name in &pull.labels {
        let label = repo.labels.iter().find(|label| label.name == *name);
        let description = label.and_then(|label| label.description.as_deref());
        let _ = match description {
            Some(description) => writeln!(text, "label {name} ({description})"),
            None => writeln!(text, "label {name}"),
        };
    }
}

fn checks(text: &mut String, repo: &Repo, pull: &Pull) {
    for status in statuses::latest(repo, &pull.head_sha) {
        let sign = match status.state.as_str() {
            "success" => "✓",
            "pending" => "●",
            _ => "✗",
        };
        let description = status.description.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{sign} {} — {description}", status.context);
    }
}

fn deployments(text: &mut String, repo: &Repo, commits: [Option<String>; 2]) {
    let shown =
        |deployment: &&Deployment| commits.iter().flatten().any(|sha| *sha == deployment.sha);
    for deployment in repo.deployments.values().filter(shown) {
        // What the page itself says of an ended transient deployment.
        let state = match (deployment.state(), deployment.transient) {
            ("inactive", true) => "destroyed",
            (state, _) => state,
        };
        let url = deployment
            .statuses
            .last()
            .map_or("", |status| status.environment_url.as_str());
        let line = format!("deployment to {} — {state} {url}", deployment.environment);
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn comments(text: &mut String, state: &State, id: u64, number: u64) {
    let comments = state
        .repos
        .get(&id)
        .into_iter()
        .flat_map(|repo| repo.comments.values());
    for comment in comments.filter(|comment| comment.issue == number) {
        let _ = writeln!(text, "\n── {} ──\n{}", comment.author, comment.body);
    }
}
