//! Pull requests.

use preview_core::names::{CommitSha, PrNumber, RepositorySlug};
use preview_core::pulls::{PullRequest, PullState};
use serde::Deserialize;

use crate::call::Call;
use crate::client::{GitHub, WireRepository};
use crate::error::{Error, Problem};
use crate::people::UserWire;
use crate::text::encoded;

const NEEDS: &str = "pull-requests: read";

#[derive(Deserialize)]
struct Wire {
    number: PrNumber,
    state: String,
    merged_at: Option<String>,
    merge_commit_sha: Option<CommitSha>,
    mergeable: Option<bool>,
    title: String,
    user: Option<UserWire>,
    #[serde(default)]
    draft: bool,
    labels: Vec<Label>,
    head: Head,
    base: Base,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    branch: String,
    sha: CommitSha,
    repo: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    full_name: RepositorySlug,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    branch: String,
    repo: WireRepository,
}

impl Wire {
    fn state(&self) -> Result<PullState, String> {
        match (self.state.as_str(), &self.merged_at, &self.merge_commit_sha) {
            ("open", None, _) => Ok(PullState::Open),
            ("closed", None, _) => Ok(PullState::Closed),
            ("closed", Some(_), Some(commit)) => Ok(PullState::Merged {
                commit: commit.clone(),
            }),
            ("closed", Some(_), None) => Err(format!(
                "#{} is merged but has no merge_commit_sha",
                self.number
            )),
            (state, ..) => Err(format!("#{} has the state {state:?}", self.number)),
        }
    }

    fn pull(self, call: &Call) -> Result<PullRequest, Error> {
        let state = self.state().map_err(|message| {
            call.fails(Problem::Unreadable {
                message,
                passing: false,
            })
        })?;
        let test_merge = self.merge_commit_sha.filter(|_| state == PullState::Open);
        Ok(PullRequest {
            number: self.number,
            state,
            title: self.title,
            is_by_bot: self.user.as_ref().is_some_and(|user| user.kind == "Bot"),
            // GitHub shows the pull requests of deleted accounts under this name.
            author: self
                .user
                .map_or_else(|| "ghost".to_owned(), |user| user.login),
            draft: self.draft,
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            head: self.head.sha,
            head_ref: self.head.branch,
            head_repository: self.head.repo.map(|repository| repository.full_name),
            base_repository: self.base.repo.into(),
            base_ref: self.base.branch,
            test_merge,
            mergeable: self.mergeable,
        })
    }
}

impl GitHub {
    /// The pull request `number`; none where there is none, or the token may not see it.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn pull(&self, number: PrNumber) -> Result<Option<PullRequest>, Error> {
        let operation = format!("read pull request #{number} of {}", self.slug);
        let call = Call::get(self.path(format_args!("/pulls/{number}")), operation, NEEDS);
        let wire: Option<Wire> = self.transport.json_if_found(&call).await?;
        wire.map(|wire| wire.pull(&call)).transpose()
    }

    /// The open pull requests whose head is exactly this commit on this branch of this repository.
    ///
    /// Usually one; one branch may have several, into different bases. An event's own list of pull requests is not
    /// used: it is empty for forks and otherwise lists any whose head matches.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn open_pulls_of_head(
        &self,
        owner: &str,
        branch: &str,
        head: &CommitSha,
        head_repository: &RepositorySlug,
    ) -> Result<Vec<PullRequest>, Error> {
        let query = format!(
            "/pulls?state=open&head={}",
            encoded(&format!("{owner}:{branch}"))
        );
        let operation = format!(
            "find the pull request of {} at {branch:?} of {head_repository}",
            head.short()
        );
        let call = Call::get(self.path(query), operation, NEEDS);
        let pulls = self.listed_pulls(&call).await?;
        Ok(pulls
            .into_iter()
            .filter(|pull| {
                pull.head == *head && pull.head_repository.as_ref() == Some(head_repository)
            })
            .collect())
    }

    /// All open pull requests, wherever they come from and go, newest first.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn open_pulls(&self) -> Result<Vec<PullRequest>, Error> {
        let operation = format!("list the open pull requests of {}", self.slug);
        let call = Call::get(self.path("/pulls?state=open"), operation, NEEDS);
        self.listed_pulls(&call).await
    }

    /// The open pull requests into this branch, wherever they come from, newest first.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn open_pulls_into(&self, branch: &str) -> Result<Vec<PullRequest>, Error> {
        let query = format!("/pulls?state=open&base={}", encoded(branch));
        let operation = format!(
            "list the open pull requests into {branch:?} of {}",
            self.slug
        );
        let call = Call::get(self.path(query), operation, NEEDS);
        self.listed_pulls(&call).await
    }

    /// The pull requests from this branch of this repository, in whatever state and at whatever head, newest first.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn pulls_of_branch(
        &self,
        branch: &str,
        head_repository: &RepositorySlug,
    ) -> Result<Vec<PullRequest>, Error> {
        let owner = head_repository.owner();
        let query = format!(
            "/pulls?state=all&head={}",
            encoded(&format!("{owner}:{branch}"))
        );
        let operation = format!("find the pull requests of {branch:?} of {head_repository}");
        let call = Call::get(self.path(query), operation, NEEDS);
        let mut pulls = self.listed_pulls(&call).await?;
        pulls.retain(|pull| pull.head_repository.as_ref() == Some(head_repository));
        Ok(pulls)
    }

    /// The merged pull requests that brought `commit` to the default branch.
    ///
    /// May be empty for some seconds after a push.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. An unknown commit is one (422).
    pub async fn pulls_of_commit(&self, commit: &CommitSha) -> Result<Vec<PullRequest>, Error> {
        let operation = format!(
            "find the pull request that brought {commit} to {}",
            self.slug
        );
        let call = Call::get(
            self.path(format_args!("/commits/{commit}/pulls")),
            operation,
            NEEDS,
        );
        let pulls = self.listed_pulls(&call).await?;
        Ok(pulls
            .into_iter()
            .filter(|pull| matches!(pull.state, PullState::Merged { .. }))
            .collect())
    }

    /// The commits of the pull request `number`, the oldest first; no more than 250 of them.
    /// <https://docs.github.com/en/rest/pulls/pulls#list-commits-on-a-pull-request>
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn commits_of_pull(&self, number: PrNumber) -> Result<Vec<CommitSha>, Error> {
        #[derive(Deserialize)]
        struct Wire {
            sha: CommitSha,
        }
        let operation = format!(
            "list the commits of pull request #{number} of {}",
            self.slug
        );
        let path = self.path(format_args!("/pulls/{number}/commits"));
        let wires: Vec<Wire> = self
            .transport
            .pages(&Call::get(path, operation, NEEDS))
            .await?;
        Ok(wires.into_iter().map(|wire| wire.sha).collect())
    }

    async fn listed_pulls(&self, call: &Call) -> Result<Vec<PullRequest>, Error> {
        let wires: Vec<Wire> = self.transport.pages(call).await?;
        wires.into_iter().map(|wire| wire.pull(call)).collect()
    }
}
