//! One container on the node: what it does now, and what it does next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::behaviour::Behaviour;
use crate::cluster::controllers::event;
use crate::cluster::state::State;
use crate::cluster::{environment, images, time};

/// Between two steps of a container's life: fast, and still seen by those who watch.
pub(super) const STEP: Duration = Duration::from_millis(4);
/// After the first failure; doubled with each.
const BACK_OFF: Duration = Duration::from_millis(20);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(2);

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Created,
    PullFailed,
    Pulling,
    Running,
    Ended,
    BackingOff,
}

/// A container as the node runs it.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    phase: Phase,
    /// When it goes on by itself.
    next: Option<Instant>,
    failures: u32,
    pub(crate) state: Value,
    last: Value,
    pub(crate) restarts: u32,
    pub(crate) ready: bool,
    image_id: String,
    pub(crate) revision: Option<String>,
    /// As it was when the container started.
    pub(crate) env: BTreeMap<String, String>,
    /// What it wrote since it started; none before.
    pub(crate) log: Option<Vec<String>>,
    /// What its previous run wrote.
    pub(crate) previous: Option<Vec<String>>,
}

/// What decides how a container's end is taken.
pub(super) struct Rules<'a> {
    pub(super) pod: &'a Value,
    pub(super) spec: &'a Value,
    /// Whether it is to end before the next one starts.
    initial: bool,
}

impl<'a> Rules<'a> {
    /// The rules of a container among the pod's, or among its init containers.
    pub(super) fn of(pod: &'a Value, spec: &'a Value, initial: bool) -> Self {
        Self {
            pod,
            spec,
            initial: initial && !super::is_sidecar(spec),
        }
    }

    pub(super) fn is_sidecar(&self) -> bool {
        super::is_sidecar(self.spec)
    }

    fn policy(&self) -> &str {
        let own = self.spec["restartPolicy"].as_str();
        let of_pod = self.pod["spec"]["restartPolicy"].as_str();
        own.or(of_pod).unwrap_or("Always")
    }

    fn image(&self) -> &str {
        self.spec["image"].as_str().unwrap_or_default()
    }

    /// Its command line, as far as the pod says one.
    fn command(&self) -> String {
        let lists = ["command", "args"].into_iter();
        let words = lists.flat_map(|list| self.spec[list].as_array().into_iter().flatten());
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        words.join(" ")
    }

    /// Whether a container that ends with `code` is started again.
    fn restarts(&self, code: i64) -> bool {
        match self.policy() {
            "Always" => !self.initial || code != 0,
            "OnFailure" => code != 0,
            _ => false,
        }
    }

    /// Whether a container is there to run on, and not to come to an end.
    fn stays(&self) -> bool {
        self.policy() == "Always" && !self.initial
    }
}

fn waiting(reason: &str, message: &str) -> Value {
    let mut waiting = json!({ "reason": reason });
    if !message.is_empty() {
        waiting["message"] = json!(message);
    }
    json!({ "waiting": waiting })
}

impl Container {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Created,
            next: Some(now + STEP),
            failures: 0,
            state: waiting("ContainerCreating", ""),
            last: json!({}),
            restarts: 0,
            ready: false,
            image_id: String::new(),
            revision: None,
            env: BTreeMap::new(),
            log: None,
            previous: None,
        }
    }

    /// Exit code of a container that will not be started again.
    pub(super) fn ended(&self, rules: &Rules<'_>) -> Option<i64> {
        let code = self.state["terminated"]["exitCode"].as_i64()?;
        (!rules.restarts(code)).then_some(code)
    }

    /// Whether an init container has done what the next one waits for.
    pub(super) fn lets_next_start(&self, rules: &Rules<'_>) -> bool {
        match rules.is_sidecar() {
            true => self.phase == Phase::Running,
            false => self.ended(rules) == Some(0),
        }
    }

    /// Whether it has been started at least once.
    pub(super) fn has_run(&self) -> bool {
        self.log.is_some() || self.previous.is_some()
    }

    pub(super) fn status(&self, rules: &Rules<'_>, initializing: bool) -> Value {
        let untouched = initializing && self.phase == Phase::Created;
        let state = if untouched {
            waiting("PodInitializing", "")
        } else {
            self.state.clone()
        };
        json!({
            "name": rules.spec["name"],
            "image": rules.spec["image"],
            "imageID": self.image_id,
            "ready": self.ready,
            "started": self.phase == Phase::Running,
            "restartCount": self.restarts,
            "state": state,
            "lastState": self.last,
        })
    }

    /// Goes on where it is time to.
    pub(super) fn step(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        if let Some(next) = self.next
            && now < next
        {
            state.wake_at(next);
            return;
        }
        match self.phase {
            Phase::Created | Phase::Pulling => self.pull(state, rules, now),
            Phase::PullFailed => self.back_off_pulling(state, rules, now),
            Phase::Running => self.run(state, rules, now),
            Phase::Ended => self.restart(state, rules, now),
            Phase::BackingOff => self.start(state, rules, now),
        }
        if let Some(next) = self.next {
            state.wake_at(next);
        }
    }

    fn back_off(&mut self, now: Instant) {
        let wait = BACK_OFF * 2_u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        self.next = Some(now + wait.min(LONGEST_BACK_OFF));
    }

    fn pull(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        let namespace = rules.pod["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default();
        let secrets = rules.pod["spec"]["imagePullSecrets"]
            .as_array()
            .into_iter()
            .flatten();
        let secrets: Vec<&str> = secrets
            .filter_map(|secret| secret["name"].as_str())
            .collect();
        match images::pull(state, namespace, rules.image(), &secrets) {
            Ok(pulled) => {
                self.image_id = pulled.id;
                self.revision = pulled.revision;
                self.failures = 0;
                self.start(state, rules, now);
            }
            Err(failed) if failed.reason == "InvalidImageName" => {
                self.state = waiting(failed.reason, &failed.message);
                event(
                    state,
                    rules.pod,
                    "Warning",
                    "InspectFailed",
                    &failed.message,
                );
                self.next = None;
            }
            Err(failed) => {
                let image = rules.image();
                let told = format!("Failed to pull image {image:?}: {}", failed.message);
                event(state, rules.pod, "Warning", "Failed", &told);
                event(state, rules.pod, "Warning", "Failed", "Error: ErrImagePull");
                self.state = waiting(failed.reason, &failed.message);
                self.phase = Phase::PullFailed;
                self.next = Some(now + STEP);
            }
        }
    }

    fn back_off_pulling(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        let why = self.state["waiting"]["message"]
            .as_str()
            .unwrap_or_default();
        let told = format!("Back-off pulling image {:?}", rules.image());
        let message = format!("{told}: ErrImagePull: {why}");
        event(state, rules.pod, "Normal", "BackOff", &told);
        event(
            state,
            rules.pod,
            "Warning",
            "Failed",
            "Error: ImagePullBackOff",
        );
        self.state = waiting("ImagePullBackOff", &message);
        self.phase = Phase::Pulling;
        self.back_off(now);
    }

    /// Starts the container, unless its configuration is not complete: then it is looked at after each change.
    fn start(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        match environment::of(state, rules.pod, rules.spec) {
            Ok(env) => self.env = env,
            Err(missing) => {
                self.state = waiting("CreateContainerConfigError", &missing);
                event(
                    state,
                    rules.pod,
                    "Warning",
                    "Failed",
                    &format!("Error: {missing}"),
                );
                self.next = None;
                return;
            }
        }
        let behaviour = behaviour(state, rules);
        if behaviour == Behaviour::NeverStarts {
            self.next = None;
            return;
        }
        if self.phase == Phase::BackingOff || self.phase == Phase::Ended {
            self.restarts += 1;
            self.previous = self.log.take();
        }
        let log = match behaviour {
            Behaviour::Fine { log } | Behaviour::Crash { log, .. } => log,
            _ => Vec::new(),
        };
        let said = |line: &String| environment::expanded(line, &self.env);
        self.log = Some(log.iter().map(said).collect());
        self.phase = Phase::Running;
        self.state = json!({ "running": { "startedAt": time::now() } });
        self.next = Some(now + STEP);
    }

    fn run(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        self.next = None;
        match behaviour(state, rules) {
            Behaviour::Fine { .. } if rules.stays() => self.ready = true,
            Behaviour::Fine { .. } => self.end(rules, 0, "Completed", now),
            Behaviour::Crash { exit_code, .. } => {
                self.end(
                    rules,
                    i64::from(exit_code),
                    if exit_code == 0 { "Completed" } else { "Error" },
                    now,
                );
            }
            Behaviour::OutOfMemory => self.end(rules, 137, "OOMKilled", now),
            Behaviour::NeverReady | Behaviour::NeverStarts => {
                if rules.stays() && rules.spec.get("readinessProbe").is_some() {
                    self.ready = false;
                    let message = "Readiness probe failed: HTTP probe failed with statuscode: 503";
                    event(state, rules.pod, "Warning", "Unhealthy", message);
                } else if rules.stays() {
                    // Nobody asks it whether it is ready.
                    self.ready = true;
                }
            }
        }
    }

    fn end(&mut self, rules: &Rules<'_>, code: i64, reason: &str, now: Instant) {
        self.ready = false;
        let started = self.state["running"]["startedAt"].clone();
        self.state = json!({
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "startedAt": started,
                "finishedAt": time::now(),
            },
        });
        self.phase = Phase::Ended;
        self.next = rules.restarts(code).then(|| now + STEP);
    }

    /// The first restart comes at once, the next ones later and later.
    fn restart(&mut self, state: &mut State, rules: &Rules<'_>, now: Instant) {
        if self.next.is_none() {
            return;
        }
        self.last = self.state.clone();
        if self.restarts == 0 {
            self.start(state, rules, now);
            return;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &rules.pod["metadata"];
        let (pod, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
        let (uid, name) = (text(&metadata["uid"]), text(&rules.spec["name"]));
        let seconds = (10 * 2_u32.saturating_pow(self.restarts.min(5) - 1)).min(300);
        let pause = if seconds < 60 {
            format!("{seconds}s")
        } else {
            format!("{}m{}s", seconds / 60, seconds % 60)
        };
        let message = format!(
            "back-off {pause} restarting failed container={name} pod={pod}_{namespace}({uid})"
        );
        self.state = waiting("CrashLoopBackOff", &message);
        let told =
            format!("Back-off restarting failed container {name} in pod {pod}_{namespace}({uid})");
        event(state, rules.pod, "Warning", "BackOff", &told);
        self.phase = Phase::BackingOff;
        self.back_off(now);
    }
}

fn behaviour(state: &State, rules: &Rules<'_>) -> Behaviour {
    let (image, command) = (rules.image(), rules.command());
    let told = state.behaviours.iter().rev();
    let mut told = told.filter(|(part, _)| image.contains(part.as_str()) || command.contains(part));
    told.next()
        .map_or(Behaviour::Fine { log: Vec::new() }, |(_, behaviour)| {
            behaviour.clone()
        })
}
