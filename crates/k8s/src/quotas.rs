//! What previews use of their quotas.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, ListParams};
use preview_core::names::NamespaceName;
use preview_core::quota::{Filled, NAME, Usage};

use crate::cluster::Cluster;
use crate::error::Error;

impl Cluster {
    /// How much is used of the quota of every preview with the labels of `selector`, by its namespace, from one list over
    /// all namespaces. Nothing of one that its controller has not counted yet.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn quotas(&self, selector: &str) -> Result<BTreeMap<NamespaceName, Filled>, Error> {
        let operation = self.operation(format!("list ResourceQuotas with {selector}"));
        let api: Api<ResourceQuota> = Api::all(self.client.clone());
        let params = ListParams::default().labels(selector);
        let list = self.list(&operation, || api.list(&params)).await?;
        let ours = list
            .items
            .into_iter()
            .filter(|quota| quota.metadata.name.as_deref() == Some(NAME));
        let filled = ours.filter_map(|quota| {
            let status = quota.status?;
            let namespace = quota.metadata.namespace?.parse().ok()?;
            let (used, hard) = (status.used.unwrap_or_default(), status.hard?);
            Some((
                namespace,
                Filled {
                    used: usage(&used),
                    hard: usage(&hard),
                },
            ))
        });
        Ok(filled.collect())
    }
}

fn usage(amounts: &BTreeMap<String, Quantity>) -> Usage {
    let amounts = amounts.iter();
    Usage::known(amounts.map(|(name, Quantity(amount))| (name.as_str(), amount.as_str())))
}
