//! What a workflow sees of its process while it runs.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_core::config::Config;
use preview_core::health::Failure;
use preview_core::markdown::inline;
use preview_core::names::NamespaceName;
use preview_core::outcome::{Effect, EffectResult, Effects, Exit, Program, ResultFile};
use tokio::sync::watch;

use crate::console::Console;
use crate::ended::{Failed, Outside as _};
use crate::environment::Environment;
use crate::run::Options;

/// How long after the run's deadline it may still be told how it went.
const TO_TELL: Duration = Duration::from_secs(400);

/// How long a run may take that has not read its configuration yet.
const AT_FIRST: Duration = Duration::from_secs(600);

/// The process a workflow runs in: its environment, its log, its deadline, and what it has found out and done so far.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    environment: Environment,
    console: Console,
    began: Instant,
    deadline: watch::Sender<Instant>,
    draft: Mutex<Draft>,
}

#[derive(Debug)]
struct Draft {
    result: ResultFile,
    effects: Effects,
}

impl Runner {
    pub(crate) fn new(program: Program, environment: Environment) -> Self {
        let started = Timestamp::now();
        let began = Instant::now();
        let mut result = ResultFile::new(program, Exit::Done, "", "", started);
        result.run = environment.fence().ok();
        Self(Arc::new(Inner {
            console: Console::new(environment.is_actions()),
            environment,
            began,
            deadline: watch::Sender::new(began + AT_FIRST),
            draft: Mutex::new(Draft {
                result,
                effects: Effects::new(),
            }),
        }))
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The log.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.0.console
    }

    /// How long the run has taken until now.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// What was deployed in `namespace` does not come up, told without the secrets of this process.
    #[must_use]
    pub fn broken(&self, failure: Failure, namespace: &NamespaceName) -> Failed {
        let failure = failure.redacted(&self.environment().redaction());
        Failed::Broken(Box::new(failure), namespace.clone())
    }

    /// When the run must be done.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        *self.0.deadline.borrow()
    }

    /// Until when it may still be told how the run went: what was begun by its deadline may have to be undone first.
    #[must_use]
    pub fn deadline_to_tell(&self) -> Instant {
        self.deadline() + TO_TELL
    }

    /// Lets the whole run take so long, counted from its beginning.
    pub fn may_take(&self, time: Duration) {
        self.0.deadline.send_replace(self.0.began + time);
    }

    /// Lets the run take at least this much longer, for what must not be broken off half-way.
    pub fn needs(&self, time: Duration) {
        let end = Instant::now() + time;
        self.0
            .deadline
            .send_modify(|deadline| *deadline = end.max(*deadline));
    }

    /// Reads the configuration, and lets the run take as long as it says.
    ///
    /// # Errors
    /// When the file cannot be read, or is wrong.
    pub fn configuration(&self, options: &Options) -> Result<Config, Failed> {
        let file = options.config.display().to_string();
        let text = std::fs::read_to_string(&options.config).map_err(|error| {
            Failed::Misused(format!(
                "cannot read the configuration {file}: {error}; name it with --config, and check out the repository first"
            ))
        })?;
        let config = Config::parse(&file, &text).misused()?;
        self.may_take(config.deadline);
        Ok(config)
    }

    pub(crate) fn deadlines(&self) -> watch::Receiver<Instant> {
        self.0.deadline.subscribe()
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.0.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was found out, for `result.json`, outputs and summary, however the run ends.
    pub fn know(&self, note: impl FnOnce(&mut ResultFile)) {
        note(&mut self.draft().result);
    }

    /// Warns of what decides nothing, and keeps it as a remark of the result.
    pub fn remark(&self, warning: &str) {
        self.console().warning(warning);
        self.know(|result| result.notes.push(inline(warning)));
    }

    /// Begins a phase of the run: a group of the log, a bar of the summary's timeline, and the output `phase` if it is
    /// the last one.
    pub fn enters(&self, phase: &str) {
        if self.draft().result.enter(phase, Timestamp::now()) {
            self.console().group(phase);
        }
    }

    /// The result with all that is known and was done by now.
    pub(crate) fn finished(&self) -> ResultFile {
        let draft = self.draft();
        let mut result = draft.result.clone();
        let took = self.0.began.elapsed().as_millis();
        result.took_ms = u64::try_from(took).unwrap_or(u64::MAX);
        result.effects = draft.effects.clone();
        result
    }

    /// Carries out one effect: shows it, times it, and keeps it for the record.
    ///
    /// # Errors
    /// As `work`.
    pub async fn step<T, E: Display>(
        &self,
        what: &str,
        object: impl Display,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.step_with(what, object, work, |_| EffectResult::Done)
            .await
    }

    /// As [`Self::step`], where the answer tells what came of it.
    ///
    /// # Errors
    /// As `work`.
    pub async fn step_with<T, E: Display>(
        &self,
        what: &str,
        object: impl Display,
        work: impl Future<Output = Result<T, E>>,
        came_of_it: impl FnOnce(&T) -> EffectResult,
    ) -> Result<T, E> {
        let object = object.to_string();
        self.console().passing(&format!("… {what} {object}"));
        let started = Timestamp::now();
        let done = work.await;
        let result = match &done {
            Ok(value) => came_of_it(value),
            Err(error) => EffectResult::Failed(error.to_string()),
        };
        let line = {
            let mut draft = self.draft();
            let effect = draft
                .effects
                .note(what, object, started, Timestamp::now(), result);
            line(effect)
        };
        self.console().line(&line);
        done
    }
}

/// One effect on one line: `✓ apply Deployment/web (0.3 s)`. An error is told at the end, once.
fn line(effect: &Effect) -> String {
    let sign = match effect.result {
        EffectResult::Done => '✓',
        EffectResult::Unchanged => '=',
        EffectResult::Failed(_) => '✗',
    };
    let tenths = effect.took_ms.saturating_add(50) / 100;
    format!(
        "{sign} {} {} ({}.{} s)",
        effect.what,
        effect.object,
        tenths / 10,
        tenths % 10
    )
}
