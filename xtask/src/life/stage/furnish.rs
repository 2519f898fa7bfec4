//! Production as it was before anybody had previews.

use std::time::Instant;

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
    pub(crate) async fn furnish_a_page(&mut self) -> anyhow::Result<()> {
        self.furnish_pages(&["web"]).await
    }

    /// Puts production there as Deployments of the page with these names, and previews are no more than the page.
    pub(crate) async fn furnish_pages(&mut self, names: &[&str]) -> anyhow::Result<()> {
        self.uses_small_previews();
        let (namespace, registry) = (self.production(), &self.ground.registry);
        let target = super::TARGET;
        let workloads = names.iter().map(|name| {
            format!(
                "{{ component = \"web\", workload = \"Deployment/{name}\", container = \"{name}\" }}"
            )
        });
        let workloads = workloads.collect::<Vec<_>>().join(", ");
        let sections = format!(
            "github_packages = [\"{registry}\"]\n\n[[promote.targets]]\nname = \"{target}\"\n\
             namespace = \"{namespace}\"\nworkloads = [{workloads}]\n"
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
        let ground =
            ground.filter(|object| object["kind"] == "Namespace" || object["kind"] == "Secret");
        let pages = names.iter().map(|name| production.page(name));
        for object in ground.chain(pages) {
            self.ground.kube.create(&object).await?;
        }
        for name in names {
            self.ready("Deployment", name).await?;
        }
        Ok(())
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
