//! GitHub Deployments: a preview's progress for eyes, and the records of what was tested and promoted.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use preview_core::names::CommitSha;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::client::GitHub;
use crate::error::{Error, Problem};
use crate::text::{clipped, encoded};

const READ: &str = "deployments: read";
const WRITE: &str = "deployments: write";

/// Characters of a deployment's or a status's description.
const DESCRIPTION_LIMIT: usize = 140;

/// GitHub's id of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(pub u64);

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// GitHub's id of a deployment in GraphQL, where numbers have no more than 32 bits.
/// <https://docs.github.com/en/graphql/guides/using-global-node-ids>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct NodeId(String);

/// A deployment to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentRequest {
    /// The commit that is deployed.
    pub reference: CommitSha,
    /// The environment's name; GitHub makes one that does not exist, unprotected.
    pub environment: String,
    /// What kind of deployment it is; GitHub's own default is `deploy`.
    pub task: String,
    /// For people; cut at 140 characters.
    pub description: String,
    /// A JSON object of ours. It can never be changed. Two requests that are equal in all fields count as one where
    /// an answer was lost: put the run into it where that matters.
    pub payload: Value,
    /// Whether users depend on the environment.
    pub production: bool,
    /// Whether the environment will vanish.
    pub transient: bool,
}

/// A deployment as GitHub has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its other id.
    pub node: NodeId,
    /// The commit that is deployed.
    pub reference: CommitSha,
    /// The environment's name.
    pub environment: String,
    /// What kind of deployment it is.
    pub task: String,
    /// For people.
    pub description: String,
    /// What its creator put there. Anybody who may create deployments may have: believe only what is signed.
    pub payload: Value,
    /// The login of its creator, which authenticates nothing; none for a deleted account.
    pub creator: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Which deployments to list; a field that is none does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// Only of this commit.
    pub reference: Option<CommitSha>,
    /// Only in this environment.
    pub environment: Option<String>,
    /// Only with this task.
    pub task: Option<String>,
}

/// How a deployment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Something of ours broke.
    Error,
    /// It was tried and failed.
    Failure,
    /// It is over, and no longer there.
    Inactive,
    /// It is being worked on.
    InProgress,
    /// It waits for its turn.
    Queued,
    /// It waits for something else.
    Pending,
    /// It is there.
    Success,
}

/// A status to be set on a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeploymentStatus {
    /// How it goes.
    pub state: DeploymentState,
    /// For people; cut at 140 characters.
    pub description: String,
    /// Where the log is.
    pub log_url: Option<String>,
    /// Where the deployed system answers.
    pub environment_url: Option<String>,
}

/// A status of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// Its id; a later status has a greater one.
    pub id: u64,
    /// How it goes.
    pub state: DeploymentState,
    /// For people.
    pub description: String,
    /// Where the log is.
    pub log_url: Option<String>,
    /// Where the deployed system answers.
    pub environment_url: Option<String>,
    /// When it was set.
    pub created_at: Timestamp,
}

#[derive(Deserialize)]
struct Wire {
    id: DeploymentId,
    node_id: NodeId,
    sha: CommitSha,
    environment: String,
    task: String,
    description: Option<String>,
    #[serde(default)]
    payload: Value,
    creator: Option<Creator>,
    created_at: Timestamp,
}

#[derive(Deserialize)]
struct Creator {
    login: String,
}

impl From<Wire> for Deployment {
    fn from(wire: Wire) -> Self {
        Self {
            id: wire.id,
            node: wire.node_id,
            reference: wire.sha,
            environment: wire.environment,
            task: wire.task,
            description: wire.description.unwrap_or_default(),
            payload: unwrapped(wire.payload),
            creator: wire.creator.map(|creator| creator.login),
            created_at: wire.created_at,
        }
    }
}

#[derive(Deserialize)]
struct StatusWire {
    id: u64,
    state: DeploymentState,
    description: Option<String>,
    #[serde(default, deserialize_with = "none_if_empty")]
    log_url: Option<String>,
    #[serde(default, deserialize_with = "none_if_empty")]
    environment_url: Option<String>,
    created_at: Timestamp,
}

impl From<StatusWire> for DeploymentStatus {
    fn from(wire: StatusWire) -> Self {
        Self {
            id: wire.id,
            state: wire.state,
            description: wire.description.unwrap_or_default(),
            log_url: wire.log_url,
            environment_url: wire.environment_url,
            created_at: wire.created_at,
        }
    }
}

/// What GraphQL is asked: of REST's list of deployments, each would have to be asked for its statuses.
/// <https://docs.github.com/en/graphql/reference/objects#deployment>
const STATES: &str =
    "query($owner: String!, $name: String!, $environment: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    deployments(environments: [$environment], first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id latestStatus { state } }
    }
  }
}";

#[derive(Deserialize)]
struct States {
    repository: StatesOfRepository,
}

#[derive(Deserialize)]
struct StatesOfRepository {
    deployments: StatesPage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatesPage {
    page_info: PageInfo,
    nodes: Vec<StateNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    pub(crate) has_next_page: bool,
    end_cursor: Option<String>,
}

impl PageInfo {
    /// After what the next page begins, where this one began after `after`.
    ///
    /// # Errors
    /// Of `operation`, when the list says that it goes on, and not where.
    pub(crate) fn next(self, after: Option<&str>, operation: &str) -> Result<String, Error> {
        let next = self.end_cursor.filter(|next| after != Some(next.as_str()));
        next.ok_or_else(|| {
            let message = "its pages have no next one, and are said to go on".to_owned();
            let passing = false;
            Error::new(operation, Problem::Unreadable { message, passing })
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateNode {
    pub(crate) id: NodeId,
    latest_status: Option<LatestStatus>,
}

#[derive(Deserialize)]
struct LatestStatus {
    state: String,
}

impl StateNode {
    pub(crate) fn is_inactive(&self) -> bool {
        let newest = self.latest_status.as_ref();
        newest.is_some_and(|newest| newest.state == "INACTIVE")
    }
}

/// GitHub gives an address that was not set as an empty text.
fn none_if_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// A payload that some client sent as a text of JSON, as the JSON in it.
pub(crate) fn unwrapped(payload: Value) -> Value {
    match &payload {
        Value::String(text) => serde_json::from_str(text).unwrap_or(payload),
        _ => payload,
    }
}

impl DeploymentFilter {
    fn query(&self) -> String {
        let pairs = [
            ("sha", self.reference.as_ref().map(CommitSha::as_str)),
            ("environment", self.environment.as_deref()),
            ("task", self.task.as_deref()),
        ];
        let query: Vec<String> = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", encoded(value?))))
            .collect();
        if query.is_empty() {
            String::new()
        } else {
            format!("?{}", query.join("&"))
        }
    }
}

impl DeploymentRequest {
    fn is(&self, deployment: &Deployment) -> bool {
        deployment.reference == self.reference
            && deployment.environment == self.environment
            && deployment.task == self.task
            && deployment.description == clipped(&self.description, DESCRIPTION_LIMIT)
            && deployment.payload == self.payload
    }
}

impl NewDeploymentStatus {
    fn is(&self, status: &DeploymentStatus) -> bool {
        status.state == self.state
            && status.description == clipped(&self.description, DESCRIPTION_LIMIT)
            && status.log_url == self.log_url
            && status.environment_url == self.environment_url
    }
}

impl GitHub {
    /// Creates a deployment. Nothing is merged for it and no check is waited for.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn create_deployment(
        &self,
        request: &DeploymentRequest,
    ) -> Result<Deployment, Error> {
        let DeploymentRequest {
            reference,
            environment,
            task,
            description,
            payload,
            production,
            transient,
        } = request;
        let operation = format!(
            "create a deployment of {} in {environment:?} of {}",
            reference.short(),
            self.slug
        );
        let call = Call::post(self.path("/deployments"), operation, WRITE).with(&json!({
            "ref": reference,
            "environment": environment,
            "task": task,
            "description": clipped(description, DESCRIPTION_LIMIT),
            "payload": payload,
            "production_environment": production,
            "transient_environment": transient,
            // GitHub's defaults merge the default branch into the commit's and wait for its checks.
            "auto_merge": false,
            "required_contexts": [],
        }))?;
        let filter = DeploymentFilter {
            reference: Some(reference.clone()),
            environment: Some(environment.clone()),
            task: Some(task.clone()),
        };
        let read_back = || async {
            let deployments = self.deployments(&filter).await?;
            Ok(deployments
                .into_iter()
                .find(|deployment| request.is(deployment)))
        };
        let created = self.transport.create::<Wire, _, _>(&call, read_back);
        let deployment: Deployment = created.await?;
        if let Some(creator) = &deployment.creator {
            self.is_known_as(creator);
        }
        Ok(deployment)
    }

    /// All deployments that match, as GitHub orders them (newest first).
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn deployments(&self, filter: &DeploymentFilter) -> Result<Vec<Deployment>, Error> {
        let wires: Vec<Wire> = self.transport.pages(&self.listing_of(filter)).await?;
        Ok(wires.into_iter().map(Deployment::from).collect())
    }

    /// As [`Self::deployments`], of those that were made `since` then: of the others no more than a page is read.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn deployments_since(
        &self,
        filter: &DeploymentFilter,
        since: Timestamp,
    ) -> Result<Vec<Deployment>, Error> {
        let is_older = |wire: &Wire| wire.created_at < since;
        let call = self.listing_of(filter);
        let wires = self.transport.pages_until(&call, is_older).await?;
        let newer = wires.into_iter().filter(|wire| !is_older(wire));
        Ok(newer.map(Deployment::from).collect())
    }

    fn listing_of(&self, filter: &DeploymentFilter) -> Call {
        let path = self.path(format_args!("/deployments{}", filter.query()));
        Call::get(path, format!("list the deployments of {}", self.slug), READ)
    }

    /// Which deployments in `environment` are not inactive: their newest status is another one, or they have none. One
    /// request for each hundred.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn active_deployments(&self, environment: &str) -> Result<BTreeSet<NodeId>, Error> {
        let operation = format!(
            "list which deployments in {environment:?} of {} are active",
            self.slug
        );
        let mut active = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let variables = json!({
                "owner": self.slug.owner(), "name": self.slug.name(), "environment": environment, "after": after,
            });
            let asked = self.transport.graphql(STATES, variables, READ, &operation);
            let answer: States = asked.await?;
            let StatesPage { page_info, nodes } = answer.repository.deployments;
            let found = nodes.into_iter().filter(|node| !node.is_inactive());
            active.extend(found.map(|node| node.id));
            if !page_info.has_next_page {
                return Ok(active);
            }
            after = Some(page_info.next(after.as_deref(), &operation)?);
        }
    }

    /// Says how a deployment goes. The statuses of other deployments stay: see [`Self::retire_deployments`].
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn set_deployment_status(
        &self,
        id: DeploymentId,
        status: &NewDeploymentStatus,
    ) -> Result<DeploymentStatus, Error> {
        let mut body = json!({
            "state": status.state,
            "description": clipped(&status.description, DESCRIPTION_LIMIT),
            // GitHub would skip transient environments and touch other pull requests' in the rest.
            "auto_inactive": false,
        });
        for (key, address) in [
            ("log_url", &status.log_url),
            ("environment_url", &status.environment_url),
        ] {
            if let Some(address) = address {
                body[key] = json!(address);
            }
        }
        let operation = format!("set the status of deployment {id} of {}", self.slug);
        let call = Call::post(
            self.path(format_args!("/deployments/{id}/statuses")),
            operation,
            WRITE,
        )
        .with(&body)?;
        let read_back = || async {
            let newest = self
                .deployment_statuses(id)
                .await?
                .into_iter()
                .max_by_key(|status| status.id);
            Ok(newest.filter(|newest| status.is(newest)))
        };
        self.transport
            .create::<StatusWire, _, _>(&call, read_back)
            .await
    }

    /// All statuses of a deployment, as GitHub orders them (newest first).
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn deployment_statuses(
        &self,
        id: DeploymentId,
    ) -> Result<Vec<DeploymentStatus>, Error> {
        let operation = format!("list the statuses of deployment {id} of {}", self.slug);
        let call = Call::get(
            self.path(format_args!("/deployments/{id}/statuses")),
            operation,
            READ,
        );
        let wires: Vec<StatusWire> = self.transport.pages(&call).await?;
        Ok(wires.into_iter().map(DeploymentStatus::from).collect())
    }

    /// Whether any deployment that matches was ever a success, whatever became of it since.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn has_succeeded(&self, filter: &DeploymentFilter) -> Result<bool, Error> {
        Ok(self.newest_success(filter).await?.is_some())
    }

    /// The newest deployment that matches and ever was a success, whatever became of it since.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn newest_success(
        &self,
        filter: &DeploymentFilter,
    ) -> Result<Option<Deployment>, Error> {
        for deployment in self.deployments(filter).await? {
            let statuses = self.deployment_statuses(deployment.id).await?;
            if statuses
                .iter()
                .any(|status| status.state == DeploymentState::Success)
            {
                return Ok(Some(deployment));
            }
        }
        Ok(None)
    }

    /// Sets those of these deployments inactive that are not yet, and returns them.
    ///
    /// All previews share one environment, so the caller picks them by their payloads.
    ///
    /// # Errors
    /// As all operations: see [`Error`]; the rest of the list is then left for the next run.
    pub async fn retire_deployments(
        &self,
        ids: &[DeploymentId],
        why: &str,
    ) -> Result<Vec<DeploymentId>, Error> {
        let mut retired = Vec::new();
        for &id in ids {
            let statuses = self.deployment_statuses(id).await?;
            let newest = statuses.iter().max_by_key(|status| status.id);
            if newest.is_some_and(|newest| newest.state == DeploymentState::Inactive) {
                continue;
            }
            self.retire_deployment(id, why).await?;
            retired.push(id);
        }
        Ok(retired)
    }

    /// Sets a deployment inactive, whatever it was.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn retire_deployment(&self, id: DeploymentId, why: &str) -> Result<(), Error> {
        let inactive = NewDeploymentStatus {
            state: DeploymentState::Inactive,
            description: why.to_owned(),
            log_url: None,
            environment_url: None,
        };
        self.set_deployment_status(id, &inactive).await.map(drop)
    }
}
