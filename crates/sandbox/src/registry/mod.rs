//! An OCI registry as ghcr.io behaves, in memory.
//!
//! Modelled: the Bearer flow (anybody pulls what is not private, one account pushes, and jobs do what their `permissions` say), blobs with monolithic and
//! chunked uploads and mounts, manifests by tag and digest in the four media types of OCI and Docker, completeness on
//! push, lists of tags with paging, and the specification's error bodies. As on ghcr, a manifest cannot be deleted
//! (405) and there is no referrers API (404); [`Registry::allow_deletes`] makes it behave like docker-registry there.
//!
//! Not modelled, and refused with `501`: the catalog, parts of blobs (`Range`), cancelling an upload or asking how far
//! it is, deleting a tag alone, OAuth2 by `POST /token`, scopes of other kinds than `repository`.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use sandbox::registry::{Image, Registry};
//!
//! let registry = Registry::start().await?;
//! let digest = registry.publish("acme/web", "latest", &Image::of("1111111111111111111111111111111111111111"));
//! assert!(registry.holds("acme/web", &digest));
//! println!("{}/acme/web@{digest}", registry.host());
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use bytes::Bytes;

use crate::github::Level;
use crate::server::Server;

mod api;
mod auth;
mod blobs;
mod image;
mod manifests;
mod pull;
mod refusal;
mod state;

pub use image::{Artifact, Document, Image, Kind};
pub use state::Account;

use api::Shared;
use state::{Manifest, Pushed, State, tell_of_pushes};

/// A handle on the server; the server ends with its last handle.
#[derive(Clone, Debug)]
pub struct Registry {
    server: Arc<Server>,
    state: Arc<Mutex<State>>,
}

impl Registry {
    /// Starts the server on a free loopback port.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = Server::bind().await?;
        let state = Arc::new(Mutex::new(State::new()));
        let shared = Shared {
            host: listener.local_addr()?.to_string(),
            state: Arc::clone(&state),
        };
        let router = Router::new().fallback(api::serve).with_state(shared);
        Ok(Self {
            server: Arc::new(Server::serve(listener, router)?),
            state,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The registry's host as it stands in the names of images, `127.0.0.1:PORT`. It speaks plain HTTP.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// The log of exchanges, and the place to plan faults.
    #[must_use]
    pub fn traffic(&self) -> crate::Traffic {
        self.server.traffic.clone()
    }

    /// The account that may push.
    #[must_use]
    pub fn account(&self) -> Account {
        self.state().account.clone()
    }

    /// Lets a job in whose `permissions` name `packages`: its `GITHUB_TOKEN` is the password, and `write` may push.
    /// <https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry#authenticating-in-a-github-actions-workflow>
    pub fn let_job_in(&self, token: &str, packages: Level) {
        let pushes = packages == Level::Write;
        self.state().jobs.insert(token.to_owned(), pushes);
    }

    /// Lets clients delete manifests and blobs, as docker-registry does and ghcr does not.
    pub fn allow_deletes(&self) {
        self.state().deletes = true;
    }

    /// Hides the repository `name` from the anonymous.
    pub fn make_private(&self, name: &str) {
        self.state().private.insert(name.to_owned());
    }

    /// Forgets all tokens, as if their time were over.
    pub fn expire_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Publishes a complete image under a tag, as CI would, and returns the digest that the tag points to.
    pub fn publish(&self, name: &str, tag: &str, image: &Image) -> String {
        let artifact = image.build();
        let digest = artifact.digest().to_owned();
        {
            let mut state = self.state();
            let repository = state.repository(name);
            for document in &artifact.documents {
                repository.take(document);
            }
            repository.tags.insert(tag.to_owned(), digest.clone());
            let manifests = artifact.documents.iter();
            let manifests = manifests.filter(|d| matches!(d.kind, Kind::Manifest | Kind::Index));
            let pushed = manifests.map(|document| Pushed {
                name: name.to_owned(),
                digest: document.digest.clone(),
                tag: (document.digest == digest).then(|| tag.to_owned()),
            });
            state.pushed.extend(pushed);
        }
        tell_of_pushes(&self.state);
        digest
    }

    /// Calls `hook` with every manifest that is pushed, after it is there.
    pub(crate) fn on_pushed(&self, hook: impl Fn(&Pushed) + Send + Sync + 'static) {
        self.state().on_pushed = Some(Arc::new(hook));
    }

    /// Removes a manifest with all its tags, for as long as the registry is there; keeps nothing of it alive.
    pub(crate) fn remover(&self) -> impl Fn(&str, &str) + Send + Sync + 'static {
        let state = Arc::downgrade(&self.state);
        move |name, digest| {
            let Some(state) = state.upgrade() else {
                return;
            };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(repository) = state.repositories.get_mut(name) {
                repository.remove_manifest(digest);
            }
        }
    }

    /// Removes a manifest with all its tags, as ghcr's Packages API does; what it refers to stays.
    /// Says whether it was there.
    pub fn remove_manifest(&self, name: &str, digest: &str) -> bool {
        let mut state = self.state();
        let repository = state.repositories.get_mut(name);
        repository.is_some_and(|repository| repository.remove_manifest(digest))
    }

    /// Removes a config or layer, and says whether it was there.
    pub fn remove_blob(&self, name: &str, digest: &str) -> bool {
        let mut state = self.state();
        let repository = state.repositories.get_mut(name);
        repository.is_some_and(|repository| repository.blobs.remove(digest).is_some())
    }

    /// Serves other bytes under `digest` from now on, and says whether the digest was there.
    pub fn corrupt(&self, name: &str, digest: &str) -> bool {
        let mut state = self.state();
        let Some(repository) = state.repositories.get_mut(name) else {
            return false;
        };
        let manifest = repository.manifests.get_mut(digest).map(|m| &mut m.bytes);
        let blob = repository.blobs.get_mut(digest);
        match manifest.or(blob) {
            // A space at the end keeps JSON valid: only the hash tells.
            Some(bytes) => *bytes = Bytes::from([&bytes[..], b" "].concat()),
            None => return false,
        }
        true
    }

    /// Whether a manifest or blob of this digest is there.
    #[must_use]
    pub fn holds(&self, name: &str, digest: &str) -> bool {
        self.state()
            .repositories
            .get(name)
            .is_some_and(|r| r.manifests.contains_key(digest) || r.blobs.contains_key(digest))
    }

    /// The tags of a repository and the digests that they point to.
    #[must_use]
    pub fn tags(&self, name: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let repository = state.repositories.get(name);
        repository.map(|r| r.tags.clone()).unwrap_or_default()
    }
}

impl state::Repository {
    fn take(&mut self, document: &Document) {
        let (digest, bytes) = (document.digest.clone(), document.bytes.clone());
        match document.kind {
            Kind::Layer | Kind::Config => {
                self.blobs.insert(digest, bytes);
            }
            Kind::Manifest | Kind::Index => {
                let media_type = document.media_type.to_owned();
                self.manifests
                    .insert(digest, Manifest { media_type, bytes });
            }
        }
    }
}
