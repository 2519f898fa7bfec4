//! Those that wait for a slot.

use preview_actions::{Failed, Outside as _};
use preview_core::deploy::Request;
use preview_core::names::{RepositoryId, Subject};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::Claim;
use preview_core::pulls::Repository;
use preview_core::slots::{Next, selector};

use crate::world::World;

impl World<'_> {
    /// Every claim that the capacity is about, in one consistent list.
    pub(crate) async fn claims(
        &self,
        repository: RepositoryId,
    ) -> Result<Vec<NamespaceFacts>, Failed> {
        let all = selector(self.config.capacity_of, repository);
        self.cluster.namespaces(&all).await.outside()
    }

    /// A slot was freed: starts the workflow that deploys those whose turn it is. Where that fails it is a warning, for
    /// what was to be done is done.
    pub(crate) async fn start_next(&self, repository: &Repository) {
        let console = self.runner.console();
        let claims = match self.claims(repository.id).await {
            Ok(claims) => claims,
            Err(error) => {
                let warning = format!("a slot is free, and who waits for it is not known: {error}");
                return console.warning(&warning);
            }
        };
        let next = Next::in_queue(&claims, repository.id, self.config.capacity);
        self.start(repository, next).await;
    }

    /// This run may have been started because a slot is free. Where its preview waits still, the turn goes to those behind
    /// it. Where that cannot be known it is a warning: why this run has ended matters more.
    pub(crate) async fn hand_on(&self, request: &Request) {
        let subject = match request {
            Request::Pull { number, .. } => Subject::Pr(*number),
            Request::Commit(commit) => Subject::Commit(commit.clone()),
            // CI starts runs whether a slot is free or not.
            Request::Run(_) => return,
        };
        let handed_on = async {
            let name = self.config.namespace.render(&self.slug, &subject);
            let own = self.cluster.namespace(&name.misused()?).await.outside()?;
            let Some(own) = own.filter(|own| {
                own.claim() == Some(Claim::Queued) && own.subject().as_ref() == Some(&subject)
            }) else {
                return Ok(());
            };
            let Some(repository) = own.repository() else {
                return Ok(());
            };
            let claims = self.claims(repository).await?;
            let next = Next::behind(&own.uid, &claims, repository, self.config.capacity);
            if next.is_empty() {
                return Ok(());
            }
            let here = self.github.repository().await.outside()?;
            if here.id == repository {
                self.start(&here, next).await;
            }
            Ok::<_, Failed>(())
        };
        if let Err(error) = handed_on.await {
            let warning = format!("whose turn it is now is not known: {error}");
            self.runner.console().warning(&warning);
        }
    }

    async fn start(&self, repository: &Repository, next: Vec<Next>) {
        let console = self.runner.console();
        let (workflow, branch) = (&self.config.queue.workflow, &repository.default_branch);
        for next in next {
            let inputs = next.inputs();
            let start = self.github.dispatch_workflow(workflow, branch, &inputs);
            let object = format!("{workflow} for {}", next.subject);
            if let Err(error) = self.runner.step("start", object, start).await {
                let command = next.command(&repository.slug, workflow, branch);
                let warning = format!(
                    "a slot is free and it is the turn of {}, whose deploy was not started: {error}; type `{command}`",
                    next.subject
                );
                console.warning(&warning);
            }
        }
    }
}
