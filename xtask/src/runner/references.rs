//! Whether everything that a workflow names is there. On GitHub an output, input or secret that is misspelt is empty, and nobody
//! is told.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{
    expression::{bare, expressions, parse},
    standins,
    step::VARIABLES,
    syntax::{Action, Concurrency, Job, Step, Values, Workflow},
};

/// The properties of `github` that there are beside [`VARIABLES`]; of `event` the payload is looked at when it is there.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>
const NO_VARIABLES: [&str; 3] = ["action_path", "event", "token"];

/// What is known around an expression.
#[derive(Clone, Default)]
struct Known<'a> {
    inputs: BTreeSet<&'a str>,
    secrets: BTreeSet<&'a str>,
    matrix: BTreeSet<&'a str>,
    env: BTreeSet<&'a str>,
    /// What is needed, with the outputs.
    needs: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The steps before, with the outputs; none where it may be any.
    steps: BTreeMap<&'a str, Option<BTreeSet<&'a str>>>,
}

/// Checks a workflow, whose steps use `actions` of ours by their names, with the secrets that there may be.
///
/// # Errors
/// With the first thing that is not there, and where it is named.
pub(crate) fn check<'a>(
    workflow: &'a Workflow,
    actions: &'a BTreeMap<String, Action>,
    secrets: &[&'a str],
) -> anyhow::Result<()> {
    let by_hand = workflow.on.workflow_dispatch.as_ref();
    let inputs = by_hand.into_iter().flat_map(|it| it.inputs.keys());
    let known = Known {
        inputs: inputs.map(String::as_str).collect(),
        secrets: secrets.iter().copied().collect(),
        env: workflow.env.keys().map(String::as_str).collect(),
        ..Known::default()
    };
    known.texts(workflow.run_name.iter().map(String::as_str))?;
    known.values(&workflow.env)?;
    known.concurrency(workflow.concurrency.as_ref())?;
    for (id, job) in &workflow.jobs {
        let place = || format!("job {id} of {}", workflow.name);
        check_job(job, workflow, actions, known.clone()).with_context(place)?;
    }
    Ok(())
}

fn check_job<'a>(
    job: &'a Job,
    workflow: &'a Workflow,
    actions: &'a BTreeMap<String, Action>,
    mut known: Known<'a>,
) -> anyhow::Result<()> {
    for needed in &job.needs {
        let found = workflow.jobs.get(needed);
        let found =
            found.with_context(|| format!("it needs {needed:?}, and there is no such job"))?;
        let outputs = found.outputs.keys().map(String::as_str).collect();
        known.needs.insert(needed, outputs);
    }
    known.condition(job.condition.as_deref())?;
    known.matrix = job.strategy.matrix.keys().map(String::as_str).collect();
    known.env.extend(job.env.keys().map(String::as_str));
    known.texts(job.name.iter().map(String::as_str))?;
    known.values(&job.env)?;
    known.concurrency(job.concurrency.as_ref())?;
    known.steps(&job.steps, actions)?;
    known.texts(job.outputs.values().map(String::as_str))
}

/// Checks a composite action.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_action<'a>(
    action: &'a Action,
    actions: &'a BTreeMap<String, Action>,
) -> anyhow::Result<()> {
    let mut known = Known {
        inputs: action.inputs.keys().map(String::as_str).collect(),
        ..Known::default()
    };
    known.steps(&action.runs.steps, actions)?;
    known.texts(action.outputs.values().map(|output| output.value.as_str()))
}

impl<'a> Known<'a> {
    /// Checks steps in their order; each is known to those after it.
    fn steps(
        &mut self,
        steps: &'a [Step],
        actions: &'a BTreeMap<String, Action>,
    ) -> anyhow::Result<()> {
        for (nth, step) in steps.iter().enumerate() {
            let place = || format!("step {}", nth + 1);
            let outputs = self.step(step, actions).with_context(place)?;
            if let Some(id) = &step.id {
                self.steps.insert(id, outputs);
            }
        }
        Ok(())
    }

    /// Checks a step, and gives its outputs.
    fn step(
        &self,
        step: &'a Step,
        actions: &'a BTreeMap<String, Action>,
    ) -> anyhow::Result<Option<BTreeSet<&'a str>>> {
        let mut known = self.clone();
        known.env.extend(step.env.keys().map(String::as_str));
        known.condition(step.condition.as_deref())?;
        known.texts(step.run.iter().map(String::as_str))?;
        known.texts(step.name.iter().map(String::as_str))?;
        known.values(&step.env)?;
        known.values(&step.with)?;
        let Some(uses) = &step.uses else {
            ensure!(step.run.is_some(), "it neither runs nor uses anything");
            return Ok(None);
        };
        let Some(name) = standins::ours(uses) else {
            let (inputs, outputs) = standins::interface(uses)?;
            let unknown = step.with.keys().find(|key| !inputs.contains(&key.as_str()));
            if let Some(unknown) = unknown {
                bail!("{uses}: the stand-in has no input {unknown:?}");
            }
            return Ok(Some(outputs.iter().copied().collect()));
        };
        let action = actions.get(name);
        let action = action.with_context(|| format!("there is no action {name}"))?;
        let unknown = step
            .with
            .keys()
            .find(|key| !action.inputs.contains_key(*key));
        if let Some(unknown) = unknown {
            bail!("the action {name} has no input {unknown:?}");
        }
        let mut inputs = action.inputs.iter();
        let missing = inputs.find(|(key, input)| input.required && !step.with.contains_key(*key));
        if let Some((missing, _)) = missing {
            bail!("the action {name} lacks the input {missing:?}");
        }
        Ok(Some(action.outputs.keys().map(String::as_str).collect()))
    }

    fn values(&self, values: &Values) -> anyhow::Result<()> {
        self.texts(values.values().filter_map(Value::as_str))
    }

    fn concurrency(&self, concurrency: Option<&Concurrency>) -> anyhow::Result<()> {
        let Some(concurrency) = concurrency else {
            return Ok(());
        };
        self.texts([concurrency.group.as_str()].into_iter())?;
        self.texts(concurrency.cancel_in_progress.as_str().into_iter())
    }

    fn condition(&self, condition: Option<&str>) -> anyhow::Result<()> {
        condition.map_or(Ok(()), |condition| self.expression(bare(condition)))
    }

    fn texts<'t>(&self, mut texts: impl Iterator<Item = &'t str>) -> anyhow::Result<()> {
        texts.try_for_each(|text| {
            let mut found = expressions(text)?.into_iter();
            found.try_for_each(|expression| self.expression(expression))
        })
    }

    fn expression(&self, expression: &str) -> anyhow::Result<()> {
        let parsed = parse(expression)?;
        for (path, origin) in parsed.contexts() {
            let Some(pattern) = path.as_pattern() else {
                continue;
            };
            let steps: Vec<&str> = pattern.split('.').collect();
            ensure!(self.has(&steps), "there is no `{}`", origin.raw);
        }
        Ok(())
    }

    /// Names are the same in capitals.
    fn has(&self, path: &[&str]) -> bool {
        match path {
            ["github", "event", ..] => true,
            ["github", name] => VARIABLES.contains(name) || NO_VARIABLES.contains(name),
            ["runner", name] => ["temp", "os", "arch", "name"].contains(name),
            ["inputs", name] => lists(&self.inputs, name),
            ["secrets", name] => lists(&self.secrets, name),
            ["matrix", name] => lists(&self.matrix, name),
            ["env", name] => lists(&self.env, name),
            ["needs", job, "result"] => find(&self.needs, job).is_some(),
            ["needs", job, "outputs", name] => {
                find(&self.needs, job).is_some_and(|outputs| lists(outputs, name))
            }
            ["steps", id, "outcome" | "conclusion"] => find(&self.steps, id).is_some(),
            ["steps", id, "outputs", name] => match find(&self.steps, id) {
                None => false,
                Some(outputs) => outputs.as_ref().is_none_or(|outputs| lists(outputs, name)),
            },
            _ => false,
        }
    }
}

fn lists(all: &BTreeSet<&str>, name: &str) -> bool {
    all.iter().any(|it| it.eq_ignore_ascii_case(name))
}

fn find<'m, T>(all: &'m BTreeMap<&str, T>, name: &str) -> Option<&'m T> {
    let mut entries = all.iter();
    let found = entries.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
