//! What happens to production around a promotion.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use preview_core::outcome::Program;
use sandbox::cluster::Behaviour;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::kube::Place;
use super::{Built, Stage, runs::Event};

/// Between one visit and the next.
const STROLL: Duration = Duration::from_millis(50);

/// Somebody who opens production's page again and again.
pub(crate) struct Visits {
    ended: watch::Receiver<usize>,
    over: Arc<AtomicBool>,
    /// Its result: what each visit got that was not answered with the page.
    strolling: JoinHandle<Vec<String>>,
}

impl Visits {
    /// Waits until more than `count` visits ended.
    async fn more_than(&mut self, count: usize) -> anyhow::Result<()> {
        let wanted = self.ended.wait_for(|ended| *ended > count);
        wanted.await.context("visit production")?;
        Ok(())
    }
}

impl Stage {
    /// Sends somebody to production's page, again and again. When this returns, they were there once.
    pub(crate) async fn visit_production(&self) -> anyhow::Result<Visits> {
        let (kube, namespace) = (self.ground.kube.another(), self.production());
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let (ending, ended) = watch::channel(0);
        let strolling = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                match kube.page(&namespace, "web", 8080, "/").await {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => failed.push(format!("{}: {}", answer.status, answer.body)),
                    Err(error) => failed.push(format!("{error:#}")),
                }
                ending.send_modify(|ended| *ended += 1);
                tokio::time::sleep(STROLL).await;
            }
            failed
        });
        let mut visits = Visits {
            ended,
            over,
            strolling,
        };
        visits.more_than(0).await?;
        Ok(visits)
    }

    /// Checks that every visit was answered: those before, some in between, and one that begins now.
    pub(crate) async fn none_failed(&self, mut visits: Visits) -> anyhow::Result<()> {
        let until_now = *visits.ended.borrow();
        ensure!(until_now > 1, "nobody visited production in between");
        // One of them may have begun before.
        visits.more_than(until_now + 1).await?;
        visits.over.store(true, Ordering::Relaxed);
        let failed = visits.strolling.await.context("visit production")?;
        let count = *visits.ended.borrow();
        ensure!(
            failed.is_empty(),
            "{} of {count} visits to production failed: {failed:?}",
            failed.len()
        );
        self.progress
            .say(&format!("production answered all of {count} visits"));
        Ok(())
    }

    /// Has a command fail that fails by itself on a node: the sandbox runs none.
    pub(crate) fn fails_where_the_sandbox_runs(&self, command: &str) {
        if let Some(world) = self.ground.world() {
            let log = vec!["usage: api [migrate|seed]".to_owned()];
            world
                .cluster
                .behave(command, Behaviour::Crash { exit_code: 2, log });
        }
    }

    /// Somebody changes the password that new pods of production have, and not the database's.
    pub(crate) async fn shut_the_database(&self, built: &Built) -> anyhow::Result<()> {
        let log = vec!["password authentication failed for user \"shop\"".to_owned()];
        let shut = Behaviour::Crash { exit_code: 1, log };
        self.has_password("another one", shut, built).await
    }

    /// Sets it right again.
    pub(crate) async fn open_the_database(&self, built: &Built) -> anyhow::Result<()> {
        let open = Behaviour::Fine { log: Vec::new() };
        let right = super::super::production::PASSWORD;
        self.has_password(right, open, built).await
    }

    async fn has_password(
        &self,
        password: &str,
        behaviour: Behaviour,
        built: &Built,
    ) -> anyhow::Result<()> {
        // The sandbox's containers do not ask a database.
        if let Some(world) = self.ground.world() {
            world.cluster.behave(&built.digests["api"], behaviour);
        }
        let namespace = self.production();
        let secrets = Place {
            api: "v1",
            kind: "Secret",
            namespace: Some(&namespace),
        };
        let change = json!({ "stringData": { "password": password } });
        self.ground.kube.change(secrets, "database", &change).await
    }

    /// Runs `preview-promote` for a push whose images do not come up; gives the error.
    pub(crate) async fn promote_fails(&mut self, commit: &str) -> anyhow::Result<String> {
        let event = Event::Push(commit.to_owned());
        let ended = self.run(Program::Promote, event).await?;
        Ok(ended.with(3, "failed")?.result.reason)
    }

    /// Runs `preview-promote rollback`; gives what it says.
    pub(crate) async fn roll_back(&mut self, reason: &str) -> anyhow::Result<String> {
        let back = ["rollback", "--reason", reason];
        let ended = self.run_with(Program::Promote, Event::Schedule, &back);
        Ok(ended.await?.with(0, "rolled-back")?.result.reason)
    }

    /// Runs `preview-promote resume`.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        let ended = self.run_with(Program::Promote, Event::Schedule, &["resume"]);
        ended.await?.with(0, "resumed").map(drop)
    }

    /// Checks that `preview-promote history` tells these outcomes, newest first.
    pub(crate) async fn the_history_tells(&mut self, outcomes: &[&str]) -> anyhow::Result<()> {
        let ended = self.run_with(Program::Promote, Event::Schedule, &["history"]);
        let history = ended.await?.with(0, "listed")?.result.history;
        let told = history.iter().map(|told| json!(told.promotion.outcome));
        let told: Vec<String> = told
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect();
        ensure!(told == outcomes, "the history tells {told:?}");
        Ok(())
    }
}
