//! How the repository is set up for our workflows: its environments, and whether its workflows run.

use preview_core::doctor::{BranchRule, Environment, Workflow};
use serde::Deserialize;

use crate::call::Call;
use crate::client::GitHub;
use crate::error::Error;

#[derive(Deserialize)]
struct EnvironmentsPage {
    environments: Vec<EnvironmentWire>,
}

impl IntoIterator for EnvironmentsPage {
    type Item = EnvironmentWire;
    type IntoIter = std::vec::IntoIter<EnvironmentWire>;

    fn into_iter(self) -> Self::IntoIter {
        self.environments.into_iter()
    }
}

#[derive(Deserialize)]
struct EnvironmentWire {
    name: String,
    #[serde(default)]
    protection_rules: Vec<RuleWire>,
    deployment_branch_policy: Option<PolicyWire>,
}

#[derive(Deserialize)]
struct RuleWire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    reviewers: Vec<ReviewerWire>,
}

#[derive(Deserialize)]
struct ReviewerWire {
    reviewer: WhoWire,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WhoWire {
    Person { login: String },
    Team { name: String },
}

impl ReviewerWire {
    fn name(&self) -> &str {
        match &self.reviewer {
            WhoWire::Person { login: name } | WhoWire::Team { name } => name,
        }
    }
}

#[derive(Deserialize)]
struct PolicyWire {
    protected_branches: bool,
}

#[derive(Deserialize)]
struct WorkflowsPage {
    workflows: Vec<WorkflowWire>,
}

impl IntoIterator for WorkflowsPage {
    type Item = WorkflowWire;
    type IntoIter = std::vec::IntoIter<WorkflowWire>;

    fn into_iter(self) -> Self::IntoIter {
        self.workflows.into_iter()
    }
}

#[derive(Deserialize)]
struct WorkflowWire {
    path: String,
    state: String,
}

impl GitHub {
    /// The repository's environments, with what protects them.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn environments(&self) -> Result<Vec<Environment>, Error> {
        let call = Call::get(
            self.path("/environments"),
            format!("list the environments of {}", self.slug),
            "actions: read",
        );
        let wires = self.transport.pages_of::<EnvironmentsPage>(&call).await?;
        let environments = wires.into_iter().map(|wire| Environment {
            name: wire.name,
            has_reviewers: wire
                .protection_rules
                .iter()
                .any(|rule| rule.kind == "required_reviewers"),
            reviewers: wire
                .protection_rules
                .iter()
                .flat_map(|rule| &rule.reviewers)
                .map(|reviewer| reviewer.name().to_owned())
                .collect(),
            branches: match wire.deployment_branch_policy {
                None => BranchRule::All,
                Some(policy) if policy.protected_branches => BranchRule::Protected,
                Some(_) => BranchRule::Named,
            },
        });
        Ok(environments.collect())
    }

    /// The repository's workflows, with whether they run.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn workflows(&self) -> Result<Vec<Workflow>, Error> {
        let call = Call::get(
            self.path("/actions/workflows"),
            format!("list the workflows of {}", self.slug),
            "actions: read",
        );
        let wires = self.transport.pages_of::<WorkflowsPage>(&call).await?;
        let workflows = wires.into_iter().map(|wire| Workflow {
            path: wire.path,
            state: wire.state,
        });
        Ok(workflows.collect())
    }
}
