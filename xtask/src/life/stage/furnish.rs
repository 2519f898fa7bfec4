//! Production as it was before anybody had previews.

use std::time::Instant;

use super::{
    super::{kube::until, production::Production},
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
            password: "no secret: it ends with the play",
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
