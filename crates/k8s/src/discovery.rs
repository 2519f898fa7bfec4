//! Which kinds a cluster serves.

use std::collections::BTreeSet;

use preview_core::objects::Kind;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;

impl Cluster {
    /// Those of `kinds` that the cluster does not serve in the version in which we write them
    /// ([`Kind::api_version`]), in their order. Kinds are served where somebody installed their definition; a cluster
    /// that has only an older version of them lacks them too.
    ///
    /// Each version of a group is asked for at most once, see
    /// <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api>.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn missing_kinds(&self, kinds: &[Kind]) -> Result<Vec<Kind>, Error> {
        let operation = self.operation("ask which kinds of objects the cluster serves".to_owned());
        self.missing_kinds_within(&operation, kinds).await
    }

    /// [`Self::missing_kinds`] as a part of another operation.
    pub(crate) async fn missing_kinds_within(
        &self,
        operation: &Operation,
        kinds: &[Kind],
    ) -> Result<Vec<Kind>, Error> {
        let versions: BTreeSet<_> = kinds.iter().map(|kind| kind.api_version()).collect();
        let mut served = BTreeSet::new();
        for version in self.served_of(operation, versions).await? {
            let names = self.kinds_of(operation, version).await?;
            served.extend(names.into_iter().map(|name| (version, name)));
        }
        let is_missing = |kind: &&Kind| {
            let name = (kind.api_version(), kind.as_str().to_owned());
            !served.contains(&name)
        };
        Ok(kinds.iter().filter(is_missing).copied().collect())
    }

    /// Those of `versions` that the cluster has at all. A version that it lacks has no page of its own to ask: it
    /// answers 404 in words that anything on the way could have said.
    async fn served_of(
        &self,
        operation: &Operation,
        mut versions: BTreeSet<&'static str>,
    ) -> Result<BTreeSet<&'static str>, Error> {
        if versions.iter().all(|version| is_core(version)) {
            return Ok(versions);
        }
        let groups = self
            .list(operation, || self.client.list_api_groups())
            .await?
            .groups;
        let all = groups.iter().flat_map(|group| &group.versions);
        let known: BTreeSet<_> = all.map(|version| version.group_version.as_str()).collect();
        versions.retain(|version| is_core(version) || known.contains(version));
        Ok(versions)
    }

    async fn kinds_of(&self, operation: &Operation, version: &str) -> Result<Vec<String>, Error> {
        let list = self
            .read(operation, || async {
                match is_core(version) {
                    true => self.client.list_core_api_resources(version).await,
                    false => self.client.list_api_group_resources(version).await,
                }
            })
            .await?;
        // It was served a moment ago: somebody removed its definitions meanwhile.
        let resources = list.map(|list| list.resources).unwrap_or_default();
        let kinds = resources.into_iter().map(|resource| resource.kind);
        Ok(kinds.collect())
    }
}

fn is_core(version: &str) -> bool {
    !version.contains('/')
}
