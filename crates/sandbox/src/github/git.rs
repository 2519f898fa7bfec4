//! Commits, trees and blobs: as much of git as answers what was merged, from what, and whether trees are equal.
//!
//! SHAs are 40 hex digits of a SHA-256 over content and a running number, so that no two commits share one, not even
//! when tree, parents and message agree. Trees and blobs are named by content alone: equal trees have equal SHAs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Path of a file to the SHA of its blob.
pub(super) type Files = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) sha: String,
    pub(super) files: Files,
    pub(super) parents: Vec<String>,
    pub(super) message: String,
    pub(super) author: String,
    pub(super) at: Timestamp,
}

impl Commit {
    /// The SHA of the root tree.
    pub(super) fn tree(&self) -> String {
        tree_sha(&self.files, "")
    }
}

/// All objects of all repositories: a fork shares them with its parent, as on GitHub.
#[derive(Debug, Default)]
pub(super) struct Git {
    pub(super) commits: BTreeMap<String, Commit>,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
}

impl Git {
    pub(super) fn commit(
        &mut self,
        files: Files,
        parents: Vec<String>,
        message: &str,
        author: &str,
        at: Timestamp,
    ) -> String {
        let number = self.commits.len();
        let sha = hash(&format!(
            "commit {number} {parents:?} {message} {}",
            tree_sha(&files, "")
        ));
        let commit = Commit {
            sha: sha.clone(),
            files,
            parents,
            message: message.to_owned(),
            author: author.to_owned(),
            at,
        };
        self.commits.insert(sha.clone(), commit);
        sha
    }

    /// `files` with `changes` applied; a change to the empty text removes the file.
    pub(super) fn changed(&mut self, mut files: Files, changes: &[(&str, &str)]) -> Files {
        for (path, content) in changes {
            if content.is_empty() {
                files.remove(*path);
                continue;
            }
            let sha = hash(&format!("blob {content}"));
            self.blobs.insert(sha.clone(), content.as_bytes().to_vec());
            files.insert((*path).to_owned(), sha);
        }
        files
    }

    pub(super) fn files(&self, sha: &str) -> Files {
        self.commits
            .get(sha)
            .map(|commit| commit.files.clone())
            .unwrap_or_default()
    }

    fn parents(&self, sha: &str) -> &[String] {
        self.commits.get(sha).map_or(&[], |commit| &commit.parents)
    }

    /// `sha` and all its ancestors; every commit before its parents.
    pub(super) fn history(&self, sha: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        // A commit is put down when it comes up the second time, after all its parents.
        let mut stack = vec![(sha.to_owned(), false)];
        while let Some((sha, parents_done)) = stack.pop() {
            if parents_done {
                found.push(sha);
            } else if self.commits.contains_key(&sha) && seen.insert(sha.clone()) {
                stack.push((sha.clone(), true));
                let parents = self.parents(&sha).iter().rev();
                stack.extend(parents.map(|parent| (parent.clone(), false)));
            }
        }
        found.reverse();
        found
    }

    pub(super) fn contains(&self, head: &str, sha: &str) -> bool {
        self.history(head).iter().any(|ancestor| ancestor == sha)
    }

    /// The commits of `head` that `base` lacks, oldest first.
    pub(super) fn between(&self, base: &str, head: &str) -> Vec<String> {
        let known: BTreeSet<String> = self.history(base).into_iter().collect();
        let mut new = self.history(head);
        new.retain(|sha| !known.contains(sha));
        new.reverse();
        new
    }

    /// A commit that both have and that is no ancestor of another such; `None` for unrelated histories.
    pub(super) fn merge_base(&self, base: &str, head: &str) -> Option<String> {
        let known: BTreeSet<String> = self.history(base).into_iter().collect();
        // Commits come before their parents, so the first that is shared is an ancestor of no other shared one.
        self.history(head)
            .into_iter()
            .find(|sha| known.contains(sha))
    }

    /// The files of merging `head` into `base`; `None` when both changed the same file differently.
    pub(super) fn merged(&self, base: &str, head: &str) -> Option<Files> {
        let ancestor = self.merge_base(base, head)?;
        apply(&self.files(&ancestor), &self.files(head), self.files(base))
    }
}

/// What changed from `before` to `after`, applied to `onto`; `None` on a conflict.
pub(super) fn apply(before: &Files, after: &Files, mut onto: Files) -> Option<Files> {
    for (path, _) in differing(before, after) {
        let (old, new) = (before.get(&path), after.get(&path));
        let here = onto.get(&path);
        if here != old && here != new {
            return None;
        }
        match new {
            Some(sha) => onto.insert(path, sha.clone()),
            None => onto.remove(&path),
        };
    }
    Some(onto)
}

/// The paths that differ, each with `added`, `removed` or `modified`.
pub(super) fn differing(before: &Files, after: &Files) -> Vec<(String, &'static str)> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let how = match (before.get(path), after.get(path)) {
                (None, _) => "added",
                (_, None) => "removed",
                (old, new) if old == new => return None,
                _ => "modified",
            };
            Some((path.clone(), how))
        })
        .collect()
}

/// The SHA of the tree at `folder`, which is empty or ends with a slash.
pub(super) fn tree_sha(files: &Files, folder: &str) -> String {
    let entries = files.iter().filter_map(|(path, sha)| {
        let inner = path.strip_prefix(folder)?;
        Some(format!("{inner} {sha}\n"))
    });
    hash(&format!("tree {}", entries.collect::<String>()))
}

/// The folders of a tree, each ending with a slash.
pub(super) fn folders(files: &Files) -> BTreeSet<String> {
    let slashes = |path: &String| {
        let path = path.clone();
        path.match_indices('/')
            .map(|(i, _)| path[..=i].to_owned())
            .collect::<Vec<_>>()
    };
    files.keys().flat_map(slashes).collect()
}

/// 40 hexadecimal digits.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(git: &mut Git, parents: &[&String], path: &str) -> String {
        let first = parents
            .first()
            .map(|sha| git.files(sha))
            .unwrap_or_default();
        let files = git.changed(first, &[(path, "x")]);
        let parents = parents.iter().map(|sha| (*sha).clone()).collect();
        git.commit(files, parents, path, "alice", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_branch_that_took_in_its_base_is_compared_with_what_it_took_in() {
        let mut git = Git::default();
        let root = commit(&mut git, &[], "root");
        let base = commit(&mut git, &[&root], "base");
        let mine = commit(&mut git, &[&root], "mine");
        let merge = commit(&mut git, &[&mine, &base], "merge");
        let head = commit(&mut git, &[&merge], "head");
        assert_eq!(git.merge_base(&base, &head), Some(base.clone()));
        assert_eq!(git.between(&base, &head), [mine, merge, head]);
    }

    #[test]
    fn history_goes_from_children_to_parents_whatever_the_distance() {
        let mut git = Git::default();
        let root = commit(&mut git, &[], "root");
        let mut long = root.clone();
        for i in 0..3 {
            long = commit(&mut git, &[&long], &i.to_string());
        }
        let tip = commit(&mut git, &[&root, &long], "tip");
        assert_eq!(git.history(&tip).last(), Some(&root));
        assert_eq!(git.merge_base(&long, &tip), Some(long));
    }
}
