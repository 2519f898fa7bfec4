//! What the registry holds: repositories with their content and tags, uploads under way, and tokens given out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// User name and password of an account that may push.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("password", &"***")
            .finish()
    }
}

/// A manifest as it was put.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    /// By digest; after a corruption the digest is no longer that of the bytes.
    pub(super) blobs: BTreeMap<String, Bytes>,
    /// By digest, as with blobs.
    pub(super) manifests: BTreeMap<String, Manifest>,
    /// From tag to digest.
    pub(super) tags: BTreeMap<String, String>,
}

impl Repository {
    /// The digest that a tag or a digest means here.
    pub(super) fn digest_of(&self, reference: &str) -> Option<String> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests
            .contains_key(digest)
            .then(|| digest.to_owned())
    }

    /// Removes a manifest with all its tags, as both ghcr's Packages API and docker-registry do.
    pub(super) fn remove_manifest(&mut self, digest: &str) -> bool {
        self.tags.retain(|_, target| target != digest);
        self.manifests.remove(digest).is_some()
    }
}

/// What the bearer of a token may do.
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    /// Empty for the anonymous.
    pub(super) user: Option<String>,
    /// Somebody who is known and may push nothing.
    pub(super) reads_only: bool,
    pub(super) pull: BTreeSet<String>,
    pub(super) push: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) bytes: Vec<u8>,
}

/// A manifest that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The repository.
    pub(crate) name: String,
    pub(crate) digest: String,
    /// The tag that it was pushed under; none by digest.
    pub(crate) tag: Option<String>,
}

/// Called with what was pushed.
pub(super) type OnPushed = Arc<dyn Fn(&Pushed) + Send + Sync>;

pub(super) struct State {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) account: Account,
    /// Passwords of jobs, and whether they may push; the name that goes with one does not matter.
    pub(super) jobs: BTreeMap<String, bool>,
    pub(super) private: BTreeSet<String>,
    pub(super) tokens: BTreeMap<String, Grant>,
    pub(super) deletes: bool,
    /// What was pushed, and nobody was told of yet.
    pub(super) pushed: Vec<Pushed>,
    pub(super) on_pushed: Option<OnPushed>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.repositories.keys().collect();
        write!(f, "State({names:?})")
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            repositories: BTreeMap::new(),
            uploads: BTreeMap::new(),
            account: Account {
                user: "robot".to_owned(),
                password: secret(),
            },
            jobs: BTreeMap::new(),
            private: BTreeSet::new(),
            tokens: BTreeMap::new(),
            deletes: false,
            pushed: Vec::new(),
            on_pushed: None,
        }
    }

    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}

/// An opaque text that nobody guesses.
pub(super) fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Tells whoever wants to know what was pushed since. Nobody may have the state: who is told may come back to it.
pub(super) fn tell_of_pushes(state: &Mutex<State>) {
    let (pushed, hook) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.pushed), state.on_pushed.clone())
    };
    if let Some(hook) = hook {
        pushed.iter().for_each(|pushed| hook(pushed));
    }
}
