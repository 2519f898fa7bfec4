//! All previews of the repository: a table for people, and `result.json` for scripts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_actions::{Conclusion, Failed, Outside as _};
use preview_core::lifecycle::Phase;
use preview_core::names::{NamespaceName, PrNumber, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::{Owner, keys};
use preview_core::previews::{Listed, lines};
use preview_core::pulls::PullRequest;
use preview_core::quota::Filled;

use crate::world::World;

/// Shows them in the order of their pull requests, and then of their commits.
///
/// # Errors
/// When the cluster or GitHub cannot be asked.
pub(crate) async fn run(world: &World<'_>) -> Result<Conclusion, Failed> {
    let all = Owner::selector_of_repository(world.repository.id);
    let previews = world.cluster.namespaces(&all).await.outside()?;
    let open = world.github.open_pulls().await.outside()?;
    let open: BTreeMap<PrNumber, PullRequest> =
        open.into_iter().map(|pull| (pull.number, pull)).collect();
    // To know what is there is worth more than to know how full it is.
    let quotas = world.cluster.quotas(&all).await.unwrap_or_else(|error| {
        let warning = format!("how much of their quotas the previews use is not known: {error}");
        world.runner.console().warning(&warning);
        BTreeMap::new()
    });
    let mut listed: Vec<Listed> = previews
        .iter()
        .map(|preview| world.listed(preview, &open, &quotas))
        .collect();
    listed.sort_by(|a, b| (&a.subject, &a.namespace).cmp(&(&b.subject, &b.namespace)));

    let console = world.runner.console();
    if !listed.is_empty() {
        let width = world.runner.environment().columns();
        for line in lines(&listed, Timestamp::now(), width) {
            console.line(&line);
        }
    }
    let told = match listed.len() {
        1 => "1 preview".to_owned(),
        count => format!("{count} previews"),
    };
    let told = format!("{told} of {}", world.repository.slug);
    world.runner.know(|result| result.previews = listed);
    Ok(Conclusion::done("listed", told))
}

impl World<'_> {
    fn listed(
        &self,
        preview: &NamespaceFacts,
        open: &BTreeMap<PrNumber, PullRequest>,
        quotas: &BTreeMap<NamespaceName, Filled>,
    ) -> Listed {
        let subject = preview.subject();
        let pull = match &subject {
            Some(Subject::Pr(number)) => open.get(number),
            _ => None,
        };
        let phase = match preview.terminating {
            true => Some(Phase::Destroying.to_string()),
            false => preview.annotations.get(keys::PHASE).cloned(),
        };
        let host = subject
            .as_ref()
            .and_then(|subject| self.config.host.render(subject).ok());
        let answers = preview.annotations.contains_key(keys::IMAGES) && !preview.terminating;
        Listed {
            namespace: preview.name.clone(),
            title: pull.map(|pull| pull.title.clone()),
            author: pull.map(|pull| pull.author.clone()),
            phase,
            claim: preview.claim().map(|claim| claim.to_string()),
            head: preview.head(),
            url: host
                .filter(|_| answers)
                .map(|host| format!("https://{host}")),
            created: preview.created,
            quota: quotas.get(&preview.name).cloned(),
            subject,
        }
    }
}
