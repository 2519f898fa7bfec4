//! Workflow files and composite actions, as far as ours use their syntax. What is not here is refused: a key that is
//! misspelt does nothing on GitHub, and is an error here.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::permissions::Permissions;

/// Names with values, as `env` and `with` have them: texts with expressions, or plain values.
pub(crate) type Values = BTreeMap<String, Value>;

/// A workflow file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) run_name: Option<String>,
    pub(crate) on: Triggers,
    pub(crate) permissions: Permissions,
    #[serde(default)]
    pub(crate) env: Values,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) jobs: BTreeMap<String, Job>,
}

/// What starts a workflow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    #[serde(default, deserialize_with = "named")]
    pub(crate) pull_request: Option<Filter>,
    #[serde(default, deserialize_with = "named")]
    pub(crate) push: Option<Filter>,
    #[serde(default, deserialize_with = "named")]
    pub(crate) merge_group: Option<Filter>,
    #[serde(default, deserialize_with = "named")]
    pub(crate) issue_comment: Option<Filter>,
    pub(crate) workflow_run: Option<OfWorkflows>,
    #[serde(default)]
    pub(crate) schedule: Vec<Cron>,
    #[serde(default, deserialize_with = "named")]
    pub(crate) workflow_dispatch: Option<ByHand>,
}

/// Which events of a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) types: Option<Vec<String>>,
    pub(crate) branches: Option<Vec<String>>,
}

/// Runs of which workflows, by their names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfWorkflows {
    pub(crate) workflows: Vec<String>,
    pub(crate) types: Vec<String>,
}

/// When.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cron {
    pub(crate) cron: String,
}

/// What somebody who starts it may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByHand {
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, Input>,
}

/// An input, of a workflow or of an action.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) default: Option<Value>,
    #[serde(rename = "options")]
    _options: Option<Vec<String>>,
}

/// What waits for what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Concurrency {
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) cancel_in_progress: Value,
    pub(crate) queue: Option<Queue>,
}

/// How many may wait in a group.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Queue {
    /// All of them.
    Max,
    /// One: the next takes its place.
    Single,
}

/// A job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Job {
    pub(crate) name: Option<String>,
    #[serde(rename = "if")]
    pub(crate) condition: Option<String>,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(crate) needs: Vec<String>,
    #[serde(rename = "runs-on")]
    _runs_on: String,
    pub(crate) timeout_minutes: Value,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) environment: Option<Environment>,
    pub(crate) concurrency: Option<Concurrency>,
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) strategy: Strategy,
    #[serde(default)]
    pub(crate) env: Values,
    pub(crate) steps: Vec<Step>,
}

/// The environment that a job names, with its rules and secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    pub(crate) name: String,
    /// Whether GitHub makes a deployment of its own of the job.
    pub(crate) deployment: Option<bool>,
}

/// How often a job runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Strategy {
    #[serde(default)]
    pub(crate) matrix: BTreeMap<String, Vec<Value>>,
    /// Whether one that fails ends the others; it does, unless told.
    pub(crate) fail_fast: Option<bool>,
}

/// A step of a job, or of a composite action.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Step {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    #[serde(rename = "if")]
    pub(crate) condition: Option<String>,
    pub(crate) uses: Option<String>,
    #[serde(default)]
    pub(crate) with: Values,
    pub(crate) run: Option<String>,
    pub(crate) shell: Option<String>,
    pub(crate) working_directory: Option<String>,
    #[serde(default)]
    pub(crate) env: Values,
    #[serde(default)]
    pub(crate) continue_on_error: Value,
    /// As long as the job may take, unless told.
    pub(crate) timeout_minutes: Option<Value>,
}

/// A composite action's `action.yml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "author")]
    _author: String,
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, Input>,
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, Output>,
    pub(crate) runs: Runs,
}

/// What an action tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    #[serde(rename = "description")]
    _description: String,
    pub(crate) value: String,
}

/// What an action does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runs {
    #[serde(rename = "using")]
    _using: Using,
    pub(crate) steps: Vec<Step>,
}

/// The one kind of action that we publish.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Using {
    Composite,
}

/// Reads a workflow or an action.
///
/// # Errors
/// When it has a key that is not known here, or lacks one.
pub(crate) fn read<T: DeserializeOwned>(name: &str, text: &str) -> anyhow::Result<T> {
    serde_saphyr::from_str(text).with_context(|| format!("read {name}"))
}

/// A key without a value is there all the same.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from).map(|value: Option<T>| Some(value.unwrap_or_default()))
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        More(Vec<String>),
    }
    Ok(match Words::deserialize(from)? {
        Words::One(word) => vec![word],
        Words::More(words) => words,
    })
}
