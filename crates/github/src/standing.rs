//! What tells of a preview on its pull request beside the comment, by one question for all of it: REST would have to be asked
//! for each label and each deployment.

use std::collections::BTreeSet;

use jiff::Timestamp;
use preview_core::names::{CommitSha, PrNumber};
use serde::Deserialize;
use serde_json::json;

use crate::client::GitHub;
use crate::deployments::{NodeId, PageInfo, StateNode};
use crate::error::{Error, Problem};

const NEEDS: &str = "contents: read, deployments: read, issues: read, pull-requests: read";

/// <https://docs.github.com/en/graphql/reference/objects#label>, `#deployment`
const STANDING: &str = "query($owner: String!, $name: String!, $number: Int!, $environment: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      baseRef { target { oid } }
      labels(first: 100) {
        nodes { name description issues { totalCount } pullRequests { totalCount } }
      }
    }
    deployments(environments: [$environment], first: 100, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor }
      nodes { id createdAt latestStatus { state } }
    }
  }
}";

/// What tells of a preview beside the comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// All labels of the pull request.
    pub labels: Vec<CarriedLabel>,
    /// The head of the base branch; none where that is gone.
    pub base: Option<CommitSha>,
    /// The deployments in the environment that are not inactive, of whichever preview they are.
    pub active: BTreeSet<NodeId>,
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
    nodes: Vec<DatedState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DatedState {
    created_at: Timestamp,
    #[serde(flatten)]
    of: StateNode,
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
    /// The labels of the pull request `pr`, where its base branch is, and which deployments in `environment` that were made `since` then are not
    /// inactive. One request, and one more for each further hundred of such deployments.
    ///
    /// # Errors
    /// As all operations: see [`Error`]. A pull request that does not exist is one.
    pub async fn standing(
        &self,
        pr: PrNumber,
        environment: &str,
        since: Timestamp,
    ) -> Result<Standing, Error> {
        let operation = format!("read what tells of the preview of #{pr} of {}", self.slug);
        let mut standing = Standing::default();
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
            let PullData { base_ref, labels } = repository.pull_request;
            standing.base = base_ref.and_then(|base| Some(base.target?.oid));
            standing.labels = labels.nodes.into_iter().map(CarriedLabel::from).collect();
            let DeploymentsPage { page_info, nodes } = repository.deployments;
            let is_older = nodes.last().is_some_and(|node| node.created_at < since);
            let found = nodes.into_iter().filter(|node| !node.of.is_inactive());
            standing.active.extend(found.map(|node| node.of.id));
            if is_older || !page_info.has_next_page {
                return Ok(standing);
            }
            if page_info.end_cursor.is_none() || page_info.end_cursor == after {
                return Err(Error::new(operation, Problem::endless()));
            }
            after = page_info.end_cursor;
        }
    }
}
