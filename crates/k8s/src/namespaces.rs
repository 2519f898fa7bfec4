//! Namespaces: read, created once, changed by compare-and-set.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, Manifest, NamespaceFacts};
use serde_json::{Map, Value, json};

use crate::apply::MUST_BE_ABSENT;
use crate::call::{Answer, Operation};
use crate::cluster::Cluster;
use crate::error::{Error, Final};
use crate::facts::namespace_facts;

/// What to change on a Namespace; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceChange {
    /// Annotations to set, or to remove where there is no value.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Labels to set, or to remove where there is no value.
    pub labels: BTreeMap<String, Option<String>>,
    /// All finalizers from now on; none to leave them.
    pub finalizers: Option<Vec<String>>,
}

impl NamespaceChange {
    /// Sets these annotations.
    #[must_use]
    pub fn annotate(annotations: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            annotations: annotations
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect(),
            ..Self::default()
        }
    }
}

impl Cluster {
    pub(crate) fn namespace_api(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    /// The Namespace `name`; none where there is none.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn namespace(&self, name: &NamespaceName) -> Result<Option<NamespaceFacts>, Error> {
        let operation = self.operation(format!("read Namespace/{name}"));
        self.namespace_within(&operation, name).await
    }

    pub(crate) async fn namespace_within(
        &self,
        operation: &Operation,
        name: &NamespaceName,
    ) -> Result<Option<NamespaceFacts>, Error> {
        let api = self.namespace_api();
        self.read(operation, || api.get(name.as_str()))
            .await?
            .map(|namespace| self.namespace_facts(operation, &namespace))
            .transpose()
    }

    fn namespace_facts(
        &self,
        operation: &Operation,
        namespace: &Namespace,
    ) -> Result<NamespaceFacts, Error> {
        namespace_facts(namespace).map_err(|detail| self.malformed(operation, detail))
    }

    /// All Namespaces with the labels of `selector`, from one consistent list.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn namespaces(&self, selector: &str) -> Result<Vec<NamespaceFacts>, Error> {
        let operation = self.operation(format!("list Namespaces with {selector}"));
        let api = self.namespace_api();
        // Without a limit, so without pages: claims are counted in one snapshot.
        let params = ListParams::default().labels(selector);
        let list = self.list(&operation, || api.list(&params)).await?;
        list.items
            .iter()
            .map(|namespace| self.namespace_facts(&operation, namespace))
            .collect()
    }

    /// Creates a Namespace; none when one of that name is there already.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn create_namespace(
        &self,
        manifest: Manifest,
    ) -> Result<Option<NamespaceFacts>, Error> {
        let name = manifest.object().name.clone();
        let operation = self.operation(format!("create Namespace/{name}"));
        if manifest.object().kind != Kind::Namespace {
            return Err(Error::Misuse {
                operation: operation.what,
                reason: format!("{} is no Namespace", manifest.object()),
            });
        }
        let mut body = manifest.into_body();
        body["metadata"]["resourceVersion"] = json!(MUST_BE_ABSENT);
        let (params, patch) = (self.apply_params(), Patch::Apply(&body));
        let api = self.namespace_api();
        let answer = self
            .call(&operation, || api.patch(&name, &params, &patch))
            .await?;
        match answer {
            Answer::Done(made) => self.namespace_facts(&operation, &made).map(Some),
            Answer::Conflict(_) => Ok(None),
            Answer::Absent(reason) => Err(self.finally(&operation, Final::Refused(404, reason))),
        }
    }

    /// Changes the Namespace as it was read, by compare-and-set on its uid and resourceVersion; none when it is not
    /// what was read any more: read again, and decide again.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn change_namespace(
        &self,
        read: &NamespaceFacts,
        change: &NamespaceChange,
    ) -> Result<Option<NamespaceFacts>, Error> {
        let operation = self.operation(format!("change Namespace/{}", read.name));
        let mut metadata = json!({
            "uid": read.uid,
            "resourceVersion": read.resource_version,
            "annotations": change.annotations,
            "labels": change.labels,
        });
        if let Some(finalizers) = &change.finalizers {
            metadata["finalizers"] = json!(finalizers);
        }
        let body = Value::Object(Map::from_iter([("metadata".to_owned(), metadata)]));
        let params = PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        };
        let (api, patch) = (self.namespace_api(), Patch::Merge(&body));
        let name = read.name.as_str();
        let answer = self
            .call(&operation, || api.patch(name, &params, &patch))
            .await?;
        match answer {
            Answer::Done(changed) => self.namespace_facts(&operation, &changed).map(Some),
            Answer::Absent(_) | Answer::Conflict(_) => Ok(None),
        }
    }

    /// Asks for the deletion of the Namespace as it was read. True when it is on its way out, or gone; false when it
    /// is not what was read any more: read again, and decide again.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses.
    pub async fn delete_namespace(&self, read: &NamespaceFacts) -> Result<bool, Error> {
        let operation = self.operation(format!("delete Namespace/{}", read.name));
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(read.uid.to_string()),
            resource_version: Some(read.resource_version.clone()),
        });
        let api = self.namespace_api();
        let answer = self
            .call(&operation, || async {
                api.delete(read.name.as_str(), &params).await.map(drop)
            })
            .await?;
        Ok(match answer {
            Answer::Done(()) | Answer::Absent(_) => true,
            Answer::Conflict(_) => self
                .namespace_within(&operation, &read.name)
                .await?
                .is_none_or(|now| now.uid == read.uid && now.terminating),
        })
    }
}
