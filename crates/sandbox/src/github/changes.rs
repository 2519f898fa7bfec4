//! What happens to branches and pull requests: pushes, forks, merges, and the test merge that follows them all.

use super::git::apply;
use super::repository::{AUTHOR, Changes, Repository, add_repo, pull, repo};
use super::state::{Kind, MergeStyle, Merged, Pull, State};

impl Repository {
    /// Commits to the default branch and returns the new commit. Every open pull request gets a new test merge.
    pub fn push_to_base(&self, changes: Changes<'_>) -> String {
        self.push_to("main", changes)
    }

    /// Commits to a branch, which starts at the default branch where it is new, and returns the new commit.
    pub fn push_to(&self, branch: &str, changes: Changes<'_>) -> String {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        let from = repo
            .branches
            .get(branch)
            .map_or(repo.default_head(), String::as_str)
            .to_owned();
        let sha = commit(
            &mut state,
            &from,
            changes,
            &format!("Work on {branch}"),
            AUTHOR,
        );
        self.move_branch(&mut state, branch, &sha);
        sha
    }

    /// Forces the default branch to end with a commit: what came after it is on no branch any more.
    pub fn force_push_to_base(&self, sha: &str) {
        self.move_branch(&mut self.lock(), "main", sha);
    }

    /// Points a branch to a commit; pull requests into it get new test merges, those from it a new head.
    fn move_branch(&self, state: &mut State, branch: &str, sha: &str) {
        let now = state.now();
        let repo = repo(state, self.id);
        repo.branches.insert(branch.to_owned(), sha.to_owned());
        let mut touched = Vec::new();
        for pull in repo.pulls.values_mut().filter(|pull| pull.open) {
            if pull.head_repo == Some(self.id) && pull.head_branch == branch {
                sha.clone_into(&mut pull.head_sha);
                pull.updated_at = now;
            } else if pull.base != branch {
                continue;
            }
            touched.push(pull.number);
        }
        for number in touched {
            test_merge(state, self.id, number);
        }
    }

    /// Opens a pull request from a branch of this repository into the default branch; returns its number.
    pub fn open_pull_request(&self, branch: &str, changes: Changes<'_>) -> u64 {
        self.open_pull_request_onto("main", branch, changes)
    }

    /// Opens a pull request into a branch of any name, which must exist.
    pub fn open_pull_request_onto(&self, base: &str, branch: &str, changes: Changes<'_>) -> u64 {
        let base_sha = self.head(base);
        let mut state = self.lock();
        let head = commit(&mut state, &base_sha, changes, &title(branch), AUTHOR);
        repo(&mut state, self.id)
            .branches
            .insert(branch.to_owned(), head.clone());
        let owner = repo(&mut state, self.id).owner.clone();
        self.open(
            &mut state,
            (base, &base_sha),
            (&owner, self.id, branch, &head),
            AUTHOR,
        )
    }

    /// Opens a pull request from `owner`'s fork, which is made where there is none; returns its number.
    pub fn open_pull_request_from_fork(
        &self,
        owner: &str,
        branch: &str,
        changes: Changes<'_>,
    ) -> u64 {
        let base_sha = self.head("main");
        let fork = self.fork(owner);
        let mut state = self.lock();
        let head = commit(&mut state, &base_sha, changes, &title(branch), owner);
        repo(&mut state, fork)
            .branches
            .insert(branch.to_owned(), head.clone());
        self.open(
            &mut state,
            ("main", &base_sha),
            (owner, fork, branch, &head),
            owner,
        )
    }

    /// The id of `owner`'s fork.
    fn fork(&self, owner: &str) -> u64 {
        let mut state = self.lock();
        state.user(owner, Kind::User);
        let (name, main) = {
            let repo = repo(&mut state, self.id);
            (repo.name.clone(), repo.default_head().to_owned())
        };
        if let Some(fork) = state.repo_by_slug(owner, &name) {
            return fork.id;
        }
        let id = add_repo(&mut state, (owner, &name), Some(self.id));
        repo(&mut state, id)
            .branches
            .insert("main".to_owned(), main);
        id
    }

    fn open(
        &self,
        state: &mut State,
        (base, base_sha): (&str, &str),
        (head_owner, head_repo, head_branch, head_sha): (&str, u64, &str, &str),
        author: &str,
    ) -> u64 {
        let (id, now) = (state.id(), state.now());
        let repo = repo(state, self.id);
        let number = repo.pulls.keys().last().copied().unwrap_or(6) + 1;
        let pull = Pull {
            number,
            id,
            title: title(head_branch),
            body: None,
            author: author.to_owned(),
            draft: false,
            open: true,
            base: base.to_owned(),
            base_sha: base_sha.to_owned(),
            head_owner: head_owner.to_owned(),
            head_repo: Some(head_repo),
            head_branch: head_branch.to_owned(),
            head_sha: head_sha.to_owned(),
            merge_commit_sha: None,
            mergeable: None,
            lag: 0,
            stale_merge_commit_sha: None,
            merged: None,
            labels: Vec::new(),
            created_at: now,
            updated_at: now,
            closed_at: None,
        };
        repo.pulls.insert(number, pull);
        test_merge(state, self.id, number);
        number
    }

    /// Deletes `owner`'s fork: its pull requests stay, without a head repository.
    pub fn delete_fork(&self, owner: &str) {
        let fork = self.fork(owner);
        let mut state = self.lock();
        state.repos.remove(&fork);
        for repo in state.repos.values_mut() {
            let heads = repo.pulls.values_mut().map(|pull| &mut pull.head_repo);
            let runs = repo.runs.values_mut().map(|run| &mut run.head_repo);
            heads
                .chain(runs)
                .filter(|head| **head == Some(fork))
                .for_each(|head| *head = None);
        }
    }

    /// Commits to the pull request's branch and returns the new H; B is made anew.
    pub fn push(&self, number: u64, changes: Changes<'_>) -> String {
        let mut state = self.lock();
        let (head, author) = {
            let pull = pull(&mut state, self.id, number);
            (pull.head_sha.clone(), pull.author.clone())
        };
        let sha = commit(&mut state, &head, changes, "More of it", &author);
        self.move_head(&mut state, number, &sha);
        sha
    }

    /// Rebases the pull request onto the newest base by force-push and returns the new H.
    pub fn rebase(&self, number: u64) -> String {
        let mut state = self.lock();
        let (old_base, head, base) = {
            let pull = pull(&mut state, self.id, number);
            (
                pull.base_sha.clone(),
                pull.head_sha.clone(),
                pull.base.clone(),
            )
        };
        let onto = repo(&mut state, self.id).branches[&base].clone();
        let sha = rebased(&mut state, &old_base, &head, &onto);
        self.move_head(&mut state, number, &sha);
        sha
    }

    fn move_head(&self, state: &mut State, number: u64, sha: &str) {
        let now = state.now();
        let repository = repo(state, self.id);
        let pull = &mut repository.pulls.get_mut(&number);
        let Some(pull) = pull else { return };
        sha.clone_into(&mut pull.head_sha);
        pull.updated_at = now;
        if let Some(base) = repository.branches.get(&pull.base) {
            base.clone_into(&mut pull.base_sha);
        }
        let (head_repo, branch) = (pull.head_repo, pull.head_branch.clone());
        if let Some(head) = head_repo.and_then(|id| state.repos.get_mut(&id)) {
            head.branches.insert(branch, sha.to_owned());
        }
        test_merge(state, self.id, number);
    }

    /// Closes without merging.
    pub fn close(&self, number: u64) {
        let mut state = self.lock();
        let now = state.now();
        let pull = pull(&mut state, self.id, number);
        pull.open = false;
        pull.closed_at = Some(now);
        pull.updated_at = now;
    }

    /// Opens a closed pull request again.
    pub fn reopen(&self, number: u64) {
        let mut state = self.lock();
        let now = state.now();
        let pull = pull(&mut state, self.id, number);
        assert!(
            pull.merged.is_none(),
            "a merged pull request cannot be reopened"
        );
        pull.open = true;
        pull.closed_at = None;
        pull.updated_at = now;
        test_merge(&mut state, self.id, number);
    }

    /// Lets the merge queue make a group of this one pull request, and returns its head: the merge as it is to be.
    /// <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>
    pub fn queue(&self, number: u64) -> String {
        let mut state = self.lock();
        let now = state.now();
        let found = pull(&mut state, self.id, number).clone();
        let old = repo(&mut state, self.id).branches[&found.base].clone();
        let Some(files) = state.git.merged(&old, &found.head_sha) else {
            panic!("pull request {number} conflicts with {}", found.base);
        };
        let message = format!("Merge pull request #{number} from {}", found.head_branch);
        let parents = vec![old.clone(), found.head_sha.clone()];
        let sha = state.git.commit(files, parents, &message, AUTHOR, now);
        let group = format!("{}-{old}", group_of(&found));
        repo(&mut state, self.id)
            .branches
            .insert(group, sha.clone());
        sha
    }

    /// Lets the merge queue give the pull request's group up: what it was to be is on no branch any more.
    pub fn unqueue(&self, number: u64) {
        let mut state = self.lock();
        let group = group_of(pull(&mut state, self.id, number));
        let branches = &mut repo(&mut state, self.id).branches;
        branches.retain(|branch, _| !branch.starts_with(&group));
    }

    /// Lets the merge queue merge the pull request's group: its head becomes that of the base branch.
    pub fn merge_queued(&self, number: u64) -> String {
        let mut state = self.lock();
        let found = pull(&mut state, self.id, number).clone();
        let group = group_of(&found);
        let mut branches = repo(&mut state, self.id).branches.iter();
        let queued = branches.find(|(branch, _)| branch.starts_with(&group));
        let Some((branch, sha)) = queued.map(|(branch, sha)| (branch.clone(), sha.clone())) else {
            panic!("pull request {number} is in no group of the merge queue");
        };
        self.landed(&mut state, &found, &sha);
        repo(&mut state, self.id).branches.remove(&branch);
        sha
    }

    /// Merges into the base branch as `alice` and returns M, which is never H or B.
    pub fn merge(&self, number: u64, style: MergeStyle) -> String {
        let mut state = self.lock();
        let now = state.now();
        let found = pull(&mut state, self.id, number).clone();
        let old = repo(&mut state, self.id).branches[&found.base].clone();
        let Some(files) = state
            .git
            .merged(&old, &found.head_sha)
            .filter(|_| found.open)
        else {
            panic!(
                "pull request {number} conflicts with {} or is closed",
                found.base
            );
        };
        let title = format!("{} (#{number})", found.title);
        let sha = match style {
            MergeStyle::Merge => {
                let message = format!("Merge pull request #{number} from {}", found.head_branch);
                let parents = vec![old.clone(), found.head_sha.clone()];
                state.git.commit(files, parents, &message, AUTHOR, now)
            }
            MergeStyle::Squash => state
                .git
                .commit(files, vec![old.clone()], &title, AUTHOR, now),
            MergeStyle::Rebase => rebased(&mut state, &found.base_sha, &found.head_sha, &old),
        };
        self.landed(&mut state, &found, &sha);
        sha
    }

    /// The pull request `found` is merged as `sha`, with which its base branch ends now.
    fn landed(&self, state: &mut State, found: &Pull, sha: &str) {
        let now = state.now();
        let old = repo(state, self.id).branches[&found.base].clone();
        let introduced = state.git.between(&old, sha);
        let pull = pull(state, self.id, found.number);
        pull.open = false;
        pull.closed_at = Some(now);
        pull.updated_at = now;
        pull.merge_commit_sha = Some(sha.to_owned());
        pull.merged = Some(Merged {
            at: now,
            by: AUTHOR.to_owned(),
            introduced,
        });
        self.move_branch(state, &found.base, sha);
    }
}

/// What the branch of a pull request's group in the merge queue begins with.
fn group_of(pull: &Pull) -> String {
    format!("gh-readonly-queue/{}/pr-{}", pull.base, pull.number)
}

fn title(branch: &str) -> String {
    let words = branch
        .rsplit('/')
        .next()
        .unwrap_or(branch)
        .replace(['-', '_'], " ");
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

fn commit(
    state: &mut State,
    parent: &str,
    changes: Changes<'_>,
    message: &str,
    author: &str,
) -> String {
    let files = state.git.files(parent);
    let files = state.git.changed(files, changes);
    let at = state.now();
    state
        .git
        .commit(files, vec![parent.to_owned()], message, author, at)
}

/// Makes B anew: H merged into today's base.
fn test_merge(state: &mut State, repository: u64, number: u64) {
    let found = pull(state, repository, number).clone();
    let Some(base) = repo(state, repository).branches.get(&found.base).cloned() else {
        return;
    };
    let at = state.now();
    let merged = state.git.merged(&base, &found.head_sha).map(|files| {
        let message = format!("Merge {} into {base}", found.head_sha);
        state.git.commit(
            files,
            vec![base.clone(), found.head_sha.clone()],
            &message,
            "GitHub",
            at,
        )
    });
    let pull = pull(state, repository, number);
    pull.mergeable = Some(merged.is_some());
    pull.stale_merge_commit_sha = std::mem::replace(&mut pull.merge_commit_sha, merged);
}

/// Makes the commits of `head` since `old_base` anew on `onto`; returns the last.
fn rebased(state: &mut State, old_base: &str, head: &str, onto: &str) -> String {
    let at = state.now();
    let mut tip = onto.to_owned();
    for sha in state.git.between(old_base, head) {
        let Some(old) = state.git.commits.get(&sha).cloned() else {
            continue;
        };
        let parent = old.parents.first().cloned().unwrap_or_default();
        let files = apply(&state.git.files(&parent), &old.files, state.git.files(&tip));
        let Some(files) = files else {
            panic!("rebasing {sha} onto {onto} conflicts");
        };
        tip = state
            .git
            .commit(files, vec![tip], &old.message, &old.author, at);
    }
    tip
}
