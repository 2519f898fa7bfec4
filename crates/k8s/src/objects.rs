//! Reading single objects.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{Api, ListParams};
use preview_core::names::{NamespaceName, Uid};
use preview_core::objects::{ObjectName, PodFacts};
use secrecy::SecretString;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::uid;

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeClaim {
    /// Its name.
    pub name: String,
    /// Its uid, by which its volume names it.
    pub uid: Uid,
    /// The PersistentVolume it is bound to.
    pub volume: Option<String>,
    /// Whether its deletion was asked for.
    pub terminating: bool,
}

impl Cluster {
    /// The object as the cluster holds it; none where there is none.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn object(
        &self,
        namespace: &NamespaceName,
        object: &ObjectName,
    ) -> Result<Option<Value>, Error> {
        let operation = self.operation(format!("read {object} in {namespace}"));
        let api = self.api(object.kind, namespace);
        let found = self.read(&operation, || api.get(&object.name)).await?;
        found
            .map(serde_json::to_value)
            .transpose()
            .map_err(|error| self.malformed(&operation, error.to_string()))
    }

    /// The value of `key` in the Secret `name`; none where there is no such Secret or key.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the value is no text.
    pub async fn secret_value(
        &self,
        namespace: &NamespaceName,
        name: &str,
        key: &str,
    ) -> Result<Option<SecretString>, Error> {
        let operation = self.operation(format!("read Secret/{name} in {namespace}"));
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace.as_str());
        let Some(secret) = self.read(&operation, || api.get(name)).await? else {
            return Ok(None);
        };
        let value = secret.data.and_then(|mut data| data.remove(key));
        value
            .map(|value| String::from_utf8(value.0).map(SecretString::from))
            .transpose()
            .map_err(|_| self.malformed(&operation, format!("the value of {key} is no text")))
    }

    /// The PersistentVolumeClaims of `namespace`.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn volume_claims(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Vec<VolumeClaim>, Error> {
        let operation = self.operation(format!("list PersistentVolumeClaims in {namespace}"));
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), namespace.as_str());
        let params = ListParams::default();
        let list = self.list(&operation, || api.list(&params)).await?;
        list.items
            .into_iter()
            .map(|claim| {
                let uid = uid(&claim.metadata).parse();
                Ok(VolumeClaim {
                    uid: uid.map_err(|error| self.malformed(&operation, format!("{error}")))?,
                    terminating: claim.metadata.deletion_timestamp.is_some(),
                    name: claim.metadata.name.unwrap_or_default(),
                    volume: claim.spec.and_then(|spec| spec.volume_name),
                })
            })
            .collect()
    }

    /// The pods of a workload's newest template, newest first, with the images that run; empty where the workload is
    /// not there.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn pods(
        &self,
        namespace: &NamespaceName,
        workload: &ObjectName,
    ) -> Result<Vec<PodFacts>, Error> {
        let mut pods = self.pods_of_all_versions(namespace, workload).await?;
        pods.retain(|pod| pod.current && !pod.terminating);
        Ok(pods)
    }

    /// The pods of a workload, those of earlier templates and those on their way out too, newest first; empty where the
    /// workload is not there.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn pods_of_all_versions(
        &self,
        namespace: &NamespaceName,
        workload: &ObjectName,
    ) -> Result<Vec<PodFacts>, Error> {
        let operation = self.operation(format!("list the pods of {workload} in {namespace}"));
        let kinds = BTreeSet::from([workload.kind]);
        let world = self.world_now(&operation, namespace, &kinds).await?;
        let found = world.workload(workload);
        Ok(found.map(|(_, pods)| pods).unwrap_or_default())
    }
}
