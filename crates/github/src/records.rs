//! Records of what was tested, and of what was imported, where they are kept: in deployments.

use preview_core::deployments::{ENVIRONMENT, IMPORT, RECORD};
use preview_core::import::Import;
use preview_core::names::{CommitSha, RepositoryId};
use preview_core::record::{self, Record, RecordKey, RecordRefused, Trust};

use crate::client::GitHub;
use crate::deployments::DeploymentFilter;
use crate::error::Error;

impl GitHub {
    /// The records that were kept for the head (or commit) `head`, newest first, believed or not: anybody who can start
    /// a workflow can keep one.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn records(
        &self,
        head: &CommitSha,
        trust: Trust<'_>,
        repository: RepositoryId,
    ) -> Result<Vec<Result<Record, RecordRefused>>, Error> {
        let records = DeploymentFilter {
            reference: Some(head.clone()),
            environment: Some(ENVIRONMENT.to_owned()),
            task: Some(RECORD.to_owned()),
        };
        let deployments = self.deployments(&records).await?;
        Ok(deployments
            .iter()
            .filter_map(|deployment| record::read(&deployment.payload, trust, repository))
            .collect())
    }
    /// The genuine records of what was imported for the head `head`.
    ///
    /// # Errors
    /// As all operations: see [`Error`].
    pub async fn imports(
        &self,
        head: &CommitSha,
        key: &RecordKey,
        repository: RepositoryId,
    ) -> Result<Vec<Import>, Error> {
        let imports = DeploymentFilter {
            reference: Some(head.clone()),
            environment: Some(ENVIRONMENT.to_owned()),
            task: Some(IMPORT.to_owned()),
        };
        let deployments = self.deployments(&imports).await?;
        Ok(deployments
            .iter()
            .filter_map(|deployment| Import::genuine(&deployment.payload, key, repository))
            .collect())
    }
}
