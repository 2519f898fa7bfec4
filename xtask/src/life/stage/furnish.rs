//! Production as it was before anybody had previews.

use std::time::Instant;

use serde_json::Value;

use super::{
    super::{
        kube::until,
        production::{PASSWORD, Production},
    },
    PATIENCE, Stage, short,
};
use crate::images::Edition;

impl Stage {
    /// Puts production there as it was before anybody had previews: the default branch's commit, with rows.
    pub(crate) async fn furnish_production(&self) -> anyhow::Result<()> {
        let commit = self.repository.head("main");
        let digests = self.publish(&commit, Edition::First, &commit).await?;
        self.publish_postgres().await?;
        let image = |name: &str| format!("{}@{}", self.ground.image(name), digests[name]);
        let namespace = self.production();
        let production = Production {
            namespace: &namespace,
            postgres: &self.ground.postgres(),
            web: &image("web"),
            api: &image("api"),
            password: PASSWORD,
        };
        for object in production.ground() {
            self.ground.kube.create(&object).await?;
        }
        self.ready("StatefulSet", "database").await?;
        self.ground.kube.create(&production.seed()).await?;
        self.job_is_done(&namespace, "seed").await?;
        for object in production.servers() {
            self.ground.kube.create(&object).await?;
        }
        for server in ["api", "web"] {
            self.ready("Deployment", server).await?;
        }
        self.progress
            .say(&format!("{namespace} runs {}", short(&commit)));
        Ok(())
    }

    /// Puts production there as the page alone, and previews are no more than that, too.
    #[cfg(test)]
    pub(crate) async fn furnish_a_page(&mut self) -> anyhow::Result<()> {
        self.furnish_pages("", |_| Vec::new()).await
    }

    /// The same, and production has a mirror of the page beside it.
    pub(crate) async fn furnish_a_page_and_its_mirror(&mut self) -> anyhow::Result<()> {
        let workloads = "workloads = [\n    { component = \"web\" },\n    \
                         { component = \"web\", workload = \"Deployment/mirror\", container = \"mirror\" },\n]\n";
        let mirror = |production: &Production<'_>| vec![production.mirror()];
        self.furnish_pages(workloads, mirror).await?;
        self.ready("Deployment", "mirror").await
    }

    async fn furnish_pages(
        &mut self,
        workloads: &str,
        more: impl FnOnce(&Production<'_>) -> Vec<Value>,
    ) -> anyhow::Result<()> {
        self.uses_small_previews();
        let (namespace, registry) = (self.production(), &self.ground.registry);
        let target = super::TARGET;
        let sections = format!(
            "github_packages = [\"{registry}\"]\n\n[[promote.targets]]\nname = \"{target}\"\n\
             namespace = \"{namespace}\"\n{workloads}"
        );
        self.configure(&sections);
        let commit = self.repository.head("main");
        let folder = self.folder.path().join("images-of-production");
        let page = self
            .ground
            .publish_page(&commit, Edition::First, &commit, &folder);
        let image = format!("{}@{}", self.ground.image("web"), page.await?);
        let production = Production {
            namespace: &namespace,
            postgres: "",
            web: &image,
            api: "",
            password: PASSWORD,
        };
        let ground = production.ground().into_iter();
        let servers = production.servers().into_iter();
        let page = ground
            .filter(|object| object["kind"] == "Namespace" || object["kind"] == "Secret")
            .chain(servers.filter(|object| object["metadata"]["name"] == "web"))
            .chain(more(&production));
        for object in page {
            self.ground.kube.create(&object).await?;
        }
        self.ready("Deployment", "web").await
    }

    /// Pushes the database server's image, which no CI of ours builds.
    pub(crate) async fn publish_postgres(&self) -> anyhow::Result<()> {
        self.ground.publish_postgres(self.folder.path()).await
    }

    async fn ready(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let namespace = self.production();
        until(Instant::now() + PATIENCE, async || {
            let object = self.object("apps/v1", kind, Some(&namespace), name).await?;
            let status = &object["status"];
            Ok(match status["readyReplicas"] == 1 {
                true => Ok(()),
                false => Err(format!(
                    "{kind}/{name} in {namespace} is not ready: {status}"
                )),
            })
        })
        .await
    }
}
