//! What people and the world outside do with a cluster: not through HTTP, and without anybody's rules.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, Reply, Visit};
use super::kinds::Resource;
use super::quantity::Quantity;
use super::refusal::Refusal;
use super::store::Key;
use super::{Cluster, apply, defaults, kinds};
use crate::registry::Registry;

impl Cluster {
    /// Lets the node pull images from `registry`: those under its host that it does not hold cannot be pulled. Images
    /// of other hosts are taken to be there.
    pub fn pull_from(&self, registry: &Registry) {
        let mut state = self.state();
        state.registries.push(registry.clone());
        state.store.wake();
    }

    /// What containers do whose image's name, or whose command line as their pod has it, contains `part`, from now on,
    /// running ones included. The last that was told counts.
    pub fn behave(&self, part: &str, behaviour: Behaviour) {
        let mut state = self.state();
        state.behaviours.push((part.to_owned(), behaviour));
        state.store.wake();
    }

    /// Lets `responder` answer for all containers that are visited through a Service, instead of a page that shows the
    /// container's `ENV` and the image's revision.
    pub fn respond(&self, responder: impl Fn(&Visit) -> Reply + Send + Sync + 'static) {
        self.state().responder = Some(std::sync::Arc::new(responder));
    }

    /// Keeps the volumes of claims that are gone, from now on: the reclaim policy of new volumes is `Retain`.
    pub fn retain_volumes(&self) {
        let key = Key::new("StorageClass", "", defaults::STORAGE_CLASS);
        self.state()
            .edit(&key, |class| class["reclaimPolicy"] = json!("Retain"));
    }

    /// Keeps the account of the kubeconfig from doing `verb` (`create`, `list`, …) to `resource`, which is named as
    /// `ingresses.networking.k8s.io` or, in the core group, `pods`.
    pub fn forbid(&self, verb: &str, resource: &str) {
        self.state()
            .forbidden
            .insert((verb.to_owned(), resource.to_owned()));
    }

    /// Makes the node so small that pods can request only this much together. No change where an amount cannot be
    /// read.
    pub fn limit_node(&self, cpu: &str, memory: &str) {
        if let (Some(cpu), Some(memory)) = (Quantity::parse(cpu), Quantity::parse(memory)) {
            self.state().capacity = [cpu, memory];
        }
    }

    /// Installs the definitions of Gateway API (v1, its standard channel): GatewayClass, Gateway and HTTPRoute. Nothing
    /// acts on them.
    pub fn install_gateway_api(&self) {
        self.state().installed.insert(kinds::GATEWAY_API);
    }

    /// Installs the definitions of volume snapshots (v1): VolumeSnapshotClass, VolumeSnapshotContent and
    /// VolumeSnapshot. Nothing acts on them.
    pub fn install_volume_snapshots(&self) {
        self.state().installed.insert(kinds::VOLUME_SNAPSHOTS);
    }

    /// Forgets all changes so far: a watch that begins before now is told 410.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// Creates a namespace.
    ///
    /// # Errors
    /// When the API server would refuse it; in its words.
    pub fn create_namespace(&self, name: &str) -> Result<Value, String> {
        self.create(
            "kubectl-create",
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        )
    }

    /// Creates an object as somebody with `kubectl create` does, whose fields `manager` then owns.
    ///
    /// # Errors
    /// When the API server would refuse it; in its words.
    pub fn create(&self, manager: &str, object: Value) -> Result<Value, String> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = Resource::of_kind(kind).ok_or_else(|| format!("no kind {kind:?}"))?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let namespace = namespace.to_owned();
        let object = apply::take_over(resource, None, object, manager);
        let mut state = self.state();
        if !state.serves(resource) {
            return Err(format!("nobody installed the kind {:?}", resource.kind));
        }
        let made = state.create(resource, &namespace, object);
        made.map(|made| Value::clone(&made))
            .map_err(|refusal| refusal.message)
    }

    /// Changes an object as somebody with `kubectl edit` does: the fields that are different after `change` are
    /// `manager`'s then.
    ///
    /// # Errors
    /// When there is no such object, or the API server would refuse it; in its words.
    pub fn edit(
        &self,
        manager: &str,
        (kind, namespace, name): (&str, &str, &str),
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, String> {
        let resource = Resource::of_kind(kind).ok_or_else(|| format!("no kind {kind:?}"))?;
        let mut state = self.state();
        let key = Key::new(resource.kind, namespace, name);
        let live = state.store.get(&key).cloned();
        let live = live.ok_or_else(|| Refusal::not_found(resource, name).message)?;
        let mut next = Value::clone(&live);
        change(&mut next);
        let next = apply::take_over(resource, Some(&live), next, manager);
        let written = state.replace(resource, &key, next);
        written
            .map(|written| Value::clone(&written))
            .map_err(|refusal| refusal.message)
    }

    /// Reports the status of an object as its controller does, and says whether the object was there.
    pub fn report(&self, (kind, namespace, name): (&str, &str, &str), status: Value) -> bool {
        let Some(resource) = Resource::of_kind(kind) else {
            return false;
        };
        let key = Key::new(resource.kind, namespace, name);
        self.state().set_status(&key, status)
    }

    /// Asks for the deletion of an object, and says whether it was there.
    pub fn delete(&self, (kind, namespace, name): (&str, &str, &str)) -> bool {
        let Some(resource) = Resource::of_kind(kind) else {
            return false;
        };
        let key = Key::new(resource.kind, namespace, name);
        self.state().remove(&key).is_some()
    }
}
