//! A run of a workflow: its jobs, in the order of what they need.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Map, Value, json};

use super::{
    event::{About, Event},
    expression::{Scope, Status},
    job::Machine,
    queue::{Held, Stop},
    service::{Ended, Inner, Waits},
    syntax::{Concurrency, Job, Queue, Workflow},
    value::{holds, text},
};

/// A run that has been started.
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) id: u64,
    pub(super) file: String,
    pub(super) workflow: Workflow,
    pub(super) event: Event,
    pub(super) about: About,
    /// Of the whole run.
    stop: Stop,
}

/// How a job, with all of its matrix, has ended.
#[derive(Clone, Debug)]
struct Result {
    conclusion: &'static str,
    outputs: BTreeMap<String, String>,
}

/// The run's own place among those that wait: no job has it.
const NO_JOB: usize = usize::MAX;

impl Run {
    pub(super) fn new(inner: &Arc<Inner>, id: u64, file: &str, event: Event, about: About) -> Self {
        Self {
            inner: Arc::clone(inner),
            id,
            file: file.to_owned(),
            workflow: inner.setting.workflows[file].clone(),
            event,
            about,
            stop: Stop::new(),
        }
    }

    /// Runs it to its end; gives its conclusion.
    ///
    /// # Errors
    /// When the workflow asks for what the runner cannot do.
    pub(super) async fn through(self) -> anyhow::Result<&'static str> {
        let scope = self.scope()?;
        let title = self.workflow.run_name.as_deref();
        let title = title.map(|name| scope.text(name)).transpose()?;
        let repository = &self.inner.setting.repository;
        if let Some(title) = &title {
            repository.run_is_under_way(self.id, Some(title.trim()));
        }
        let held = match &self.workflow.concurrency {
            None => None,
            Some(concurrency) => {
                self.inner.began(self.id);
                let turn = self.turn(concurrency, &scope, NO_JOB, &self.stop).await?;
                self.inner.of_workflow_has_its_turn(self.id);
                let Some(held) = turn else {
                    return Ok("cancelled");
                };
                Some(held)
            }
        };
        let results = self.jobs(&scope).await?;
        drop(held);
        let ended = |conclusion: &str| results.values().any(|it| it.conclusion == conclusion);
        Ok(
            match (ended("cancelled"), ended("failure"), ended("success")) {
                (true, ..) => "cancelled",
                (_, true, _) => "failure",
                (.., true) => "success",
                _ => "skipped",
            },
        )
    }

    /// Waits for its turn in a group; none where another took its place.
    pub(super) async fn turn(
        &self,
        concurrency: &Concurrency,
        scope: &Scope,
        job: usize,
        stop: &Stop,
    ) -> anyhow::Result<Option<Held>> {
        let group = scope.text(&concurrency.group)?;
        let cancels = match &concurrency.cancel_in_progress {
            Value::String(template) => scope.value(template)?,
            plain => plain.clone(),
        };
        let queue = concurrency.queue.unwrap_or(Queue::Single);
        ensure!(
            queue == Queue::Single || !holds(&cancels),
            "GitHub refuses `queue: max` beside `cancel-in-progress: true`"
        );
        let groups = &self.inner.groups;
        let ticket = groups.line_up(&group, queue, holds(&cancels), stop);
        self.inner.waits(self.id, job, Waits::Turn(ticket.clone()));
        let turn = groups.turn(ticket).await;
        self.inner.goes_on(self.id, job);
        Ok(turn)
    }

    async fn jobs(&self, scope: &Scope) -> anyhow::Result<BTreeMap<String, Result>> {
        let mut results = BTreeMap::new();
        let mut begun: Vec<&str> = Vec::new();
        let mut going = FuturesUnordered::new();
        loop {
            for (id, job) in &self.workflow.jobs {
                let ready = job.needs.iter().all(|needed| results.contains_key(needed));
                if !ready || begun.contains(&id.as_str()) {
                    continue;
                }
                begun.push(id);
                let scope = self.scope_of(job, scope, &results);
                going.push(self.job(id, job, scope));
            }
            let Some(ended) = going.next().await else {
                break;
            };
            let (id, result) = ended?;
            results.insert(id, result);
        }
        ensure!(
            results.len() == self.workflow.jobs.len(),
            "{}: jobs need one another",
            self.file
        );
        Ok(results)
    }

    /// Runs a job, as often as its matrix says.
    async fn job<'a>(
        &'a self,
        id: &'a str,
        job: &'a Job,
        scope: Scope,
    ) -> anyhow::Result<(String, Result)> {
        let place = || format!("{}, job {id}", self.file);
        if !scope
            .lets_run(job.condition.as_deref())
            .with_context(place)?
        {
            self.inner.began(self.id);
            self.inner.has_ended(self.ended(id, "skipped"));
            let outputs = BTreeMap::new();
            let conclusion = "skipped";
            return Ok((
                id.to_owned(),
                Result {
                    conclusion,
                    outputs,
                },
            ));
        }
        let number = self.workflow.jobs.keys().position(|it| it == id);
        let number = number.unwrap_or_default() * 100;
        let combinations = matrix(job);
        let stops: Vec<Stop> = combinations.iter().map(|_| Stop::new()).collect();
        let fails_fast = job.strategy.fail_fast.unwrap_or(true);
        let all = combinations.into_iter().enumerate().map(|(nth, values)| {
            let scope = scope.clone().with("matrix", values);
            let (inner, stops) = (&self.inner, &stops);
            async move {
                inner.began(self.id);
                let stop = stops[nth].clone();
                let machine = Machine::new(self, id, job, scope, (number + nth, stop))?;
                let ended = machine.through().await?;
                inner.has_ended(ended.clone());
                if fails_fast && ended.conclusion == "failure" {
                    stops.iter().for_each(Stop::now);
                }
                anyhow::Ok(ended)
            }
        });
        let all = futures::future::try_join_all(all)
            .await
            .with_context(place)?;
        // Where one has failed, the others were cancelled for that.
        let worst = ["failure", "cancelled"];
        let worst = worst
            .into_iter()
            .find(|it| all.iter().any(|ended| ended.conclusion == *it));
        let outputs = all.into_iter().flat_map(|ended| ended.outputs).collect();
        let conclusion = worst.unwrap_or("success");
        Ok((
            id.to_owned(),
            Result {
                conclusion,
                outputs,
            },
        ))
    }

    /// A job that did nothing.
    pub(super) fn ended(&self, job: &str, conclusion: &'static str) -> Ended {
        Ended {
            file: self.file.clone(),
            run: self.id,
            event: self.event.name(),
            job: job.to_owned(),
            conclusion,
            remarks: Vec::new(),
            log: Vec::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// What is known of the whole run.
    fn scope(&self) -> anyhow::Result<Scope> {
        let setting = &self.inner.setting;
        let (repository, about) = (&setting.repository, &self.about);
        let slug = repository.slug();
        let owner = slug.split('/').next().unwrap_or_default();
        let github = json!({
            "actor": about.actor, "api_url": setting.github.url(), "base_ref": about.base_ref,
            "event": self.event.payload(repository), "event_name": self.event.name(),
            "head_ref": about.head_ref, "ref": about.full_ref, "ref_name": about.ref_name,
            "repository": slug, "repository_id": repository.id().to_string(), "repository_owner": owner,
            "run_attempt": "1", "run_id": self.id.to_string(), "server_url": setting.github.server_url(),
            "sha": about.sha, "workflow": self.workflow.name,
        });
        let scope = Scope::default()
            .with("github", github)
            .with("inputs", self.event.inputs(&self.workflow));
        let env = values(&self.workflow.env, &scope)?;
        Ok(scope.with("env", json!(env)))
    }

    fn scope_of(&self, job: &Job, scope: &Scope, results: &BTreeMap<String, Result>) -> Scope {
        let needed = job.needs.iter().filter_map(|id| {
            let Result {
                conclusion,
                outputs,
            } = results.get(id)?;
            Some((
                id.clone(),
                json!({ "result": conclusion, "outputs": outputs }),
            ))
        });
        let ancestors = self.ancestors(job);
        let had = |conclusion: &str| {
            let mut results = ancestors.iter().filter_map(|id| results.get(*id));
            results.any(|it| it.conclusion == conclusion)
        };
        let status = match (had("cancelled"), had("failure"), had("skipped")) {
            (true, ..) => Status::Cancelled,
            (_, true, _) => Status::Failure,
            (.., true) => Status::Skipped,
            _ => Status::Success,
        };
        Scope {
            status,
            ..scope
                .clone()
                .with("needs", Value::Object(needed.collect::<Map<_, _>>()))
        }
    }

    /// What a job needs, and what that needs: a failure counts for all that come after.
    fn ancestors<'a>(&'a self, job: &'a Job) -> Vec<&'a str> {
        let own = job.needs.iter().map(String::as_str);
        let above = job.needs.iter().filter_map(|id| self.workflow.jobs.get(id));
        own.chain(above.flat_map(|job| self.ancestors(job)))
            .collect()
    }
}

/// Each of a matrix's combinations; one, of nothing, where there is none.
fn matrix(job: &Job) -> Vec<Value> {
    let mut all = vec![json!({})];
    for (name, values) in &job.strategy.matrix {
        let with = |before: &Value| {
            let before = before.clone();
            values.iter().map(move |value| {
                let mut one = before.clone();
                one[name] = value.clone();
                one
            })
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// `env` or `with`, evaluated.
pub(super) fn values(
    templates: &BTreeMap<String, Value>,
    scope: &Scope,
) -> anyhow::Result<BTreeMap<String, String>> {
    let evaluated = templates.iter().map(|(name, value)| {
        let value = match value {
            Value::String(template) => scope.text(template)?,
            plain => text(plain),
        };
        Ok((name.clone(), value))
    });
    evaluated.collect()
}
