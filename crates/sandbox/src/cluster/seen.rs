//! What tests look at, without going through HTTP.

use serde_json::Value;

use super::Cluster;
use super::kinds::Resource;
use super::store::Key;

/// A pod as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
    /// Whether its condition `Ready` holds.
    pub ready: bool,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// The images of its containers, as the pod names them.
    pub images: Vec<String>,
    /// The images that run: `name@digest`, empty before they were pulled.
    pub image_ids: Vec<String>,
}

impl Cluster {
    /// An object as the API server would tell it. `namespace` is empty for what is in none.
    #[must_use]
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = Resource::of_kind(kind)?;
        let key = Key::new(resource.kind, namespace, name);
        self.state()
            .store
            .get(&key)
            .map(|object| Value::clone(object))
    }

    /// All objects of a kind, in one namespace or, where it is empty, everywhere.
    #[must_use]
    pub fn objects(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let Some(resource) = Resource::of_kind(kind) else {
            return Vec::new();
        };
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let state = self.state();
        let objects = state.store.list(resource.kind, namespace);
        objects.map(|(_, object)| Value::clone(object)).collect()
    }

    /// The names of all objects of a kind, in one namespace or, where it is empty, everywhere.
    #[must_use]
    pub fn names(&self, kind: &str, namespace: &str) -> Vec<String> {
        let objects = self.objects(kind, namespace);
        objects
            .iter()
            .map(|object| text(&object["metadata"]["name"]))
            .collect()
    }

    /// `Kind/name` of everything in a namespace, save events and what every namespace has from its beginning.
    #[must_use]
    pub fn contents(&self, namespace: &str) -> Vec<String> {
        let kinds = Resource::all()
            .iter()
            .filter(|resource| resource.namespaced);
        let kinds = kinds.filter(|resource| resource.kind != "Event");
        let all = kinds.flat_map(|resource| {
            let names = self.names(resource.kind, namespace).into_iter();
            names.map(move |name| format!("{}/{name}", resource.kind))
        });
        let usual = ["ServiceAccount/default", "ConfigMap/kube-root-ca.crt"];
        all.filter(|name| !usual.contains(&name.as_str())).collect()
    }

    /// The pods of a namespace.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Vec<SeenPod> {
        let pods = self.objects("Pod", namespace);
        pods.iter().map(seen_pod).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seen_pod(pod: &Value) -> SeenPod {
    let list = |list: &Value, key: &str| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| text(&item[key])).collect()
    };
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    SeenPod {
        name: text(&pod["metadata"]["name"]),
        phase: text(&pod["status"]["phase"]),
        ready: conditions.any(|c| c["type"] == "Ready" && c["status"] == "True"),
        terminating: pod["metadata"].get("deletionTimestamp").is_some(),
        images: list(&pod["spec"]["containers"], "image"),
        image_ids: list(&pod["status"]["containerStatuses"], "imageID"),
    }
}
