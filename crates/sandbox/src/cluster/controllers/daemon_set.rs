//! DaemonSets: one pod on the one node.

use serde_json::{Value, json};

use super::{create_pod, hash, is_active, is_ready, is_terminating, owned, pod_of, without_zeros};
use crate::cluster::refusal::Refusal;
use crate::cluster::state::State;
use crate::cluster::store::Key;

const GENERATION: &str = "pod-template-generation";

pub(super) fn reconcile(state: &mut State, key: &Key, set: &Value) -> Result<(), Refusal> {
    if is_terminating(set) {
        return Ok(());
    }
    let annotation = "deprecated.daemonset.template.generation";
    let generation = set["metadata"]["annotations"][annotation].clone();
    let is_current = |pod: &Value| pod["metadata"]["labels"][GENERATION] == generation;
    let pods = owned(state, "Pod", set);
    match pods.as_slice() {
        [] => {
            let mut pod = pod_of(set, &set["spec"]["template"]);
            pod["metadata"]["generateName"] = json!(format!("{}-", key.name));
            let labels = &mut pod["metadata"]["labels"];
            labels[GENERATION] = generation.clone();
            labels["controller-revision-hash"] = json!(hash(&set["spec"]["template"]));
            // A refusal is told as an event, and tried again after the next change.
            let _ = create_pod(state, set, pod);
        }
        all => {
            for (pod, object) in all {
                if !is_terminating(object) && (!is_current(object) || !is_active(object)) {
                    state.remove(pod);
                }
            }
        }
    }
    let pods = owned(state, "Pod", set);
    let count = |wanted: &dyn Fn(&Value) -> bool| {
        let pods = pods.iter().filter(|(_, pod)| is_active(pod) && wanted(pod));
        pods.count()
    };
    let ready = count(&|pod| is_ready(pod));
    let status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "currentNumberScheduled": count(&|_| true),
        "desiredNumberScheduled": 1,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": 1 - ready.min(1),
        "updatedNumberScheduled": count(&|pod| is_current(pod)),
    });
    let keep = [
        "currentNumberScheduled",
        "desiredNumberScheduled",
        "numberMisscheduled",
        "numberReady",
    ];
    state.set_status(key, without_zeros(status, &keep));
    Ok(())
}
