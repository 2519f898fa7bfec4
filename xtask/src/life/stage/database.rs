//! What somebody does to a preview's database, and to what it is made from.

use anyhow::Context as _;
use preview_core::outcome::{Program, ResultFile};
use sandbox::cluster::Behaviour;
use serde_json::json;

use super::super::repository::SECOND_EDITION;
use super::runs::Event;
use super::{Built, Stage};

/// What keeps the second edition's migration from being applied: it adds this very column.
const IN_ITS_WAY: &str = "alter table notes add column author text";

impl Stage {
    /// The configuration fills fresh databases from these SQL files.
    pub(crate) fn fill_the_database_from(&mut self, files: &str) {
        self.database = format!("seed.sql = [\"{files}\"]\n");
    }

    /// Runs SQL on the preview's database. The sandbox has no rows to type into.
    pub(crate) async fn type_into_the_database(&mut self, sql: &str) -> anyhow::Result<()> {
        self.typed += 1;
        let (namespace, name) = (self.preview()?, format!("typist-{}", self.typed));
        let password =
            json!({ "secretKeyRef": { "name": "app-secret", "key": "DATABASE_PASSWORD" } });
        let psql = json!({
            "name": "psql",
            "image": self.ground.postgres(),
            "command": ["psql", "--set=ON_ERROR_STOP=1", "--host=database", "--username=shop", "--command", sql, "shop"],
            "env": [{ "name": "PGPASSWORD", "valueFrom": password }],
        });
        let pod = json!({ "spec": { "restartPolicy": "Never", "containers": [psql] } });
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "backoffLimit": 0, "template": pod },
        });
        self.ground.kube.create(&job).await?;
        let done = self.job_is_done(&namespace, &name).await;
        done.with_context(|| sql.to_owned())?;
        self.progress.say(&format!("somebody typed: {sql}"));
        Ok(())
    }

    /// Sees to it that what CI built cannot migrate the database.
    pub(crate) async fn let_the_migration_fail(&mut self, built: &Built) -> anyhow::Result<()> {
        if let Some(world) = self.ground.world() {
            let log = vec!["column \"author\" of relation \"notes\" already exists".to_owned()];
            let behaviour = Behaviour::Crash { exit_code: 1, log };
            world.cluster.behave(&built.digests["api"], behaviour);
            return Ok(());
        }
        self.type_into_the_database(IN_ITS_WAY).await
    }

    /// Takes out of its way what [`Self::let_the_migration_fail`] put there.
    pub(crate) async fn let_the_migration_pass(&mut self, built: &Built) -> anyhow::Result<()> {
        if let Some(world) = self.ground.world() {
            let behaviour = Behaviour::Fine { log: Vec::new() };
            world.cluster.behave(&built.digests["api"], behaviour);
            return Ok(());
        }
        self.type_into_the_database("alter table notes drop column author")
            .await
    }

    /// Pushes the last migration with other content; gives its path.
    pub(crate) fn rewrite_the_last_migration(&self) -> anyhow::Result<&'static str> {
        let migrations = SECOND_EDITION
            .iter()
            .filter(|(path, _)| path.contains("migrations/"));
        let last = migrations.max();
        let (path, sql) =
            last.ok_or_else(|| anyhow::anyhow!("the second edition migrates nothing"))?;
        let rewritten = format!("-- As agreed in the review.\n{sql}");
        self.repository.push(self.number()?, &[(path, &rewritten)]);
        self.progress.say(&format!("{path} is rewritten"));
        Ok(path)
    }

    /// Runs `preview-deploy --reset-database` for the newest run of CI.
    pub(crate) async fn deploy_with_a_fresh_database(&mut self) -> anyhow::Result<ResultFile> {
        let arguments = ["--reset-database"];
        let ended = self.run_with(Program::Deploy, Event::WorkflowRun, &arguments);
        Ok(ended.await?.with(0, "deployed")?.result)
    }

    /// Somebody names a tag in the configuration that the registry does not have; gives the image that was named.
    pub(crate) fn name_a_database_image_that_is_missing(&mut self) -> String {
        let right = self.postgres.clone();
        self.misspell_the_databases_tag();
        right
    }

    /// Somebody names the database's image in the configuration.
    pub(crate) fn name_the_database_image(&mut self, image: String) {
        self.postgres = image;
    }
}
