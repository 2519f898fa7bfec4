//! What tells of a preview on its pull request beside the comment, by one question for all of it: REST would have to be asked
//! for each label and each deployment.

use jiff::Timestamp;
use preview_core::names::{CommitSha, PrNumber};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::GitHub;
use crate::deployments::{NodeId, PageInfo, StateNode, unwrapped};
use crate::error::Error;

const NEEDS: &str = "contents: read, deployments: read, issues: read, pull-requests: read";

/// <https://docs.github.com/en/graphql/reference/objects#label>, `#deployment`
const STANDING: &str = "query($owner: String!, $name: String!, $number: Int!, $environment: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      createdAt
      baseRef { target { oid } }
      labels(first: 100) {
        nodes { name description issues { totalCount } pullRequests { totalCount } }
      }
    }
    deployments(environments: [$environment], first: 100, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor }
      nodes { id createdAt commitOid task payload latestStatus { state } }
    }
  }
}";

/// What tells of a preview beside the comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// When the pull request was opened: nothing tells of it that is older.
    pub opened: Timestamp,
    /// All labels of the pull request.
    pub labels: Vec<CarriedLabel>,
    /// The head of the base branch; none where that is gone.
    pub base: Option<CommitSha>,
    /// The deployments in the environment that were made since and are not inactive, of whichever preview they are.
    pub active: Vec<ActiveDeployment>,
}

/// A deployment that is not inactive.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveDeployment {
    /// Its id.
    pub node: NodeId,
    /// The commit that is deployed.
    pub reference: CommitSha,
    /// What kind of deployment it is.
    pub task: String,
    /// What its creator put there, where it can be read.
    pub payload: Value,
}

/// A label of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedLabel {
    /// Its name.
    pub name: String,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// Whether another issue or pull request, open or closed, carries it, too.
    pub is_shared: bool,
}

#[derive(Deserialize)]
struct Data {
    repository: RepositoryData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryData {
    pull_request: PullData,
    deployments: DeploymentsPage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullData {
    created_at: Timestamp,
    base_ref: Option<Reference>,
    labels: Labels,
}

#[derive(Deserialize)]
struct Reference {
    target: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: CommitSha,
}

#[derive(Deserialize)]
struct Labels {
    nodes: Vec<LabelNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelNode {
    name: String,
    description: Option<String>,
    issues: Count,
    pull_requests: Count,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    total_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentsPage {
    page_info: PageInfo,
    nodes: Vec<DeploymentNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentNode {
    created_at: Timestamp,
    commit_oid: CommitSha,
    task: Option<String>,
    payload: Option<String>,
    #[serde(flatten)]
    of: StateNode,
}

impl From<DeploymentNode> for ActiveDeployment {
    fn from(node: DeploymentNode) -> Self {
        Self {
            node: node.of.id,
            reference: node.commit_oid,
            task: node.task.unwrap_or_default(),
            // A text, here: of an object, or of the text of one.
            payload: unwrapped(unwrapped(node.payload.map_or(Value::Null, Value::String))),
        }
    }
}

impl From<LabelNode> for CarriedLabel {
    fn from(node: LabelNode) -> Self {
        Self {
            name: node.name,
            description: node.description,
            is_shared: node.issues.total_count + node.pull_requests.total_count > 1,
        }
    }
}

impl GitHub {
    /// The labels of the pull request `pr`, where its base branch is, and which deployments in `environment` that were made
    /// since it was opened are not inactive. One request, and one more for each further hundred of such deployments.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A pull request that does not exist is one.
    pub async fn standing(&self, pr: PrNumber, environment: &str) -> Result<Standing, Error> {
        let operation = format!("read what tells of the preview of #{pr} of {}", self.slug);
        let mut active = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let variables = json!({
                "owner": self.slug.owner(), "name": self.slug.name(), "number": pr, "environment": environment,
                "after": after,
            });
            let asked = self
                .transport
                .graphql(STANDING, variables, NEEDS, &operation);
            let Data { repository } = asked.await?;
            let pull = repository.pull_request;
            let DeploymentsPage { page_info, nodes } = repository.deployments;
            let is_older = |node: &DeploymentNode| node.created_at < pull.created_at;
            let is_last = !page_info.has_next_page || nodes.last().is_some_and(is_older);
            let found = nodes.into_iter();
            let found = found.filter(|node| !is_older(node) && !node.of.is_inactive());
            active.extend(found.map(ActiveDeployment::from));
            if is_last {
                let labels = pull.labels.nodes.into_iter();
                return Ok(Standing {
                    opened: pull.created_at,
                    labels: labels.map(CarriedLabel::from).collect(),
                    base: pull.base_ref.and_then(|base| Some(base.target?.oid)),
                    active,
                });
            }
            after = Some(page_info.next(after.as_deref(), &operation)?);
        }
    }
}
