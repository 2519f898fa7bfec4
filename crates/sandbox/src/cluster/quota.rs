//! What ResourceQuotas count, and what they and LimitRanges admit.
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::kinds::Resource;
use super::quantity::Quantity;
use super::refusal::Refusal;
use super::store::{Key, Store};

type Usage = BTreeMap<String, Quantity>;

/// Amounts of containers that are counted, and the names under which a quota limits them.
const COMPUTE: [(&str, &str, &str); 6] = [
    ("cpu", "requests", "cpu"),
    ("memory", "requests", "memory"),
    ("requests.cpu", "requests", "cpu"),
    ("requests.memory", "requests", "memory"),
    ("limits.cpu", "limits", "cpu"),
    ("limits.memory", "limits", "memory"),
];

/// Refuses a quota or a limit range that speaks of what is not counted.
pub(super) fn modelled(kind: &str, object: &Value) -> Result<(), Refusal> {
    let spec = &object["spec"];
    if kind == "ResourceQuota" {
        if spec.get("scopes").is_some() || spec.get("scopeSelector").is_some() {
            return Err(Refusal::not_modelled("the scopes of a ResourceQuota"));
        }
        let hard = spec["hard"].as_object().into_iter().flatten();
        for (name, _) in hard {
            if counted_kind(name).is_none()
                && name != "requests.storage"
                && !COMPUTE.iter().any(|(known, _, _)| known == name)
            {
                return Err(Refusal::not_modelled(&format!("a quota of {name}")));
            }
        }
    }
    if kind == "LimitRange" {
        let limits = spec["limits"].as_array().into_iter().flatten();
        for limit in limits {
            if limit["type"] != "Container" || limit.get("maxLimitRequestRatio").is_some() {
                return Err(Refusal::not_modelled(&format!("the limit {limit}")));
            }
        }
    }
    Ok(())
}

/// The kind whose objects a quota counts under `name`.
fn counted_kind(name: &str) -> Option<&'static str> {
    let (plural, group) = match name.strip_prefix("count/") {
        Some(qualified) => qualified.split_once('.').unwrap_or((qualified, "")),
        None => match name {
            "pods"
            | "services"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "resourcequotas" => (name, ""),
            _ => return None,
        },
    };
    Resource::named(group, plural).map(|resource| resource.kind)
}

/// What `object` uses of `name`.
fn used_by(kind: &str, object: &Value, name: &str) -> Quantity {
    if kind == "Pod" {
        let phase = object["status"]["phase"].as_str();
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return Quantity::default();
        }
        if let Some((_, which, resource)) = COMPUTE.iter().find(|(known, _, _)| *known == name) {
            return compute(&object["spec"], which, resource);
        }
    }
    if kind == "PersistentVolumeClaim" && name == "requests.storage" {
        let storage = &object["spec"]["resources"]["requests"]["storage"];
        return Quantity::read(storage).unwrap_or_default();
    }
    if counted_kind(name) == Some(kind_of(kind)) {
        return Quantity::count(1);
    }
    Quantity::default()
}

fn kind_of(kind: &str) -> &'static str {
    Resource::of_kind(kind).map_or("", |resource| resource.kind)
}

/// A pod's requests or limits: its own where it has some, else the larger of what its containers and sidecars have
/// together and of what an init container has with the sidecars before it.
pub(super) fn compute(spec: &Value, which: &str, resource: &str) -> Quantity {
    if let Some(own) = Quantity::read(&spec["resources"][which][resource]) {
        return own;
    }
    let list = |list: &str| spec[list].as_array().cloned().unwrap_or_default();
    let amount = |container: &Value| {
        let amount = Quantity::read(&container["resources"][which][resource]);
        amount.unwrap_or_default()
    };
    let mut together: Quantity = list("containers").iter().map(amount).sum();
    let (mut sidecars, mut largest) = (Quantity::default(), Quantity::default());
    for container in list("initContainers") {
        let at_its_start = sidecars + amount(&container);
        if super::node::is_sidecar(&container) {
            together = together + amount(&container);
            sidecars = at_its_start;
        }
        largest = largest.max(at_its_start);
    }
    together.max(largest)
}

fn usage(store: &Store, namespace: &str, hard: &Map<String, Value>) -> Usage {
    let mut usage = Usage::new();
    for name in hard.keys() {
        let kinds = Resource::all()
            .iter()
            .filter(|resource| resource.namespaced);
        let used = kinds.flat_map(|resource| {
            let objects = store.list(resource.kind, Some(namespace));
            objects.map(|(key, object)| used_by(key.kind, object, name))
        });
        usage.insert(name.clone(), used.sum());
    }
    usage
}

fn hard(quota: &Value) -> Map<String, Value> {
    quota["spec"]["hard"]
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// The status of a quota as it should be.
pub(super) fn status(store: &Store, namespace: &str, quota: &Value) -> Value {
    let hard = hard(quota);
    let used = usage(store, namespace, &hard);
    let used: Map<String, Value> = used
        .into_iter()
        .map(|(name, amount)| (name, json!(amount.to_string())))
        .collect();
    json!({ "hard": hard, "used": used })
}

/// Refuses what the namespace's quotas do not allow.
pub(super) fn admit(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    name: &str,
    object: &Value,
) -> Result<(), Refusal> {
    let says_for_itself = ["requests", "limits"].iter().any(|which| {
        let own = object["spec"]["resources"][which].as_object();
        own.is_some_and(|own| own.contains_key("cpu") || own.contains_key("memory"))
    });
    for (key, quota) in store.list("ResourceQuota", Some(namespace)) {
        let hard = hard(quota);
        if resource.kind == "Pod" && !says_for_itself {
            specified(resource, name, key, &hard, object)?;
        }
        let used = usage(store, namespace, &hard);
        let mut exceeded = Vec::new();
        for (limited, limit) in &hard {
            let requested = used_by(resource.kind, object, limited);
            let limit = Quantity::read(limit).unwrap_or_default();
            let used = used.get(limited).copied().unwrap_or_default();
            if requested > Quantity::default() && used + requested > limit {
                exceeded.push((limited.as_str(), requested, used, limit));
            }
        }
        if !exceeded.is_empty() {
            let why = exceeds(&key.name, &exceeded);
            return Err(Refusal::forbidden(resource, name, &why));
        }
    }
    Ok(())
}

fn exceeds(quota: &str, exceeded: &[(&str, Quantity, Quantity, Quantity)]) -> String {
    let list = |which: fn(&(&str, Quantity, Quantity, Quantity)) -> Quantity| {
        let parts = exceeded
            .iter()
            .map(|part| format!("{}={}", part.0, which(part)));
        parts.collect::<Vec<_>>().join(",")
    };
    format!(
        "exceeded quota: {quota}, requested: {}, used: {}, limited: {}",
        list(|part| part.1),
        list(|part| part.2),
        list(|part| part.3)
    )
}

/// A quota on an amount refuses pods whose containers do not say theirs.
fn specified(
    resource: &Resource,
    name: &str,
    quota: &Key,
    hard: &Map<String, Value>,
    pod: &Value,
) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    for limited in hard.keys() {
        let Some((_, which, amount)) = COMPUTE.iter().find(|(known, _, _)| known == limited) else {
            continue;
        };
        let containers = ["initContainers", "containers"].into_iter();
        let containers = containers
            .filter_map(|list| pod["spec"][list].as_array())
            .flatten();
        let silent = containers.filter(|c| c["resources"][which].get(*amount).is_none());
        let silent: Vec<&str> = silent.filter_map(|c| c["name"].as_str()).collect();
        if !silent.is_empty() {
            missing.push(format!("{limited} for: {}", silent.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "failed quota: {}: must specify {}",
        quota.name,
        missing.join("; ")
    );
    Err(Refusal::forbidden(resource, name, &why))
}

/// Gives a new pod that has limits as a whole the requests that it has not: those of its containers, or its limits.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/>
pub(super) fn requests_of_pod(pod: &mut Value) {
    let limits = pod["spec"]["resources"]["limits"].as_object().cloned();
    if limits.as_ref().is_none_or(Map::is_empty) {
        return;
    }
    let lists = ["initContainers", "containers"];
    for amount in ["cpu", "memory"] {
        if pod["spec"]["resources"]["requests"].get(amount).is_some() {
            continue;
        }
        let mut containers = lists
            .iter()
            .filter_map(|list| pod["spec"][list].as_array())
            .flatten();
        let of_containers = containers.any(|c| c["resources"]["requests"].get(amount).is_some());
        let request = match limits.as_ref().and_then(|limits| limits.get(amount)) {
            _ if of_containers => json!(compute(&pod["spec"], "requests", amount).to_string()),
            Some(limit) => limit.clone(),
            None => continue,
        };
        pod["spec"]["resources"]["requests"][amount] = request;
    }
}

/// Gives a new pod's containers the namespace's default amounts.
pub(super) fn default_amounts(store: &Store, namespace: &str, pod: &mut Value) {
    for (_, range) in store.list("LimitRange", Some(namespace)) {
        let limits = range["spec"]["limits"].as_array().into_iter().flatten();
        for limit in limits {
            for list in ["initContainers", "containers"] {
                let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    fill(container, "limits", &limit["default"]);
                    fill(container, "requests", &limit["defaultRequest"]);
                }
            }
        }
    }
}

fn fill(container: &mut Value, which: &str, amounts: &Value) {
    let amounts = amounts.as_object().into_iter().flatten();
    for (resource, amount) in amounts {
        let place = &mut container["resources"][which][resource.as_str()];
        if place.is_null() {
            *place = amount.clone();
        }
    }
}

/// Refuses a pod whose containers are outside the namespace's limits.
pub(super) fn within_limits(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    name: &str,
    pod: &Value,
) -> Result<(), Refusal> {
    let mut mistakes = Vec::new();
    for (_, range) in store.list("LimitRange", Some(namespace)) {
        let limits = range["spec"]["limits"].as_array().into_iter().flatten();
        for limit in limits {
            for list in ["initContainers", "containers"] {
                let containers = pod["spec"][list].as_array().into_iter().flatten();
                containers.for_each(|container| outside(container, limit, &mut mistakes));
            }
        }
    }
    match mistakes.as_slice() {
        [] => Ok(()),
        [one] => Err(Refusal::forbidden(resource, name, one)),
        all => Err(Refusal::forbidden(
            resource,
            name,
            &format!("[{}]", all.join(", ")),
        )),
    }
}

fn outside(container: &Value, limit: &Value, mistakes: &mut Vec<String>) {
    let resources = &container["resources"];
    let most = limit["max"].as_object().into_iter().flatten();
    for (resource, most) in most {
        let Some(most) = Quantity::read(most) else {
            continue;
        };
        match Quantity::read(&resources["limits"][resource.as_str()]) {
            None => mistakes.push(format!(
                "maximum {resource} usage per Container is {most}. No limit is specified"
            )),
            Some(amount) if amount > most => mistakes.push(format!(
                "maximum {resource} usage per Container is {most}, but limit is {amount}"
            )),
            Some(_) => {}
        }
    }
    let least = limit["min"].as_object().into_iter().flatten();
    for (resource, least) in least {
        let Some(least) = Quantity::read(least) else {
            continue;
        };
        match Quantity::read(&resources["requests"][resource.as_str()]) {
            None => mistakes.push(format!(
                "minimum {resource} usage per Container is {least}. No request is specified"
            )),
            Some(amount) if amount < least => mistakes.push(format!(
                "minimum {resource} usage per Container is {least}, but request is {amount}"
            )),
            Some(_) => {}
        }
    }
}
