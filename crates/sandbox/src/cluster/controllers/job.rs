//! Jobs: pods until enough have ended well, or too many badly.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    condition, create_pod, event, is_active, is_ready, is_terminating, number, owned, pod_of, told,
    without_zeros,
};
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;
use crate::cluster::time;

pub(super) fn reconcile(
    state: &mut State,
    key: &Key,
    job: &Value,
    now: Instant,
) -> Result<(), Refusal> {
    if is_terminating(job) {
        return Ok(());
    }
    if let Some(end) = end(job) {
        expire(state, key, job, end, now);
        return Ok(());
    }
    if job["spec"]["suspend"] == true {
        return Ok(());
    }
    let counts = Counts::of(state, job);
    if let Some(later) = lag(state, job, &counts, now) {
        state.wake_at(later);
        return Ok(());
    }
    let failure = failure(state, job, &counts, now);
    let wanted = number(&job["spec"]["completions"]) - counts.succeeded;
    if failure.is_none() && wanted > 0 {
        let parallel = number(&job["spec"]["parallelism"]).min(wanted);
        for _ in counts.active..parallel {
            let mut pod = pod_of(job, &job["spec"]["template"]);
            pod["metadata"]["generateName"] = json!(format!("{}-", key.name));
            if create_pod(state, job, pod).is_err() {
                break;
            }
        }
    }
    report(
        state,
        key,
        job,
        failure.as_ref().map(<[_; 2]>::as_slice),
        wanted <= 0,
    );
    Ok(())
}

/// How long after a pod's end its Job takes note of it; the job controller lets pods' ends come together for a second.
const LAG: Duration = Duration::from_millis(50);

/// When to look at the Job again, where a pod of it has just ended.
fn lag(state: &mut State, job: &Value, counts: &Counts, now: Instant) -> Option<Instant> {
    let ended = json!([counts.succeeded, counts.failed]);
    if counts.succeeded + counts.failed == 0 {
        return None;
    }
    let uid = job["metadata"]["uid"].as_str().unwrap_or_default();
    let later = state.moved(uid, ended, now) + LAG;
    (now < later).then_some(later)
}

struct Counts {
    active: i64,
    ready: i64,
    succeeded: i64,
    failed: i64,
    restarts: i64,
}

impl Counts {
    fn of(state: &State, job: &Value) -> Self {
        let pods = owned(state, "Pod", job);
        let count = |wanted: &dyn Fn(&Value) -> bool| {
            let pods = pods.iter().filter(|(_, pod)| wanted(pod));
            i64::try_from(pods.count()).unwrap_or(i64::MAX)
        };
        let statuses = pods
            .iter()
            .filter_map(|(_, pod)| pod["status"]["containerStatuses"].as_array());
        Self {
            active: count(&|pod| is_active(pod)),
            ready: count(&|pod| is_ready(pod)),
            succeeded: count(&|pod| pod["status"]["phase"] == "Succeeded"),
            failed: count(&|pod| pod["status"]["phase"] == "Failed"),
            restarts: statuses
                .flatten()
                .map(|status| number(&status["restartCount"]))
                .sum(),
        }
    }
}

/// When the Job came to its end.
fn end(job: &Value) -> Option<Timestamp> {
    let ended = ["Complete", "Failed"].into_iter();
    let mut ended = ended.filter_map(|kind| condition(job, kind));
    let ended = ended.find(|condition| condition["status"] == "True")?;
    ended["lastTransitionTime"].as_str()?.parse().ok()
}

/// Removes a Job that has ended long enough ago.
fn expire(state: &mut State, key: &Key, job: &Value, end: Timestamp, now: Instant) {
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else {
        return;
    };
    let left = seconds - Timestamp::now().duration_since(end).as_secs();
    match u64::try_from(left) {
        Ok(left) if left > 0 => state.wake_at(now + Duration::from_secs(left)),
        _ => {
            state.remove(key);
        }
    }
}

/// Reason and message, where the Job has failed.
fn failure(
    state: &mut State,
    job: &Value,
    counts: &Counts,
    now: Instant,
) -> Option<[&'static str; 2]> {
    let limit = number(&job["spec"]["backoffLimit"]);
    let again = job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure";
    if counts.failed > limit || (again && counts.restarts > limit) {
        let message = "Job has reached the specified backoff limit";
        return Some(["BackoffLimitExceeded", message]);
    }
    let patience = job["spec"]["activeDeadlineSeconds"].as_i64()?;
    let started: Timestamp = job["status"]["startTime"].as_str()?.parse().ok()?;
    let left = patience - Timestamp::now().duration_since(started).as_secs();
    match u64::try_from(left) {
        Ok(left) if left > 0 => {
            state.wake_at(now + Duration::from_secs(left));
            None
        }
        _ => Some([
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        ]),
    }
}

fn report(state: &mut State, key: &Key, job: &Value, failure: Option<&[&'static str]>, done: bool) {
    let mut conditions = Vec::new();
    let mut add = |kind, reason, message| conditions.push(told(job, kind, true, reason, message));
    if let Some([reason, message]) = failure {
        add("FailureTarget", reason, message);
        add("Failed", reason, message);
    } else if done {
        let message = "Reached expected number of succeeded pods";
        add("SuccessCriteriaMet", "CompletionsReached", message);
        add("Complete", "CompletionsReached", message);
    }
    if !conditions.is_empty() {
        for (pod, object) in owned(state, "Pod", job) {
            if is_active(&object) {
                state.remove(&pod);
            }
        }
    }
    let counts = Counts::of(state, job);
    let started = job["status"]["startTime"]
        .as_str()
        .map_or_else(time::now, str::to_owned);
    let mut status = json!({
        "startTime": started,
        "active": counts.active,
        "ready": counts.ready,
        "terminating": 0,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "uncountedTerminatedPods": {},
    });
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    if failure.is_none() && done {
        status["completionTime"] = json!(time::now());
    }
    let status = without_zeros(status, &["ready", "terminating"]);
    if !state.set_status(key, status) {
        return;
    }
    match failure {
        Some([reason, message]) => event(state, job, "Warning", reason, message),
        _ if done => event(state, job, "Normal", "Completed", "Job completed"),
        _ => {}
    }
}
