//! The state: plain data, one struct for each of GitHub's things.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::addresses::Addresses;
use super::git::Git;
use super::permissions::Permissions;

/// What a token is: how much it may ask, and what is closed to it whatever its permissions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `GITHUB_TOKEN`: no `GET /user`, no decisions about environments.
    Installation,
    /// The same that may only read, such as a fork's `pull_request` run has.
    ReadOnlyInstallation,
    /// The installation token of another App: as [`Self::Installation`], and no packages, either.
    App,
    /// A person's fine-grained token: no packages.
    FineGrained,
    /// A person's classic token.
    Person,
}

impl TokenKind {
    /// Whether it acts as a person: no other token may ask who it is, or decide about environments.
    pub(super) const fn is_of_person(self) -> bool {
        matches!(self, Self::Person | Self::FineGrained)
    }

    /// Whether the API of packages is open to it. "GitHub Packages only supports authentication using a personal access token
    /// (classic)", or a job's own.
    /// <https://docs.github.com/en/packages/learn-github-packages/introduction-to-github-packages#authenticating-to-github-packages>
    pub(super) const fn reaches_packages(self) -> bool {
        !matches!(self, Self::App | Self::FineGrained)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) login: String,
    pub(super) kind: TokenKind,
    /// All that its login may do, where none are named.
    pub(super) permissions: Option<Permissions>,
    /// Requests left of the hour's quota.
    pub(super) remaining: u64,
    /// When the quota is whole again, in seconds since 1970.
    pub(super) reset: i64,
}

/// Seconds after which a rate limit's quota is whole again.
pub(super) const HOUR: i64 = 3_600;

impl Token {
    pub(super) const fn quota(&self) -> u64 {
        match self.kind {
            TokenKind::Person | TokenKind::FineGrained | TokenKind::App => 5_000,
            TokenKind::Installation | TokenKind::ReadOnlyInstallation => 1_000,
        }
    }
}

/// How a rate limit shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// 403 with no requests remaining, and the time of the reset so many seconds from now.
    Primary {
        /// Seconds until the reset.
        reset_in: u64,
    },
    /// 429 with `retry-after`.
    Secondary {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// 403 with `retry-after`, as GitHub's secondary limits mostly are.
    SecondaryForbidden {
        /// Seconds to wait.
        retry_after: u64,
    },
}

/// How a pull request is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeStyle {
    /// A merge commit of base and head.
    Merge,
    /// One new commit on the base.
    Squash,
    /// Every commit made anew on the base.
    Rebase,
}

/// What somebody may do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everything.
    Admin,
    /// Push, and some settings; told as `write` with the role `maintain`.
    Maintain,
    /// Push.
    Write,
    /// Issues and labels; told as `read` with the role `triage`.
    Triage,
    /// Look.
    Read,
}

#[derive(Clone, Debug)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) author: String,
    pub(super) draft: bool,
    pub(super) open: bool,
    pub(super) base: String,
    pub(super) base_sha: String,
    /// Owner of the head's repository, also when that is deleted.
    pub(super) head_owner: String,
    /// Id of the head's repository; `None` when it was deleted.
    pub(super) head_repo: Option<u64>,
    pub(super) head_branch: String,
    /// H.
    pub(super) head_sha: String,
    /// B while open, M when merged.
    pub(super) merge_commit_sha: Option<String>,
    pub(super) mergeable: Option<bool>,
    /// So many answers still tell a `mergeable` of null and the test merge from before the last push.
    pub(super) lag: u32,
    pub(super) stale_merge_commit_sha: Option<String>,
    pub(super) merged: Option<Merged>,
    pub(super) labels: Vec<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) at: Timestamp,
    pub(super) by: String,
    /// The commits that the merge brought to the base branch.
    pub(super) introduced: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) issue: u64,
    pub(super) author: String,
    pub(super) body: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) reactions: Vec<Reaction>,
}

#[derive(Clone, Debug)]
pub(super) struct Reaction {
    pub(super) id: u64,
    pub(super) author: String,
    pub(super) content: String,
    pub(super) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) color: String,
    pub(super) description: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) id: u64,
    pub(super) reference: String,
    pub(super) sha: String,
    pub(super) task: String,
    pub(super) payload: Value,
    pub(super) environment: String,
    pub(super) description: Option<String>,
    pub(super) transient: bool,
    pub(super) production: bool,
    pub(super) creator: String,
    pub(super) created_at: Timestamp,
    pub(super) statuses: Vec<DeploymentStatus>,
}

impl Deployment {
    pub(super) fn node_id(&self) -> String {
        format!("DE_{}", self.id)
    }

    pub(super) fn state(&self) -> &str {
        self.statuses
            .last()
            .map_or("pending", |status| &status.state)
    }
}

#[derive(Clone, Debug)]
pub(super) struct DeploymentStatus {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) description: String,
    pub(super) log_url: String,
    pub(super) environment_url: String,
    pub(super) creator: String,
    pub(super) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct CommitStatus {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) context: String,
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) target_url: Option<String>,
    pub(super) creator: String,
    pub(super) at: Timestamp,
}

/// A GitHub environment: what gates the jobs that name it.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) reviewers: Vec<String>,
    pub(super) branches: Branches,
}

/// From which branches an environment may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Branches {
    All,
    Protected,
    Named(Vec<String>),
}

impl Environment {
    /// An environment without any protection, as naming it in a workflow creates it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            id: 0,
            name: name.to_owned(),
            reviewers: Vec::new(),
            branches: Branches::All,
        }
    }

    /// Requires one of these people's approval.
    #[must_use]
    pub fn reviewers(mut self, logins: &[&str]) -> Self {
        self.reviewers = logins.iter().map(|login| (*login).to_owned()).collect();
        self
    }

    /// Restricts it to branches of these names.
    #[must_use]
    pub fn branches(mut self, names: &[&str]) -> Self {
        self.branches = Branches::Named(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Restricts it to protected branches.
    #[must_use]
    pub fn protected_branches(mut self) -> Self {
        self.branches = Branches::Protected;
        self
    }
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: u64,
    pub(super) workflow: String,
    pub(super) event: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) attempt: u64,
    pub(super) head_branch: String,
    pub(super) head_sha: String,
    /// Id of the repository that the head is in; `None` when it was deleted.
    pub(super) head_repo: Option<u64>,
    pub(super) title: String,
    pub(super) actor: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// Environments whose approval it waits for.
    pub(super) waiting_for: Vec<String>,
    pub(super) approvals: Vec<Approval>,
}

#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub(super) environment: String,
    pub(super) state: String,
    pub(super) login: String,
    pub(super) comment: String,
}

/// A `workflow_dispatch` that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// File name of the workflow, such as `preview-deploy.yml`.
    pub workflow: String,
    /// Branch it was asked to run on.
    pub reference: String,
    /// The inputs, as JSON.
    pub inputs: Value,
    /// Who asked.
    pub login: String,
}

/// A version of a container package: one manifest with all its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageVersion {
    /// GitHub's id of the version.
    pub id: u64,
    /// Owner of the package, in lower case.
    pub owner: String,
    /// Name of the package without its owner, such as `shop/web`.
    pub package: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Tags that point to it.
    pub tags: Vec<String>,
    /// How often it was pulled.
    pub downloads: u64,
    pub(super) created_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Repo {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    /// `owner/name` that it had before it was renamed.
    pub(super) former: Vec<String>,
    pub(super) private: bool,
    pub(super) fork_of: Option<u64>,
    pub(super) default_branch: String,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) pulls: BTreeMap<u64, Pull>,
    pub(super) comments: BTreeMap<u64, Comment>,
    pub(super) labels: Vec<Label>,
    pub(super) deployments: BTreeMap<u64, Deployment>,
    pub(super) statuses: Vec<CommitStatus>,
    pub(super) environments: Vec<Environment>,
    pub(super) workflows: Vec<String>,
    /// The inputs that each workflow with the trigger `workflow_dispatch` declares.
    pub(super) dispatch_inputs: BTreeMap<String, Vec<String>>,
    /// Workflows that GitHub switched off after 60 days without activity.
    pub(super) inactive: Vec<String>,
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) collaborators: BTreeMap<String, Permission>,
    /// Oldest first.
    pub(super) attestations: Vec<Attestation>,
    /// So many answers about a commit's pull requests are still empty.
    pub(super) commit_pulls_lag: u32,
    pub(super) created_at: Timestamp,
}

/// What a workflow run stated about an artifact.
#[derive(Clone, Debug)]
pub(super) struct Attestation {
    pub(super) digest: String,
    /// The type of the statement.
    pub(super) predicate: String,
    /// Sigstore's.
    pub(super) bundle: Value,
}

impl Repo {
    pub(super) fn slug(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(super) fn default_head(&self) -> &str {
        self.branches
            .get(&self.default_branch)
            .map_or("", String::as_str)
    }

    pub(super) fn permission(&self, login: &str) -> Option<Permission> {
        if login.eq_ignore_ascii_case(&self.owner) {
            return Some(Permission::Admin);
        }
        let named = self
            .collaborators
            .iter()
            .find(|(l, _)| l.eq_ignore_ascii_case(login));
        named.map(|(_, permission)| *permission)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Organization,
    Bot,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) kind: Kind,
}

/// Called with a package version that was deleted through the API, after it is gone.
pub(super) type OnDeleted = Arc<dyn Fn(&PackageVersion) + Send + Sync>;

pub(super) struct State {
    pub(super) addresses: Addresses,
    pub(super) git: Git,
    pub(super) repos: BTreeMap<u64, Repo>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) packages: Vec<PackageVersion>,
    pub(super) package_admins: Vec<String>,
    pub(super) on_package_deleted: Option<OnDeleted>,
    pub(super) limited: Option<(u32, RateLimit)>,
    pub(super) violations: Vec<String>,
    clock_offset: SignedDuration,
    next_id: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repos: Vec<String> = self.repos.values().map(Repo::slug).collect();
        write!(f, "State({})", repos.join(", "))
    }
}

impl State {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            git: Git::default(),
            repos: BTreeMap::new(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            packages: Vec::new(),
            package_admins: Vec::new(),
            on_package_deleted: None,
            limited: None,
            violations: Vec::new(),
            clock_offset: SignedDuration::ZERO,
            next_id: 1_000,
        }
    }

    pub(super) const fn skip_ids(&mut self, count: u64) {
        self.next_id += count;
    }

    /// The page of a repository.
    pub(super) fn page_of(&self, repo: &Repo) -> String {
        format!("{}/{}", self.addresses.pages, repo.slug())
    }

    /// A number that nothing else has.
    pub(super) const fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn package_pushed(
        &mut self,
        owner: &str,
        package: &str,
        digest: &str,
        tags: &[&str],
    ) {
        let (id, created_at) = (self.id(), self.now());
        let same = |v: &PackageVersion| v.owner.eq_ignore_ascii_case(owner) && v.package == package;
        for version in self.packages.iter_mut().filter(|v| same(v)) {
            version.tags.retain(|tag| !tags.contains(&tag.as_str()));
        }
        let tags = tags.iter().map(|tag| (*tag).to_owned());
        let known = self.packages.iter_mut();
        match known.into_iter().find(|v| same(v) && v.digest == digest) {
            Some(version) => version.tags.extend(tags),
            None => self.packages.push(PackageVersion {
                id,
                owner: owner.to_lowercase(),
                package: package.to_owned(),
                digest: digest.to_owned(),
                tags: tags.collect(),
                downloads: 0,
                created_at,
            }),
        }
    }

    /// Now, as the sandbox tells it: the real time and what tests advanced it by, in whole seconds as GitHub has it.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now() + self.clock_offset;
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    pub(super) fn advance(&mut self, by: SignedDuration) {
        self.clock_offset += by;
    }

    pub(super) fn user(&mut self, login: &str, kind: Kind) {
        if !self.users.contains_key(login) {
            // GitHub's own id of this bot; people recognise it.
            let id = if login == "github-actions[bot]" {
                41_898_282
            } else {
                self.id()
            };
            self.users.insert(login.to_owned(), User { id, kind });
        }
    }

    pub(super) fn repo_by_slug(&self, owner: &str, name: &str) -> Option<&Repo> {
        self.repos.values().find(|repo| {
            repo.owner.eq_ignore_ascii_case(owner) && repo.name.eq_ignore_ascii_case(name)
        })
    }
}
