//! Pull requests: lists, one by number, its files and commits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::git::{Files, differing};
use super::objects;
use super::state::{Pull, Repo, State};

/// A pull request's list of files ends here, without a word.
/// <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files>
const MOST_FILES: usize = 3_000;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    let number = call.number("pull_number");
    match call.operation.as_str() {
        "GET /pulls" => Some(list(state, state.repos.get(&repo)?, call)),
        "GET /pulls/{pull_number}" => Some(get(state, repo, number)),
        "GET /pulls/{pull_number}/files" => Some(with(state, repo, number, |repo, pull| {
            let mut files = files(state, repo, pull);
            files.truncate(MOST_FILES);
            Answer::page(call, files)
        })),
        "GET /pulls/{pull_number}/commits" => Some(with(state, repo, number, |repo, pull| {
            let new = state.git.between(&pull.base_sha, &pull.head_sha);
            let commits = new.iter().filter_map(|sha| state.git.commits.get(sha));
            Answer::page(
                call,
                commits.map(|c| objects::commit(state, repo, c)).collect(),
            )
        })),
        _ => None,
    }
}

fn with(state: &State, repo: u64, number: u64, answer: impl Fn(&Repo, &Pull) -> Answer) -> Answer {
    let found = state
        .repos
        .get(&repo)
        .and_then(|repo| Some((repo, repo.pulls.get(&number)?)));
    found.map_or_else(Answer::not_found, |(repo, pull)| answer(repo, pull))
}

fn get(state: &mut State, repo: u64, number: u64) -> Answer {
    let answer = with(state, repo, number, |repo, pull| {
        Answer::ok(objects::pull(state, repo, pull))
    });
    let pull = state
        .repos
        .get_mut(&repo)
        .and_then(|repo| repo.pulls.get_mut(&number));
    if let Some(pull) = pull {
        // GitHub computes the test merge in the background; asking is what makes it do so.
        pull.lag = pull.lag.saturating_sub(1);
    }
    answer
}

fn list(state: &State, repo: &Repo, call: &Call) -> Answer {
    let wanted = call.asked("state").unwrap_or("open");
    let head = call.asked("head");
    let base = call.asked("base");
    let mut found: Vec<&Pull> = repo
        .pulls
        .values()
        .filter(|pull| wanted == "all" || (wanted == "open") == pull.open)
        .filter(|pull| head.is_none_or(|head| is_head(pull, head)))
        .filter(|pull| base.is_none_or(|base| pull.base == base))
        .collect();
    let by_update = call.asked("sort") == Some("updated");
    found.sort_by_key(|pull| {
        let time = if by_update {
            pull.updated_at
        } else {
            pull.created_at
        };
        (time, pull.number)
    });
    // Newest first by default when sorting by creation, oldest first otherwise.
    let default = if call.asked("sort").is_none_or(|sort| sort == "created") {
        "desc"
    } else {
        "asc"
    };
    if call.asked("direction").unwrap_or(default) == "desc" {
        found.reverse();
    }
    Answer::page_of(call, found, |pull| objects::listed_pull(state, repo, pull))
}

/// `owner:branch`; GitHub ignores a filter without an owner.
fn is_head(pull: &Pull, head: &str) -> bool {
    head.split_once(':').is_none_or(|(owner, branch)| {
        pull.head_owner.eq_ignore_ascii_case(owner) && pull.head_branch == branch
    })
}

fn files(state: &State, repo: &Repo, pull: &Pull) -> Vec<Value> {
    let base = state
        .git
        .merge_base(&pull.base_sha, &pull.head_sha)
        .unwrap_or_default();
    changed_files(state, repo, &base, &pull.head_sha)
}

/// The differences between two commits' trees.
pub(super) fn changed_files(state: &State, repo: &Repo, before: &str, after: &str) -> Vec<Value> {
    let (old, new) = (state.git.files(before), state.git.files(after));
    let lines = |sha: Option<&String>| {
        let blob = sha.and_then(|sha| state.git.blobs.get(sha));
        blob.map_or(0, |bytes| {
            bytes
                .split(|byte| *byte == b'\n')
                .filter(|l| !l.is_empty())
                .count()
        })
    };
    renamed(differing(&old, &new), &old, &new)
        .into_iter()
        .map(|(path, status, previous)| {
            // Whole files, not a line-wise difference: enough to say how much was touched.
            let (added, removed) = match previous {
                Some(_) => (0, 0),
                None => (lines(new.get(&path)), lines(old.get(&path))),
            };
            let mut file = json!({
                "filename": path, "status": status, "sha": new.get(&path).or(old.get(&path)),
                "additions": added, "deletions": removed, "changes": added + removed,
                "blob_url": format!("{}/blob/{after}/{path}", state.page_of(repo)),
            });
            if let Some(previous) = previous {
                file["previous_filename"] = json!(previous);
            }
            file
        })
        .collect()
}

/// A file that went while one with its content came was renamed: GitHub lists it once, under its new path.
fn renamed(
    differences: Vec<(String, &'static str)>,
    old: &Files,
    new: &Files,
) -> Vec<(String, &'static str, Option<String>)> {
    let with = |wanted| {
        let of = differences
            .iter()
            .filter(move |(_, status)| *status == wanted);
        of.map(|(path, _)| path).collect::<Vec<_>>()
    };
    let mut gone = with("removed");
    let mut came: BTreeMap<&String, &String> = BTreeMap::new();
    for path in with("added") {
        if let Some(at) = gone.iter().position(|gone| old.get(*gone) == new.get(path)) {
            came.insert(path, gone.remove(at));
        }
    }
    differences
        .iter()
        .filter(|(path, status)| *status != "removed" || gone.contains(&path))
        .map(|(path, status)| match came.get(path) {
            Some(previous) => (path.clone(), "renamed", Some((*previous).clone())),
            None => (path.clone(), *status, None),
        })
        .collect()
}
