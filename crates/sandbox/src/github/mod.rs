//! GitHub as a stateful server on loopback: its REST API as far as previews and promotion need it.
//!
//! Tests speak to the state in the words of the domain ([`Repository::open_pull_request`], [`Repository::push`],
//! [`Repository::merge`]) while programs speak to the same state over HTTP. Every request and every answer is judged
//! ([`Judge`]); what was wrong is answered with status 599 or, where GitHub has an answer of its own, with that, and
//! kept in [`GitHub::violations`], which a test asserts to be empty at its end.
//!
//! Modelled: the operations in [`OPERATIONS`] and of GraphQL what `graphql` has; git commits, trees and three-way
//! merges of whole files; forks, also deleted ones; labels, comments, reactions, deployments, commit statuses,
//! environments, workflow runs and dispatches, container packages, attestations, permissions, tokens of each kind and rate
//! limits; github.com and an Enterprise server.
//!
//! Not modelled, and answered with 501: every other operation. Not modelled and silent: conditional requests,
//! teams, merge queues, the visibility of private repositories, issues that are no pull
//! requests. Fields that nothing here models hold empty values, texts among them say `unmodelled`.

mod access;
mod accounts;
mod addresses;
mod attestations;
mod call;
mod changes;
mod comments;
mod commits;
mod deployments;
mod environments;
mod git;
mod graphql;
mod hosted;
mod issues;
mod judge;
mod labels;
mod objects;
mod page;
mod payloads;
mod permissions;
mod pulls;
mod repository;
mod routes;
mod runs;
mod seen;
mod state;
mod statuses;

use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use jiff::SignedDuration;

pub use hosted::{Cause, Protection};
pub use judge::{Judge, LoadError, OPERATIONS, WEBHOOKS, WHOLE_DESCRIPTION, cut_down, write_down};
pub use permissions::Level;
pub use repository::Repository;
pub use seen::{SeenDeployment, SeenLabel, SeenStatus};
pub use state::{
    Dispatch, Environment, MergeStyle, PackageVersion, Permission, RateLimit, TokenKind,
};

use crate::server::Server;
use addresses::{Addresses, Edition};
use routes::Shared;
use state::{Kind, State, Token};

/// The token of `github-actions[bot]`, with write permission, that every sandbox knows.
pub const ACTIONS_TOKEN: &str = "ghs_sandbox_actions";
/// The login behind [`ACTIONS_TOKEN`].
pub const ACTIONS_BOT: &str = "github-actions[bot]";

/// A handle on the server; the server ends with its last handle.
#[derive(Clone, Debug)]
pub struct GitHub {
    server: Arc<Server>,
    shared: Arc<Shared>,
}

impl GitHub {
    /// Starts the server on a free loopback port, with [`ACTIONS_TOKEN`] and nothing else in it.
    ///
    /// # Errors
    /// When no loopback port can be bound, or GitHub's description cannot be loaded.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_as(Edition::Public).await
    }

    /// As [`Self::start`], a GitHub Enterprise Server: its API is below `/api/v3`, its pages are its own, and it lacks what
    /// such a server lacks.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_enterprise() -> std::io::Result<Self> {
        Self::start_as(Edition::EnterpriseServer).await
    }

    async fn start_as(edition: Edition) -> std::io::Result<Self> {
        let listener = Server::bind().await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let state = State::new(Addresses::of(edition, &origin));
        let shared = Arc::new(Shared::new(state, judge()?));
        let server = Arc::new(Server::serve(
            listener,
            routes::router(Arc::clone(&shared)),
        )?);
        let github = Self { server, shared };
        github.add_token(ACTIONS_TOKEN, ACTIONS_BOT, TokenKind::Installation);
        github.lock().package_admins.push(ACTIONS_BOT.to_owned());
        Ok(github)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// The base URL of the REST API: what goes into `GITHUB_API_URL`. GraphQL is at `/graphql` below it, on an Enterprise
    /// server at `/api/graphql`.
    #[must_use]
    pub fn url(&self) -> String {
        self.lock().addresses.api.clone()
    }

    /// The base URL of the pages that people see: what goes into `GITHUB_SERVER_URL`.
    #[must_use]
    pub fn server_url(&self) -> String {
        self.lock().addresses.pages.clone()
    }

    /// Whether it is an Enterprise server.
    #[must_use]
    pub fn is_enterprise(&self) -> bool {
        self.lock().addresses.edition == Edition::EnterpriseServer
    }

    /// As [`Self::url`], of another way to the server, behind `gate`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn through(&self, gate: &crate::Gate) -> std::io::Result<String> {
        let origin = self.server.through(gate).await?;
        Ok(format!("{origin}{}", self.lock().addresses.prefix()))
    }

    /// The log of exchanges, and the place to plan faults. Planned faults are not judged.
    #[must_use]
    pub fn traffic(&self) -> crate::Traffic {
        self.server.traffic.clone()
    }

    /// The judge of this server.
    #[must_use]
    pub fn judge(&self) -> Judge {
        self.shared.judge.clone()
    }

    /// Everything that was wrong with requests and answers so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// As [`Self::violations`], and forgets them: for a test that provokes some.
    #[must_use]
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().violations)
    }

    /// Makes a person known.
    pub fn add_user(&self, login: &str) {
        self.lock().user(login, Kind::User);
    }

    /// Makes an organisation known: an owner whose packages are under `orgs/`.
    pub fn add_organization(&self, login: &str) {
        self.lock().user(login, Kind::Organization);
    }

    /// Lets `secret` act as `login`, which becomes known where it was not.
    pub fn add_token(&self, secret: &str, login: &str, kind: TokenKind) {
        let mut state = self.lock();
        let of = if login.ends_with("[bot]") {
            Kind::Bot
        } else {
            Kind::User
        };
        state.user(login, of);
        let mut token = Token {
            login: login.to_owned(),
            kind,
            permissions: None,
            remaining: 0,
            reset: state.now().as_second() + state::HOUR,
        };
        token.remaining = token.quota();
        state.tokens.insert(secret.to_owned(), token);
    }

    /// The `GITHUB_TOKEN` of a job with exactly these `permissions`, by the names that a workflow has for them. Unless the
    /// repository is private, they matter for changes alone: what is public is there for everybody to read.
    #[must_use]
    pub fn token_with(&self, permissions: &[(&str, Level)]) -> String {
        let secret = format!("ghs_{:032x}", rand::random::<u128>());
        self.add_token(&secret, ACTIONS_BOT, TokenKind::Installation);
        self.limit_token(&secret, permissions);
        secret
    }

    /// Leaves a token exactly these `permissions`, by the names that a workflow has for them: those of an App's and of a
    /// fine-grained token are the same, but for their names.
    pub fn limit_token(&self, secret: &str, permissions: &[(&str, Level)]) {
        let named = permissions.iter();
        let named = named.map(|(name, level)| ((*name).to_owned(), *level));
        if let Some(token) = self.lock().tokens.get_mut(secret) {
            token.permissions = Some(named.collect());
        }
    }

    /// Lets a token have so many requests left of its hour.
    pub fn set_remaining(&self, secret: &str, remaining: u64) {
        if let Some(token) = self.lock().tokens.get_mut(secret) {
            token.remaining = remaining.min(token.quota());
        }
    }

    /// Answers the next `times` requests with a rate limit.
    pub fn limit_next(&self, times: u32, limit: RateLimit) {
        self.lock().limited = (times > 0).then_some((times, limit));
    }

    /// Leaves out the next `count` ids: whatever is made afterwards has others than on a GitHub that left out none.
    pub fn skip_ids(&self, count: u64) {
        self.lock().skip_ids(count);
    }

    /// Moves the server's clock: everything that exists becomes older.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.lock().advance(by);
    }

    /// Tells of a manifest that was pushed: a new version, or new tags, which leave the version that had them.
    pub fn package_pushed(&self, owner: &str, package: &str, digest: &str, tags: &[&str]) {
        self.lock().package_pushed(owner, package, digest, tags);
    }

    /// As [`Self::package_pushed`], for as long as this GitHub is there; keeps nothing of it alive.
    pub(crate) fn lister(&self) -> impl Fn(&str, &str, &str, &[&str]) + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move |owner, package, digest, tags| {
            if let Some(shared) = shared.upgrade() {
                shared.lock().package_pushed(owner, package, digest, tags);
            }
        }
    }

    /// The versions of all packages, oldest first.
    #[must_use]
    pub fn packages(&self) -> Vec<PackageVersion> {
        self.lock().packages.clone()
    }

    /// Sets how often a version was pulled: above 5,000 it cannot be deleted.
    pub fn set_downloads(&self, digest: &str, downloads: u64) {
        let mut state = self.lock();
        let matching = state
            .packages
            .iter_mut()
            .filter(|version| version.digest == digest);
        matching.for_each(|version| version.downloads = downloads);
    }

    /// Takes admin on packages from a login: deleting a version then answers 403.
    pub fn revoke_package_admin(&self, login: &str) {
        self.lock().package_admins.retain(|admin| admin != login);
    }

    /// Calls `hook` with every package version that is deleted through the API. It must not use this handle.
    pub fn on_package_deleted(&self, hook: impl Fn(&PackageVersion) + Send + Sync + 'static) {
        self.lock().on_package_deleted = Some(Arc::new(hook));
    }
}

/// The judge of this process, loaded once.
fn judge() -> std::io::Result<Judge> {
    static JUDGE: OnceLock<Result<Judge, String>> = OnceLock::new();
    let judge = JUDGE.get_or_init(|| Judge::from_environment().map_err(|error| error.to_string()));
    judge.clone().map_err(std::io::Error::other)
}
