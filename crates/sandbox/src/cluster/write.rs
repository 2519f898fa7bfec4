//! Writes: what happens to an object between a request and the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::refusal::Refusal;
use super::state::{State, suffix, uid};
use super::store::Key;
use super::{defaults, quota, security, time, validate};

/// The finalizer of a claim, until no pod uses it.
pub(super) const CLAIM_IN_USE: &str = "kubernetes.io/pvc-protection";

/// The account of pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

impl State {
    /// Creates an object.
    pub(super) fn create(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        mut object: Value,
    ) -> Result<Arc<Value>, Refusal> {
        let name = named(&mut object);
        if resource.namespaced {
            self.accepts(resource, namespace, &name)?;
        }
        let key = Key::new(resource.kind, namespace, name.clone());
        if self.store.get(&key).is_some() {
            return Err(Refusal::exists(resource, &name));
        }
        identify(resource, namespace, &mut object);
        defaults::fill(resource, &mut object);
        self.prepare(resource, namespace, &name, &mut object)?;
        modelled(resource, &object)?;
        validate::object(resource, &object)?;
        quota::admit(&self.store, resource, namespace, &name, &object)?;
        let made = self.store.put(key, object);
        if resource.kind == "Namespace" {
            self.furnish(&name)?;
        }
        Ok(made)
    }

    /// Whether a namespace takes new objects.
    fn accepts(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), Refusal> {
        let Some(found) = self.store.get(&Key::new("Namespace", "", namespace)) else {
            let namespaces = Resource::get("Namespace")?;
            return Err(Refusal::not_found(namespaces, namespace));
        };
        if found["metadata"].get("deletionTimestamp").is_some() {
            return Err(Refusal::namespace_terminating(resource, name, namespace));
        }
        Ok(())
    }

    /// What a kind's own rules add to a new object.
    fn prepare(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        object: &mut Value,
    ) -> Result<(), Refusal> {
        match resource.kind {
            "Pod" => self.prepare_pod(resource, namespace, name, object)?,
            "Job" => label_job(name, object),
            "Service" if object["spec"]["clusterIP"].is_null() => {
                let address = self.address().replacen("198.18.", "198.19.", 1);
                object["spec"]["clusterIPs"] = json!([address]);
                object["spec"]["clusterIP"] = json!(address);
            }
            "PersistentVolumeClaim" => {
                keep_while_used(&mut object["metadata"]);
                self.choose_class(&mut object["spec"]);
            }
            "DaemonSet" => {
                let generation = "deprecated.daemonset.template.generation";
                object["metadata"]["annotations"][generation] = json!("1");
            }
            _ => {}
        }
        Ok(())
    }

    /// The default StorageClass, for a claim that names none. No volume is made for one without.
    /// <https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>
    fn choose_class(&self, claim: &mut Value) {
        let is_default = |class: &Value| {
            class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
                == "true"
        };
        let mut classes = self.store.list("StorageClass", None);
        let default = classes.find(|(_, class)| is_default(class));
        if let Some((key, _)) = default.filter(|_| claim["storageClassName"].is_null()) {
            claim["storageClassName"] = json!(key.name);
        }
    }

    fn prepare_pod(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        pod: &mut Value,
    ) -> Result<(), Refusal> {
        let account = pod["spec"]["serviceAccountName"].as_str();
        let account = account.unwrap_or(DEFAULT_ACCOUNT);
        let key = Key::new("ServiceAccount", namespace, account);
        let Some(account) = self.store.get(&key).cloned() else {
            let why = format!(
                "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
            );
            return Err(Refusal::forbidden(resource, name, &why));
        };
        let pull_secrets = |object: &Value| {
            let secrets = object["imagePullSecrets"].as_array().cloned();
            secrets.filter(|secrets| !secrets.is_empty())
        };
        if pull_secrets(&pod["spec"]).is_none()
            && let Some(secrets) = pull_secrets(&account)
        {
            pod["spec"]["imagePullSecrets"] = json!(secrets);
        }
        // What a container says comes before what the namespace says, which is a request too where it is only a limit.
        requests_from_limits(pod);
        quota::requests_of_pod(pod);
        quota::default_amounts(&self.store, namespace, pod);
        requests_from_limits(pod);
        quota::within_limits(&self.store, resource, namespace, name, pod)?;
        security::admit(&self.store, resource, namespace, name, pod)?;
        pod["status"]["qosClass"] = json!(quality(&pod["spec"]));
        Ok(())
    }

    /// What every namespace has from its beginning.
    fn furnish(&mut self, namespace: &str) -> Result<(), Refusal> {
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": DEFAULT_ACCOUNT },
        });
        self.create(Resource::get("ServiceAccount")?, namespace, account)?;
        let bundle = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "kube-root-ca.crt" },
            "data": { "ca.crt": "" },
        });
        self.create(Resource::get("ConfigMap")?, namespace, bundle)?;
        Ok(())
    }

    /// Writes `next` in the place of what is there. Its status stays, unless `next` is about the status only.
    pub(super) fn replace(
        &mut self,
        resource: &'static Resource,
        key: &Key,
        mut next: Value,
    ) -> Result<Arc<Value>, Refusal> {
        let Some(live) = self.store.get(key).cloned() else {
            return Err(Refusal::not_found(resource, &key.name));
        };
        unmoved(resource, &key.name, &live, &next["metadata"])?;
        keep_identity(&live, &mut next);
        defaults::fill(resource, &mut next);
        if resource.kind == "Namespace" {
            // Only the namespace controller changes it.
            next["spec"] = live["spec"].clone();
        }
        if (resource.is_custom() || defaults::first_status(resource.kind).is_some())
            && let Some(next) = next.as_object_mut()
        {
            next.remove("status");
            next.extend(
                live.get("status")
                    .map(|status| ("status".to_owned(), status.clone())),
            );
        }
        modelled(resource, &next)?;
        validate::object(resource, &next)?;
        validate::change(resource, &live, &next)?;
        if resource.counted && next["spec"] != live["spec"] {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            next["metadata"]["generation"] = json!(generation);
            if resource.kind == "DaemonSet" && next["spec"]["template"] != live["spec"]["template"]
            {
                let annotation = "deprecated.daemonset.template.generation";
                next["metadata"]["annotations"][annotation] = json!(generation.to_string());
            }
        }
        if next == *live {
            return Ok(live);
        }
        Ok(self.settle(key, next))
    }

    /// Writes an object, or removes it where its deletion waited for nothing but this.
    fn settle(&mut self, key: &Key, next: Value) -> Arc<Value> {
        let next = self.store.put(key.clone(), next);
        if is_released(key.kind, &next) {
            self.store.remove(key);
        }
        next
    }

    /// Changes an object as a controller does: without a client's rules. Says whether anything was different after.
    pub(super) fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> bool {
        let Some(live) = self.store.get(key) else {
            return false;
        };
        let mut next = Value::clone(live);
        change(&mut next);
        if next == **live {
            return false;
        }
        self.settle(key, next);
        true
    }

    /// Sets `status` as a controller does.
    pub(super) fn set_status(&mut self, key: &Key, status: Value) -> bool {
        // Nearly always it is as it was, and a copy of the object takes long.
        let live = self.store.get(key);
        if live.is_some_and(|live| live.get("status") == Some(&status)) {
            return false;
        }
        self.edit(key, |object| object["status"] = status)
    }

    /// Begins the deletion of an object, or ends it at once where nothing holds it. None where there is no object,
    /// the object as it is now otherwise; gone when the second is true.
    pub(super) fn remove(&mut self, key: &Key) -> Option<(Arc<Value>, bool)> {
        let live = self.store.get(key)?.clone();
        if live["metadata"].get("deletionTimestamp").is_some() {
            return Some((live, false));
        }
        let mut next = Value::clone(&live);
        next["metadata"]["deletionTimestamp"] = json!(time::now());
        if key.kind == "Namespace" {
            next["status"]["phase"] = json!("Terminating");
        }
        if key.kind == "Pod" {
            let grace = &live["spec"]["terminationGracePeriodSeconds"];
            next["metadata"]["deletionGracePeriodSeconds"] = grace.clone();
        }
        if is_released(key.kind, &next) {
            self.store.remove(key);
            return Some((live, true));
        }
        if let Some(generation) = live["metadata"]["generation"].as_i64() {
            next["metadata"]["generation"] = json!(generation + 1);
        }
        Some((self.store.put(key.clone(), next), false))
    }
}

/// Refuses loudly what an object asks for and nobody here does.
fn modelled(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    match resource.kind {
        "Namespace" => security::modelled(object),
        kind => quota::modelled(kind, object),
    }
}

/// Whether an object whose deletion was asked for may go.
fn is_released(kind: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let held = |finalizers: &Value| finalizers.as_array().is_some_and(|all| !all.is_empty());
    let waits = match kind {
        "Namespace" => held(&object["spec"]["finalizers"]),
        // The node says when a pod that it runs has ended.
        "Pod" => object["spec"].get("nodeName").is_some(),
        _ => false,
    };
    metadata.get("deletionTimestamp").is_some() && !held(&metadata["finalizers"]) && !waits
}

/// The object's name, made where only its beginning is given.
fn named(object: &mut Value) -> String {
    let metadata = &mut object["metadata"];
    if let Some(beginning) = metadata["generateName"].as_str()
        && metadata["name"].as_str().unwrap_or_default().is_empty()
    {
        metadata["name"] = json!(format!("{beginning}{}", suffix(5)));
    }
    metadata["name"].as_str().unwrap_or_default().to_owned()
}

fn identify(resource: &'static Resource, namespace: &str, object: &mut Value) {
    object["apiVersion"] = json!(resource.api_version());
    object["kind"] = json!(resource.kind);
    let status = defaults::first_status(resource.kind);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        fields.extend(status.map(|status| ("status".to_owned(), status)));
    }
    let metadata = &mut object["metadata"];
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("deletionTimestamp");
        metadata.remove("generation");
    }
    if resource.namespaced {
        metadata["namespace"] = json!(namespace);
    }
    metadata["uid"] = json!(uid());
    metadata["creationTimestamp"] = json!(time::now());
    if resource.counted {
        metadata["generation"] = json!(1);
    }
}

/// Refuses a write on the condition of another version or uid than is there.
fn unmoved(
    resource: &'static Resource,
    name: &str,
    live: &Value,
    metadata: &Value,
) -> Result<(), Refusal> {
    let differs = |key: &str| {
        let asked = metadata[key].as_str().filter(|asked| !asked.is_empty())?;
        (live["metadata"][key] != asked).then_some(asked)
    };
    if differs("resourceVersion").is_some() {
        return Err(Refusal::modified(resource, name));
    }
    match differs("uid") {
        Some(uid) => Err(validate::foreign_uid(resource, name, uid)),
        None => Ok(()),
    }
}

fn keep_identity(live: &Value, next: &mut Value) {
    for key in ["apiVersion", "kind"] {
        next[key] = live[key].clone();
    }
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        next["metadata"][key] = live["metadata"][key].clone();
    }
}

/// Whoever makes a claim may have finalizers of their own: ours comes behind them.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>
fn keep_while_used(metadata: &mut Value) {
    match metadata["finalizers"].as_array_mut() {
        Some(finalizers) if finalizers.contains(&json!(CLAIM_IN_USE)) => {}
        Some(finalizers) => finalizers.push(json!(CLAIM_IN_USE)),
        None => metadata["finalizers"] = json!([CLAIM_IN_USE]),
    }
}

/// Labels and selector by which a Job knows its pods.
fn label_job(name: &str, job: &mut Value) {
    let uid = job["metadata"]["uid"].clone();
    for labels in ["/metadata", "/spec/template"] {
        let Some(labelled) = job.pointer_mut(labels) else {
            continue;
        };
        let labelled = if labels == "/metadata" {
            &mut labelled["labels"]
        } else {
            &mut labelled["metadata"]["labels"]
        };
        labelled["batch.kubernetes.io/controller-uid"] = uid.clone();
        labelled["batch.kubernetes.io/job-name"] = json!(name);
        labelled["controller-uid"] = uid.clone();
        labelled["job-name"] = json!(name);
    }
    let selector = "batch.kubernetes.io/controller-uid";
    job["spec"]["selector"] = json!({ "matchLabels": { selector: uid } });
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>
fn quality(spec: &Value) -> &'static str {
    let containers = ["initContainers", "containers"].into_iter();
    let containers: Vec<&Value> = containers
        .filter_map(|list| spec[list].as_array())
        .flatten()
        .map(|container| &container["resources"])
        .collect();
    let amount =
        |resources: &Value, which: &str, resource: &str| resources[which].get(resource).cloned();
    let guaranteed = |resources: &&Value| {
        ["cpu", "memory"].into_iter().all(|resource| {
            let limit = amount(resources, "limits", resource);
            limit.is_some() && limit == amount(resources, "requests", resource)
        })
    };
    let silent = |resources: &&Value| {
        let is_empty = |which: &str| {
            resources[which]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
        };
        is_empty("limits") && is_empty("requests")
    };
    if containers.iter().all(guaranteed) {
        "Guaranteed"
    } else if containers.iter().all(silent) {
        "BestEffort"
    } else {
        "Burstable"
    }
}

fn requests_from_limits(pod: &mut Value) {
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        containers
            .into_iter()
            .flatten()
            .for_each(defaults::requests_from_limits);
    }
}
