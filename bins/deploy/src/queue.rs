//! Those that wait for a slot.

use preview_actions::{Failed, Outside as _};
use preview_core::names::RepositoryId;
use preview_core::objects::NamespaceFacts;
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
        let (workflow, branch) = (&self.config.queue.workflow, &repository.default_branch);
        for next in Next::in_queue(&claims, repository.id, self.config.capacity) {
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
