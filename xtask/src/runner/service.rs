//! GitHub's side: which runs there are, what they wait for, and what follows when they end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use sandbox::github::{Cause, GitHub, Repository};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    event::Event,
    permissions::Permissions,
    queue::{Groups, Ticket},
    references,
    run::Run,
    syntax::{self, Action, Workflow},
    tools::Tools,
};
use crate::life::{Ground, Programs};

/// Until everything is at rest: a whole chain of workflows on a node of two cores.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between one look at whether it is and the next.
const GLANCE: Duration = Duration::from_millis(10);

/// The actions that we publish, by the folder that each is in.
const ACTIONS: [&str; 3] = ["cleanup", "deploy", "promote"];

/// Secrets by environment and name. All that workflows may name are here; one that nobody has set is empty.
pub(crate) type Secrets = BTreeMap<(&'static str, &'static str), String>;

/// Where workflows run.
pub(crate) struct Setting {
    pub(crate) github: GitHub,
    pub(crate) repository: Repository,
    pub(crate) ground: Arc<Ground>,
    pub(crate) programs: Programs,
    pub(crate) secrets: Secrets,
    /// How long a minute is of those that workflows count in their timeouts.
    pub(crate) minute: Duration,
    /// Takes what jobs have on their machines.
    pub(crate) folder: PathBuf,
    /// The workflows, by the names of their files.
    pub(crate) workflows: BTreeMap<String, Workflow>,
}

/// A job that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The workflow's file.
    pub(crate) file: String,
    pub(crate) run: u64,
    /// What started the run.
    pub(crate) event: &'static str,
    pub(crate) job: String,
    /// `success`, `failure`, `cancelled` or `skipped`.
    pub(crate) conclusion: &'static str,
    /// What it said in errors and warnings.
    pub(crate) remarks: Vec<String>,
    /// The whole of what its steps said.
    pub(crate) log: Vec<String>,
    pub(crate) outputs: BTreeMap<String, String>,
}

/// What a job waits for.
#[derive(Clone, Debug)]
pub(super) enum Waits {
    /// Somebody's approval.
    Approval(String),
    /// Its turn in a concurrency group.
    Turn(Ticket),
}

#[derive(Default)]
struct State {
    runs: BTreeMap<u64, Progress>,
    ended: Vec<Ended>,
    faults: Vec<String>,
    watched: Option<Watched>,
    difference: Option<String>,
}

/// A job that is compared with how it ended before.
struct Watched {
    file: String,
    job: String,
    usual: Vec<Outline>,
}

/// What people see of a job: how it ended, and its errors and warnings.
type Outline = (&'static str, Vec<String>);

/// How far a run is.
#[derive(Default)]
struct Progress {
    /// Jobs that have begun and not ended.
    active: usize,
    waits: Vec<(usize, Waits)>,
    is_done: bool,
}

/// GitHub Actions of one repository.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

/// What runs share.
pub(super) struct Inner {
    pub(super) setting: Setting,
    pub(super) actions: BTreeMap<String, Action>,
    pub(super) groups: Arc<Groups>,
    /// What `gh`, `git` and `docker` ask.
    pub(super) tools: Tools,
    state: Mutex<State>,
    tasks: Mutex<JoinSet<()>>,
}

/// Reads the workflow files of a folder.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn workflows_of(
    folder: &Path,
    change: impl Fn(&str, String) -> String,
) -> anyhow::Result<BTreeMap<String, Workflow>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
        found.insert(name.clone(), syntax::read(&name, &change(&name, text))?);
    }
    Ok(found)
}

/// The actions that we publish, as they are in this repository.
pub(super) fn actions_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions")
}

fn actions() -> anyhow::Result<BTreeMap<String, Action>> {
    let read = |name: &str| {
        let path = actions_folder().join(name).join("action.yml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((name.to_owned(), syntax::read(name, &text)?))
    };
    ACTIONS.into_iter().map(read).collect()
}

/// Whether all that workflows name is there: the actions, what they take and tell, other jobs and steps, and `secrets`.
///
/// # Errors
/// With the first thing that is not.
pub(crate) fn check(
    workflows: &BTreeMap<String, Workflow>,
    secrets: &[&str],
) -> anyhow::Result<()> {
    let actions = actions()?;
    for (name, action) in &actions {
        references::check_action(action, &actions).with_context(|| format!("the action {name}"))?;
    }
    let mut all = workflows.iter();
    all.try_for_each(|(file, workflow)| {
        references::check(workflow, &actions, secrets).with_context(|| file.clone())
    })
}

impl Service {
    /// Sets it up; the repository gets the workflow files.
    ///
    /// # Errors
    /// When a workflow or an action names what is not there.
    pub(crate) async fn set_up(setting: Setting) -> anyhow::Result<Self> {
        let names = setting.secrets.keys().map(|(_, name)| *name);
        check(&setting.workflows, &names.collect::<Vec<_>>())?;
        for (file, workflow) in &setting.workflows {
            match &workflow.on.workflow_dispatch {
                None => setting.repository.add_workflow(file),
                Some(by_hand) => {
                    let inputs: Vec<_> = by_hand.inputs.keys().map(String::as_str).collect();
                    setting.repository.add_dispatched_workflow(file, &inputs);
                }
            }
        }
        let (repository, ground) = (&setting.repository, &setting.ground);
        let tools = Tools::listen(&setting.github.url(), repository, ground).await?;
        Ok(Self(Arc::new(Inner {
            actions: actions()?,
            setting,
            groups: Groups::new(),
            tools,
            state: Mutex::default(),
            tasks: Mutex::default(),
        })))
    }

    /// Lets something happen, and starts what hears of it.
    ///
    /// # Errors
    /// When nothing does.
    pub(crate) fn happens(&self, event: &Event) -> anyhow::Result<()> {
        let started = self.0.start(event)?;
        ensure!(started > 0, "no workflow hears of {event:?}");
        Ok(())
    }

    /// Somebody starts a workflow by hand.
    pub(crate) fn dispatch(&self, file: &str, inputs: Value, login: &str) {
        self.0.setting.repository.dispatch(file, inputs, login);
    }

    /// Waits until every run has ended, or waits for somebody.
    ///
    /// # Errors
    /// When they do not come to rest, or a workflow asks for what the runner cannot do.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.0.start_dispatched()?;
            if let Some(stops) = self.0.lock().stops() {
                bail!("{stops}");
            }
            if self.0.is_at_rest() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the workflows come to no rest");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Compares a job with how it ended in `usual`, as often as it did: the first time that it does not, everything stops.
    pub(crate) fn watch(&self, file: &str, job: &str, usual: &[Ended]) {
        self.0.lock().watched = Some(Watched {
            file: file.to_owned(),
            job: job.to_owned(),
            usual: outlines(usual, file, job),
        });
    }

    /// How the watched job ended otherwise.
    pub(crate) fn difference(&self) -> Option<String> {
        self.0.lock().difference.clone()
    }

    /// The jobs that have ended, in that order.
    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.0.lock().ended.clone()
    }

    /// How many jobs and runs wait for their turn in a group.
    #[cfg(test)]
    pub(crate) fn in_line(&self) -> usize {
        let state = self.0.lock();
        let waits = state.runs.values().flat_map(|progress| &progress.waits);
        let turns = waits.filter(|(_, what)| match what {
            Waits::Turn(ticket) => self.0.groups.is_waiting(ticket),
            Waits::Approval(_) => false,
        });
        turns.count()
    }

    /// The runs that wait for a reviewer of this environment.
    pub(crate) fn waiting_for(&self, environment: &str) -> Vec<u64> {
        let state = self.0.lock();
        let waits = |progress: &Progress| {
            let mut all = progress.waits.iter();
            all.any(|(_, waits)| matches!(waits, Waits::Approval(it) if it == environment))
        };
        let found = state.runs.iter().filter(|(_, progress)| waits(progress));
        found.map(|(run, _)| *run).collect()
    }
}

impl State {
    /// Why nothing goes on.
    fn stops(&self) -> Option<String> {
        let fault = self.faults.first().or(self.difference.as_ref());
        fault.cloned()
    }

    fn compare(&mut self) {
        let Some(Watched { file, job, usual }) = &self.watched else {
            return;
        };
        let seen = outlines(&self.ended, file, job);
        let differs = seen.iter().zip(usual).find(|(seen, usual)| seen != usual);
        if let Some(((conclusion, remarks), (_, usual))) = differs {
            let new = remarks.iter().find(|remark| !usual.contains(remark));
            let new = new.map_or_else(String::new, |remark| format!(", {remark}"));
            self.difference = Some(format!("{conclusion}{new}"));
        }
    }
}

/// The outlines of a job, each time that it ran.
fn outlines(ended: &[Ended], file: &str, job: &str) -> Vec<Outline> {
    let of_job = ended.iter().filter(|it| it.file == file && it.job == job);
    let outlines = of_job.map(|it| {
        let remarks = it.remarks.iter().map(|remark| without_numbers(remark));
        (it.conclusion, remarks.collect())
    });
    outlines.collect()
}

/// A remark without what differs from one time to the next: numbers and hashes.
fn without_numbers(remark: &str) -> String {
    let words = remark.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
    let same = words.map(|word| {
        let is_number = word.starts_with(|letter: char| letter.is_ascii_digit());
        let is_hash = word.len() > 6
            && word
                .trim_end_matches(|it: char| !it.is_ascii_alphanumeric())
                .bytes()
                .all(|it| it.is_ascii_hexdigit());
        if is_number || is_hash { "#" } else { word }
    });
    same.collect()
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The permissions of a job's token.
    pub(super) fn permissions(&self, workflow: &Workflow, job: &str, of_fork: bool) -> Permissions {
        let own = workflow
            .jobs
            .get(job)
            .and_then(|job| job.permissions.clone());
        let named = own.unwrap_or_else(|| workflow.permissions.clone());
        match of_fork {
            true => named.of_fork(),
            false => named,
        }
    }

    /// Starts whatever hears of an event; gives how many runs that are. All of them are there before any begins.
    fn start(self: &Arc<Self>, event: &Event) -> anyhow::Result<usize> {
        let hears = |(file, workflow): &(&String, &Workflow)| event.starts(file, workflow);
        let started = self
            .setting
            .workflows
            .iter()
            .filter(hears)
            .map(|(file, _)| {
                let repository = &self.setting.repository;
                let about = event.about(repository)?;
                let run = match event {
                    Event::PullRequest { number, .. } => repository.start_run(*number, file),
                    _ => repository.begin_run(
                        file,
                        Cause {
                            event: event.name(),
                            branch: &about.ref_name,
                            sha: &about.sha,
                            actor: &about.actor,
                        },
                    ),
                };
                Ok(Run::new(self, run, file, event.clone(), about))
            });
        let started: Vec<Run> = started.collect::<anyhow::Result<_>>()?;
        let count = started.len();
        started.into_iter().for_each(|run| self.spawn(run));
        Ok(count)
    }

    fn start_dispatched(self: &Arc<Self>) -> anyhow::Result<()> {
        for (run, dispatch) in self.setting.repository.dispatched() {
            let file = dispatch.workflow.clone();
            if !self.setting.workflows.contains_key(&file) {
                bail!("{file} was dispatched, and there is no such workflow");
            }
            let event = Event::Dispatch {
                file: file.clone(),
                inputs: dispatch.inputs,
                login: dispatch.login,
            };
            let about = event.about(&self.setting.repository)?;
            self.spawn(Run::new(self, run, &file, event, about));
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, run: Run) {
        let (id, inner) = (run.id, Arc::clone(self));
        inner.setting.repository.run_is_under_way(id, None);
        self.lock().runs.insert(id, Progress::default());
        let name = run.workflow.name.clone();
        let task = async move {
            let ended = run.through().await;
            let finished = ended.map(|conclusion| inner.finish(id, name, conclusion));
            if let Err(error) = finished.flatten() {
                inner.lock().faults.push(format!("{error:#}"));
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(task);
    }

    fn finish(
        self: &Arc<Self>,
        run: u64,
        workflow: String,
        conclusion: &'static str,
    ) -> anyhow::Result<()> {
        self.setting.repository.finish_run(run, conclusion);
        self.start(&Event::WorkflowRun { run, workflow })?;
        self.of_run(run, |progress| progress.is_done = true);
        Ok(())
    }

    fn of_run<T>(&self, run: u64, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(self.lock().runs.entry(run).or_default())
    }

    /// A job of a run has begun.
    pub(super) fn began(&self, run: u64) {
        self.of_run(run, |progress| progress.active += 1);
    }

    /// A job of a run does not go on until it has what it waits for.
    pub(super) fn waits(&self, run: u64, job: usize, what: Waits) {
        self.of_run(run, |progress| progress.waits.push((job, what)));
    }

    /// It has it.
    pub(super) fn goes_on(&self, run: u64, job: usize) {
        self.of_run(run, |progress| progress.waits.retain(|(it, _)| *it != job));
    }

    /// The run itself is no job, and goes on without having been one.
    pub(super) fn of_workflow_has_its_turn(&self, run: u64) {
        self.of_run(run, |progress| progress.active -= 1);
    }

    /// A job of a run has ended.
    pub(super) fn has_ended(&self, ended: Ended) {
        self.of_run(ended.run, |progress| progress.active -= 1);
        let mut state = self.lock();
        state.ended.push(ended);
        state.compare();
    }

    fn is_at_rest(&self) -> bool {
        let state = self.lock();
        let mut runs = state.runs.iter();
        runs.all(|(run, progress)| {
            let mut waits = progress.waits.iter();
            let waiting = progress.waits.len() == progress.active && progress.active > 0;
            progress.is_done || waiting && waits.all(|(_, what)| self.still_waits(*run, what))
        })
    }

    fn still_waits(&self, run: u64, what: &Waits) -> bool {
        match what {
            Waits::Approval(environment) => {
                let awaited = self.setting.repository.awaited_by(run);
                awaited.contains(environment)
            }
            Waits::Turn(ticket) => self.groups.is_waiting(ticket),
        }
    }
}
