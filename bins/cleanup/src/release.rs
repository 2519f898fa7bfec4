//! Taking a preview down with nothing but access to the cluster.

use preview_actions::{Conclusion, Failed, Outside as _, Runner};
use preview_core::cleanup::RetainedVolumes;
use preview_core::names::{NamespaceName, RepositoryId, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::{Owner, keys};
use preview_k8s::{Cluster, TearDown};

use crate::Arguments;

/// Takes the preview in `namespace` down, whosever it is, and says what of it is left elsewhere.
///
/// # Errors
/// When there is none, it is no preview, something keeps it, or the cluster cannot be asked.
pub(crate) async fn run(
    runner: &Runner,
    arguments: &Arguments,
    namespace: &NamespaceName,
) -> Result<Conclusion, Failed> {
    runner.know(|result| result.namespace = Some(namespace.clone()));
    let cluster = Cluster::connect(preview_k8s::Settings {
        kubeconfig: arguments.options.kubeconfig.clone(),
        ..preview_k8s::Settings::inferred("preview-cleanup")
    });
    let cluster = cluster.await.misused()?;
    let read = cluster.namespace(namespace).await.outside()?;
    let read = read.ok_or_else(|| {
        let server = cluster.server();
        Failed::refused(format!(
            "there is no namespace {namespace} on {server}; look at the name"
        ))
    })?;
    let owner = owner(&read)?;
    runner.know(|result| result.subject = Some(owner.subject.clone()));
    let within = arguments.time();
    // Whoever has no configuration has nobody's word that their data is not needed.
    let retained = RetainedVolumes::Stay;
    match crate::tear_down(runner, &cluster, &owner, &read, retained, within).await? {
        TearDown::Superseded { by } => Ok(crate::superseded(by)),
        TearDown::Done(receipt) => {
            let left = left_elsewhere(&read, &owner);
            runner.console().line(&left);
            crate::conclusion(&owner.subject, Some(&receipt), within)
        }
    }
}

/// Whose preview it is, by its own labels: whoever calls this has no other word for it.
fn owner(read: &NamespaceFacts) -> Result<Owner, Failed> {
    let is_ours =
        read.labels.get(keys::MANAGED_BY).map(String::as_str) == Some(keys::MANAGED_BY_US);
    match (is_ours, read.repository(), read.subject()) {
        (true, Some(repository), Some(subject)) => Ok(Owner {
            repository,
            subject,
        }),
        _ => Err(Failed::refused(format!(
            "namespace {} is no preview: it lacks the labels {}={}, {} and {}; what is not a preview is not deleted",
            read.name,
            keys::MANAGED_BY,
            keys::MANAGED_BY_US,
            keys::REPOSITORY_ID,
            keys::SUBJECT
        ))),
    }
}

/// What only GitHub's and the registry's own access can put away.
fn left_elsewhere(read: &NamespaceFacts, owner: &Owner) -> String {
    let RepositoryId(id) = owner.repository;
    let repository = read.annotations.get(keys::REPOSITORY);
    let repository = repository.map_or_else(|| format!("repository {id}"), Clone::clone);
    let again = match &owner.subject {
        Subject::Pr(number) => format!("--pr {number}"),
        Subject::Commit(commit) => format!("--commit {commit}"),
    };
    format!(
        "left in {repository}: the deployments, labels and comment of {}; run `preview-cleanup {again}` there to put them \
         away",
        owner.subject
    )
}
