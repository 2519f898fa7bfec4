//! What people do to a repository, as verbs for tests.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use super::state::{Environment, Kind, Permission, Pull, Repo, State};
use super::{ACTIONS_BOT, GitHub, comments, labels};

/// A file's path and its whole new content; an empty content removes the file.
pub(super) type Changes<'a> = &'a [(&'a str, &'a str)];

/// A repository on the sandbox's GitHub.
///
/// Its verbs panic when they are asked for something that is not there, such as the merge of a pull request that
/// conflicts: that is a mistake in the test.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) github: GitHub,
    pub(super) id: u64,
}

/// `alice`, who owns no repository, may write to all of them and opens the pull requests of their branches.
pub(super) const AUTHOR: &str = "alice";

impl GitHub {
    /// Creates the repository `owner/name` with `files` on its default branch `main`, and the collaborator `alice`.
    pub fn create_repository(&self, slug: &str, files: Changes<'_>) -> Repository {
        let (owner, name) = slug.split_once('/').unwrap_or((slug, "repository"));
        let mut state = self.lock();
        for login in [owner, AUTHOR] {
            state.user(login, Kind::User);
        }
        let files = state.git.changed(BTreeMap::new(), files);
        let at = state.now();
        let first = state.git.commit(files, vec![], "First commit", AUTHOR, at);
        let id = add_repo(&mut state, (owner, name), None);
        let repo = repo(&mut state, id);
        repo.branches.insert("main".to_owned(), first);
        repo.collaborators
            .insert(AUTHOR.to_owned(), Permission::Write);
        drop(state);
        self.repository(id)
    }

    /// The repository with this id.
    #[must_use]
    pub fn repository(&self, id: u64) -> Repository {
        Repository {
            github: self.clone(),
            id,
        }
    }
}

pub(super) fn add_repo(
    state: &mut State,
    (owner, name): (&str, &str),
    fork_of: Option<u64>,
) -> u64 {
    let (id, created_at) = (state.id() + 700_000_000, state.now());
    let repo = Repo {
        id,
        owner: owner.to_owned(),
        name: name.to_owned(),
        former: Vec::new(),
        private: false,
        fork_of,
        default_branch: "main".to_owned(),
        branches: BTreeMap::new(),
        pulls: BTreeMap::new(),
        comments: BTreeMap::new(),
        labels: Vec::new(),
        deployments: BTreeMap::new(),
        statuses: Vec::new(),
        environments: Vec::new(),
        workflows: vec!["ci.yml".to_owned()],
        dispatch_inputs: BTreeMap::new(),
        inactive: Vec::new(),
        runs: BTreeMap::new(),
        dispatches: Vec::new(),
        collaborators: BTreeMap::new(),
        attestations: Vec::new(),
        commit_pulls_lag: 0,
        created_at,
    };
    state.repos.insert(id, repo);
    id
}

#[track_caller]
pub(super) fn repo(state: &mut State, id: u64) -> &mut Repo {
    match state.repos.get_mut(&id) {
        Some(repo) => repo,
        None => panic!("the sandbox's GitHub has no repository {id}"),
    }
}

#[track_caller]
pub(super) fn pull(state: &mut State, repository: u64, number: u64) -> &mut Pull {
    let repo = repo(state, repository);
    let slug = repo.slug();
    match repo.pulls.get_mut(&number) {
        Some(pull) => pull,
        None => panic!("{slug} has no pull request {number}"),
    }
}

impl Repository {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.github.lock()
    }

    /// The id, which survives a rename.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// `owner/name`.
    #[must_use]
    pub fn slug(&self) -> String {
        repo(&mut self.lock(), self.id).slug()
    }

    /// The commit at the end of a branch.
    #[must_use]
    pub fn head(&self, branch: &str) -> String {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        match repo.branches.get(branch) {
            Some(sha) => sha.clone(),
            None => panic!("{} has no branch {branch}", repo.slug()),
        }
    }

    /// The SHA of a commit's tree.
    #[must_use]
    pub fn tree(&self, sha: &str) -> String {
        self.lock()
            .git
            .commits
            .get(sha)
            .map(super::git::Commit::tree)
            .unwrap_or_default()
    }

    /// A commit's parents.
    #[must_use]
    pub fn parents(&self, sha: &str) -> Vec<String> {
        self.lock()
            .git
            .commits
            .get(sha)
            .map(|c| c.parents.clone())
            .unwrap_or_default()
    }

    /// H of a pull request.
    #[must_use]
    pub fn head_of(&self, number: u64) -> String {
        pull(&mut self.lock(), self.id, number).head_sha.clone()
    }

    /// B of an open pull request, M of a merged one; `None` where it conflicts.
    #[must_use]
    pub fn merge_commit_of(&self, number: u64) -> Option<String> {
        pull(&mut self.lock(), self.id, number)
            .merge_commit_sha
            .clone()
    }

    /// Changes the title.
    pub fn set_title(&self, number: u64, title: &str) {
        title.clone_into(&mut pull(&mut self.lock(), self.id, number).title);
    }

    /// Makes it a draft, or ready for review.
    pub fn set_draft(&self, number: u64, draft: bool) {
        pull(&mut self.lock(), self.id, number).draft = draft;
    }

    /// Says that somebody else opened it, such as `dependabot[bot]`.
    pub fn set_author(&self, number: u64, login: &str) {
        let mut state = self.lock();
        let kind = if login.ends_with("[bot]") {
            Kind::Bot
        } else {
            Kind::User
        };
        state.user(login, kind);
        login.clone_into(&mut pull(&mut state, self.id, number).author);
    }

    /// Puts a label on a pull request, as a person does in the browser.
    pub fn add_label(&self, number: u64, name: &str) {
        labels::carry(&mut self.lock(), self.id, number, name);
    }

    /// Takes a label from a pull request again.
    pub fn remove_label(&self, number: u64, name: &str) {
        let mut state = self.lock();
        let labels = &mut pull(&mut state, self.id, number).labels;
        labels.retain(|label| !label.eq_ignore_ascii_case(name));
    }

    /// Comments as `login`; returns the comment's id.
    pub fn comment(&self, number: u64, login: &str, body: &str) -> u64 {
        let mut state = self.lock();
        state.user(login, Kind::User);
        match comments::add(&mut state, self.id, number, login, body) {
            Some(id) => id,
            None => panic!("there is no pull request {number}"),
        }
    }

    /// Comments as [`ACTIONS_BOT`], as another workflow does.
    pub fn comment_as_bot(&self, number: u64, body: &str) -> u64 {
        self.comment(number, ACTIONS_BOT, body)
    }

    /// Lets the next `times` answers about a pull request still tell the state before the last push: `mergeable`
    /// null, and the old test merge.
    pub fn lag_mergeability(&self, number: u64, times: u32) {
        pull(&mut self.lock(), self.id, number).lag = times;
    }

    /// Somebody changes a comment, some time after it was written.
    pub fn edit_comment(&self, comment: u64, body: &str) {
        let mut state = self.lock();
        let comments = &mut repo(&mut state, self.id).comments;
        if let Some(comment) = comments.get_mut(&comment) {
            body.clone_into(&mut comment.body);
            comment.updated_at += jiff::SignedDuration::from_secs(60);
        }
    }

    /// Somebody deletes a comment.
    pub fn delete_comment(&self, comment: u64) {
        let mut state = self.lock();
        repo(&mut state, self.id).comments.remove(&comment);
    }

    /// Lets the next `times` answers about a commit's pull requests still be empty.
    pub fn lag_commit_pulls(&self, times: u32) {
        repo(&mut self.lock(), self.id).commit_pulls_lag = times;
    }

    /// Creates a GitHub environment, or replaces one of the same name.
    pub fn set_environment(&self, environment: Environment) {
        let mut state = self.lock();
        let id = state.id();
        for login in &environment.reviewers {
            state.user(login, Kind::User);
        }
        let environments = &mut repo(&mut state, self.id).environments;
        environments.retain(|other| !other.name.eq_ignore_ascii_case(&environment.name));
        environments.push(Environment { id, ..environment });
    }

    /// Gives somebody a permission.
    pub fn set_permission(&self, login: &str, permission: Permission) {
        let mut state = self.lock();
        state.user(login, Kind::User);
        repo(&mut state, self.id)
            .collaborators
            .insert(login.to_owned(), permission);
    }

    /// Renames the repository: its id stays, and what is asked under the old name is redirected.
    pub fn rename(&self, name: &str) {
        let mut state = self.lock();
        let repo = repo(&mut state, self.id);
        let former = repo.slug();
        repo.former.push(former);
        name.clone_into(&mut repo.name);
    }

    /// Makes the repository private.
    pub fn set_private(&self) {
        repo(&mut self.lock(), self.id).private = true;
    }
}
