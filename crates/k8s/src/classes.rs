//! What the cluster has for all: classes of Ingresses and of volumes, and what runs on each of its nodes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use preview_core::doctor::Class;

use crate::cluster::Cluster;
use crate::error::Error;

impl Cluster {
    /// The IngressClasses.
    /// <https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class>
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn ingress_classes(&self) -> Result<Vec<Class>, Error> {
        let operation = self.operation("list IngressClasses".to_owned());
        let api: Api<IngressClass> = Api::all(self.client.clone());
        let params = ListParams::default();
        let found = self.list(&operation, || api.list(&params)).await?.items;
        let classes = found.into_iter().map(|found| found.metadata);
        let mark = "ingressclass.kubernetes.io/is-default-class";
        Ok(classes.map(|metadata| class(metadata, mark)).collect())
    }

    /// The StorageClasses.
    /// <https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass>
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn storage_classes(&self) -> Result<Vec<Class>, Error> {
        let operation = self.operation("list StorageClasses".to_owned());
        let api: Api<StorageClass> = Api::all(self.client.clone());
        let params = ListParams::default();
        let found = self.list(&operation, || api.list(&params)).await?.items;
        let classes = found.into_iter().map(|found| found.metadata);
        let mark = "storageclass.kubernetes.io/is-default-class";
        Ok(classes.map(|metadata| class(metadata, mark)).collect())
    }

    /// The names of all DaemonSets, whatever namespace they are in.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn daemon_sets(&self) -> Result<Vec<String>, Error> {
        let operation = self.operation("list the DaemonSets of all namespaces".to_owned());
        let api: Api<DaemonSet> = Api::all(self.client.clone());
        let params = ListParams::default();
        let found = self.list(&operation, || api.list(&params)).await?.items;
        Ok(found
            .into_iter()
            .filter_map(|found| found.metadata.name)
            .collect())
    }
}

fn class(metadata: ObjectMeta, mark: &str) -> Class {
    let annotations: BTreeMap<String, String> = metadata.annotations.unwrap_or_default();
    Class {
        name: metadata.name.unwrap_or_default(),
        is_default: annotations.get(mark).is_some_and(|value| value == "true"),
    }
}
