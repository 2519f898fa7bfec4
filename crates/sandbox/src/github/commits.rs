//! Commits, trees, refs, comparisons and file contents.

use serde_json::{Value, json};

use super::call::{Answer, Call, Headers, page};
use super::git::{Commit, Files, folders, tree_sha};
use super::objects;
use super::pulls::changed_files;
use super::state::{Repo, State};

/// A tree with more entries is answered in part, and says so.
/// <https://docs.github.com/en/rest/git/trees#get-a-tree>
const MOST_ENTRIES: usize = 100_000;

pub(super) fn route(state: &mut State, repo: u64, call: &Call) -> Option<Answer> {
    if call.operation == "GET /commits/{commit_sha}/pulls" {
        return Some(pulls(state, repo, call));
    }
    let state = &*state;
    let repo = state.repos.get(&repo)?;
    match call.operation.as_str() {
        "GET /commits/{ref}" => Some(commit(state, repo, call.parameter("ref"))),
        "GET /git/commits/{commit_sha}" => {
            Some(git_commit(state, repo, call.parameter("commit_sha")))
        }
        "GET /git/blobs/{file_sha}" => Some(blob(state, call.parameter("file_sha"))),
        "GET /git/trees/{tree_sha}" => Some(tree(state, repo, call)),
        "GET /git/ref/{ref}" => Some(git_ref(repo, call.parameter("ref"))),
        "GET /git/matching-refs/{ref}" => Some(matching_refs(repo, call.parameter("ref"))),
        "GET /compare/{basehead}" => Some(compare(state, repo, call)),
        "GET /contents/{path}" => Some(contents(state, repo, call)),
        _ => None,
    }
}

/// What a ref names: a branch, a SHA or an unambiguous start of one, or a pull request's head or test merge.
pub(super) fn resolve<'a>(state: &'a State, repo: &'a Repo, name: &str) -> Option<&'a Commit> {
    let short = name
        .trim_start_matches("refs/")
        .trim_start_matches("heads/");
    let sha = match short
        .strip_prefix("pull/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((number, kind)) => {
            let pull = repo.pulls.get(&number.parse().ok()?)?;
            match kind {
                "head" => Some(pull.head_sha.as_str()),
                "merge" if pull.open => pull.merge_commit_sha.as_deref(),
                _ => None,
            }
        }
        None => repo.branches.get(short).map(String::as_str),
    };
    match sha {
        Some(sha) => state.git.commits.get(sha),
        None => by_sha(state, name),
    }
}

fn by_sha<'a>(state: &'a State, name: &str) -> Option<&'a Commit> {
    if name.len() < 7 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let name = name.to_lowercase();
    let mut found = state
        .git
        .commits
        .range(name.clone()..)
        .take_while(|(sha, _)| sha.starts_with(&name));
    found
        .next()
        .map(|(_, commit)| commit)
        .filter(|_| found.next().is_none())
}

/// GitHub's 422 for a SHA that it does not know.
pub(super) fn no_commit(sha: &str) -> Answer {
    Answer::error(422, &format!("No commit found for SHA: {sha}"))
}

fn commit(state: &State, repo: &Repo, name: &str) -> Answer {
    let Some(commit) = resolve(state, repo, name) else {
        return no_commit(name);
    };
    let before = commit
        .parents
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let mut value = objects::commit(state, repo, commit);
    value["files"] = Value::Array(changed_files(state, repo, before, &commit.sha));
    Answer::ok(value)
}

fn git_commit(state: &State, repo: &Repo, sha: &str) -> Answer {
    let Some(commit) = state.git.commits.get(sha) else {
        return Answer::not_found();
    };
    let link = |sha: &str| format!("{}/commit/{sha}", state.page_of(repo));
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "html_url": link(sha) }))
        .collect();
    let person = objects::person(commit);
    Answer::ok(json!({
        "sha": commit.sha, "message": commit.message, "html_url": link(sha),
        "tree": { "sha": commit.tree() }, "parents": parents,
        "author": person, "committer": person,
        "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null },
    }))
}

/// A commit on the default branch: the merged pull request that brought it. Any other: those whose head's history,
/// in this repository, holds it. A fork's commit has none.
fn pulls(state: &mut State, id: u64, call: &Call) -> Answer {
    if let Some(repo) = state
        .repos
        .get_mut(&id)
        .filter(|repo| repo.commit_pulls_lag > 0)
    {
        repo.commit_pulls_lag -= 1;
        return Answer::page(call, vec![]);
    }
    let state = &*state;
    let Some(repo) = state.repos.get(&id) else {
        return Answer::not_found();
    };
    let sha = call.parameter("commit_sha");
    if !state.git.commits.contains_key(sha) {
        return no_commit(sha);
    }
    let landed = state.git.contains(repo.default_head(), sha);
    let of_pull = |sha: &String| sha == call.parameter("commit_sha");
    let found = repo.pulls.values().filter(|pull| match &pull.merged {
        Some(merged) if landed => merged.introduced.iter().any(of_pull),
        _ if landed || pull.head_repo != Some(id) => false,
        merged => {
            (pull.open || merged.is_some())
                && state
                    .git
                    .between(&pull.base_sha, &pull.head_sha)
                    .iter()
                    .any(of_pull)
        }
    });
    Answer::page(
        call,
        found
            .map(|pull| objects::listed_pull(state, repo, pull))
            .collect(),
    )
}

/// The files of a tree named by a tree's SHA, a commit's SHA or a branch.
fn files_of_tree<'a>(state: &'a State, repo: &'a Repo, name: &str) -> Option<(&'a Files, String)> {
    if let Some(commit) = resolve(state, repo, name) {
        return Some((&commit.files, String::new()));
    }
    state.git.commits.values().find_map(|commit| {
        if commit.tree() == name {
            return Some((&commit.files, String::new()));
        }
        let mut folders = folders(&commit.files).into_iter();
        let folder = folders.find(|folder| tree_sha(&commit.files, folder) == name)?;
        Some((&commit.files, folder))
    })
}

fn tree(state: &State, repo: &Repo, call: &Call) -> Answer {
    let Some((files, root)) = files_of_tree(state, repo, call.parameter("tree_sha")) else {
        return Answer::not_found();
    };
    // Any value asks for it, `false` included, says GitHub's reference.
    let recursive = call.asked("recursive").is_some();
    let shown = |path: &str| recursive || !path.contains('/');
    let blobs = files.iter().filter_map(|(path, sha)| {
        let path = path.strip_prefix(&root)?;
        let size = state.git.blobs.get(sha).map_or(0, Vec::len);
        shown(path).then(
            || json!({ "path": path, "mode": "100644", "type": "blob", "sha": sha, "size": size }),
        )
    });
    let trees = folders(files).into_iter().filter_map(|folder| {
        let path = folder.strip_prefix(&root)?.trim_end_matches('/').to_owned();
        let sha = tree_sha(files, &folder);
        (!path.is_empty() && shown(&path))
            .then(|| json!({ "path": path, "mode": "040000", "type": "tree", "sha": sha }))
    });
    let mut entries: Vec<Value> = blobs.chain(trees).collect();
    entries.sort_by_key(|entry| entry["path"].to_string());
    let truncated = entries.len() > MOST_ENTRIES;
    entries.truncate(MOST_ENTRIES);
    Answer::ok(json!({ "sha": tree_sha(files, &root), "truncated": truncated, "tree": entries }))
}

fn blob(state: &State, sha: &str) -> Answer {
    state
        .git
        .blobs
        .get(sha)
        .map_or_else(Answer::not_found, |bytes| {
            Answer::ok(json!({
                "sha": sha, "size": bytes.len(), "encoding": "base64", "content": base64(bytes),
            }))
        })
}

fn git_ref(repo: &Repo, name: &str) -> Answer {
    let branch = name
        .strip_prefix("heads/")
        .and_then(|branch| repo.branches.get(branch));
    branch.map_or_else(Answer::not_found, |sha| Answer::ok(reference(name, sha)))
}

fn reference(name: &str, sha: &str) -> Value {
    json!({ "ref": format!("refs/{name}"), "object": { "type": "commit", "sha": sha } })
}

/// The branches whose names begin so, all of them at once.
fn matching_refs(repo: &Repo, begin: &str) -> Answer {
    let branches = repo.branches.iter();
    let named = branches.map(|(branch, sha)| (format!("heads/{branch}"), sha));
    let matching = named.filter(|(name, _)| name.starts_with(begin));
    Answer::ok(matching.map(|(name, sha)| reference(&name, sha)).collect())
}

/// One side of a comparison: a ref of this repository, or `owner:branch` of a fork of it.
fn side<'a>(state: &'a State, repo: &'a Repo, name: &str) -> Option<&'a Commit> {
    match name.split_once(':') {
        Some((owner, branch)) => {
            let related = |other: &&Repo| {
                other.owner.eq_ignore_ascii_case(owner)
                    && (other.id == repo.id || other.fork_of == Some(repo.id))
            };
            resolve(state, state.repos.values().find(related)?, branch)
        }
        None => resolve(state, repo, name),
    }
}

fn compare(state: &State, repo: &Repo, call: &Call) -> Answer {
    let sides = call.parameter("basehead").split_once("...");
    let found = sides.and_then(|(b, h)| Some((side(state, repo, b)?, side(state, repo, h)?)));
    let Some((base, head)) = found else {
        return Answer::not_found();
    };
    let Some(ancestor) = state.git.merge_base(&base.sha, &head.sha) else {
        return Answer::error(404, "No common ancestor between the two commits");
    };
    let ahead = state.git.between(&base.sha, &head.sha);
    let behind = state.git.between(&head.sha, &base.sha).len();
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let commit = |sha: &String| Some(objects::commit(state, repo, state.git.commits.get(sha)?));
    let commits: Vec<Value> = ahead.iter().filter_map(commit).collect();
    let (commits, link) = compared_commits(call, commits);
    // Changed files come with the first page only.
    let first = call.asked("page").is_none_or(|page| page == "1");
    let files = first.then(|| changed_files(state, repo, &ancestor, &head.sha));
    let body = json!({
        "status": status, "ahead_by": ahead.len(), "behind_by": behind,
        "total_commits": ahead.len(), "commits": commits,
        "base_commit": commit(&base.sha), "merge_base_commit": commit(&ancestor),
        "files": files.unwrap_or_default(),
    });
    Answer {
        headers: link,
        ..Answer::ok(body)
    }
}

/// Pages only when asked for; otherwise the first 250, says GitHub's reference.
fn compared_commits(call: &Call, mut commits: Vec<Value>) -> (Vec<Value>, Headers) {
    if call.asked("per_page").is_some() || call.asked("page").is_some() {
        return page(call, commits);
    }
    commits.truncate(250);
    (commits, Headers::new())
}

fn contents(state: &State, repo: &Repo, call: &Call) -> Answer {
    let name = call.asked("ref").unwrap_or(&repo.default_branch);
    let Some(commit) = resolve(state, repo, name) else {
        return Answer::error(404, &format!("No commit found for the ref {name}"));
    };
    let path = call.parameter("path").trim_matches('/');
    if let Some(sha) = commit.files.get(path) {
        let bytes = state.git.blobs.get(sha).cloned().unwrap_or_default();
        if call.accept.contains("raw") {
            return Answer::raw(bytes);
        }
        let mut value = entry("file", path, sha, bytes.len());
        value["encoding"] = json!("base64");
        value["content"] = json!(base64(&bytes));
        return Answer::ok(value);
    }
    let listed = folder(state, &commit.files, &format!("{path}/"));
    if listed.is_empty() {
        Answer::not_found()
    } else {
        Answer::ok(Value::Array(listed))
    }
}

fn folder(state: &State, files: &Files, folder: &str) -> Vec<Value> {
    let direct = |path: &String| {
        path.strip_prefix(folder)
            .is_some_and(|rest| !rest.trim_end_matches('/').contains('/'))
    };
    let size = |sha: &String| state.git.blobs.get(sha).map_or(0, Vec::len);
    let inner = folders(files);
    let inner = inner
        .iter()
        .filter(|path| direct(path) && path.as_str() != folder);
    let trees =
        inner.map(|path| entry("dir", path.trim_end_matches('/'), &tree_sha(files, path), 0));
    let blobs = files.iter().filter(|(path, _)| direct(path));
    trees
        .chain(blobs.map(|(path, sha)| entry("file", path, sha, size(sha))))
        .collect()
}

fn entry(kind: &str, path: &str, sha: &str, size: usize) -> Value {
    let name = path.rsplit('/').next().unwrap_or(path);
    json!({ "type": kind, "name": name, "path": path, "sha": sha, "size": size })
}

/// Base64 in lines of 60, as GitHub sends contents.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (i, chunk) in bytes.chunks(3).enumerate() {
        if i > 0 && i % 15 == 0 {
            text.push('\n');
        }
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_as_everybody_else_writes_it() {
        assert_eq!(super::base64(b"Man"), "TWFu\n");
        assert_eq!(super::base64(b"Ma"), "TWE=\n");
        assert_eq!(super::base64(b"M"), "TQ==\n");
        assert_eq!(
            super::base64(&[0; 46]).lines().next().map(str::len),
            Some(60)
        );
    }
}
