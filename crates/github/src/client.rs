//! The client and the repository it speaks for.

use std::fmt;
use std::time::{Duration, Instant};

use preview_core::names::{RepositoryId, RepositorySlug};
use preview_core::pulls::Repository;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::call::Call;
use crate::error::Error;
use crate::known::Known;
use crate::transport::Transport;

/// Where GitHub is, who asks, and for how long.
#[derive(Clone)]
pub struct Settings {
    /// The base of the REST API: `GITHUB_API_URL`; on an Enterprise server `https://HOST/api/v3`.
    pub api_url: String,
    /// The token; goes to the host of `api_url` only.
    pub token: SecretString,
    /// The repository all operations are about: `GITHUB_REPOSITORY`.
    pub repository: RepositorySlug,
    /// When the process must be done: no wait and no request goes beyond it.
    pub deadline: Instant,
    /// How long one request may take, its answer included.
    pub request_timeout: Duration,
    /// The pause before the first repeat; each further one is twice as long.
    pub first_pause: Duration,
}

impl Settings {
    /// Settings with a timeout of 20 s per request and a first pause of half a second.
    #[must_use]
    pub fn new(
        api_url: impl Into<String>,
        token: SecretString,
        repository: RepositorySlug,
        deadline: Instant,
    ) -> Self {
        Self {
            api_url: api_url.into(),
            token,
            repository,
            deadline,
            request_timeout: Duration::from_secs(20),
            first_pause: Duration::from_millis(500),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("api_url", &self.api_url)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

/// GitHub, seen from one repository.
///
/// Every operation obeys the same policy. Reads and idempotent writes are repeated on 5xx, on lost connections, on
/// answers that are cut off or HTML, and on rate limits, for which they wait as long as GitHub asks. A POST that makes
/// something new is repeated only after looking whether the first one was carried out. No wait goes beyond the
/// deadline; an error says when a limit resets. A list is complete or an error, never its first page.
///
/// What cannot change is asked for once: a commit, the repository, whose token this is, and which comment is ours. What can
/// (a pull request, a branch, who may do what) is asked for each time.
#[derive(Debug)]
pub struct GitHub {
    pub(crate) transport: Transport,
    pub(crate) slug: RepositorySlug,
    pub(crate) login: OnceCell<String>,
    pub(crate) known: Known,
    repository: OnceCell<Repository>,
}

/// A repository as GitHub writes it, by itself and as a pull request's base.
#[derive(Deserialize)]
pub(crate) struct WireRepository {
    id: RepositoryId,
    full_name: RepositorySlug,
    default_branch: String,
}

impl From<WireRepository> for Repository {
    fn from(wire: WireRepository) -> Self {
        Self {
            id: wire.id,
            slug: wire.full_name,
            default_branch: wire.default_branch,
        }
    }
}

impl GitHub {
    /// A client; asks nothing yet. Call it within a tokio runtime.
    ///
    /// # Errors
    /// When the address is no http(s) address, or the token cannot stand in a header.
    pub fn connect(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(&settings)?,
            slug: settings.repository,
            login: OnceCell::new(),
            known: Known::default(),
            repository: OnceCell::new(),
        })
    }

    /// A path below the repository's own.
    pub(crate) fn path(&self, rest: impl fmt::Display) -> String {
        format!("/repos/{}/{}{rest}", self.slug.owner(), self.slug.name())
    }

    /// The repository's id and default branch, as they were when this client asked first.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn repository(&self) -> Result<Repository, Error> {
        let call = Call::get(
            self.path(""),
            format!("read the repository {}", self.slug),
            "metadata: read",
        );
        let ask = || async {
            let wire: WireRepository = self.transport.json(&call).await?;
            Ok(wire.into())
        };
        self.repository.get_or_try_init(ask).await.cloned()
    }
}
