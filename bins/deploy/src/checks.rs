//! Whether what was deployed answers.

use std::time::{Duration, Instant};

use futures::future::join_all;
use preview_actions::{Failed, Outside as _};
use preview_core::checks::{Answer, PageCheck, Way};
use preview_core::tls::AUTHORITY_KEY;
use preview_visitor::Visitor;
use secrecy::ExposeSecret as _;

use crate::Deploy;
use crate::stop::Stop;
use crate::story::Story;

/// Between one question and the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
impl Deploy<'_> {
    /// Asks every component that has a check until it answers as it should, all of them at once.
    ///
    /// # Errors
    /// When one does not within its deadline: of several the first in the file's order.
    pub(crate) async fn check_pages(&self, story: &mut Story<'_>) -> Result<(), Stop> {
        let checks = self.preview.checks();
        if checks.is_empty() {
            return Ok(());
        }
        self.runner.enters("checking");
        story.deploys("checking that it answers").await?;
        let visitor = match checks.iter().any(|check| check.route.is_some()) {
            true => Some(self.visitor().await?),
            false => None,
        };
        let asked = checks.iter().map(|check| {
            let work = self.answers(check, visitor.as_ref());
            self.runner.step("check", check.address(), work)
        });
        for answered in join_all(asked).await {
            answered?;
        }
        Ok(())
    }

    /// Somebody who trusts whatever the preview's certificate came with, beside what this machine does.
    async fn visitor(&self) -> Result<Visitor, Failed> {
        let config = self.world.config;
        let authority = match &config.tls {
            Some(tls) => {
                let namespace = self.preview.namespace_name();
                let cluster = &self.world.cluster;
                let value = cluster
                    .secret_value(namespace, &tls.secret, AUTHORITY_KEY)
                    .await;
                value.outside()?
            }
            None => None,
        };
        let authority = authority
            .as_ref()
            .map(|authority| authority.expose_secret());
        Visitor::new(config.checks.connect_to.clone(), authority).outside()
    }

    async fn answers(&self, check: &PageCheck, visitor: Option<&Visitor>) -> Result<(), Failed> {
        let deadline = self.runner.deadline().min(Instant::now() + check.deadline);
        let mut last = None;
        loop {
            let asked = match (&check.route, visitor) {
                (Some(way), Some(visitor)) => Ok(outside(visitor, way, check, deadline).await),
                _ => self.inside(check, deadline).await,
            };
            let answer = match (asked, last.take()) {
                (Ok(answer), _) => answer,
                // The time was up while it was asked once more: what it answered before counts.
                (Err(_), Some(last)) if Instant::now() >= deadline => {
                    return Err(self.unanswered(check, &last).await);
                }
                (Err(failed), _) => return Err(failed),
            };
            if check.is_met_by(&answer) {
                return Ok(());
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(self.unanswered(check, &answer).await);
            }
            last = Some(answer);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What the component answers within the cluster.
    async fn inside(&self, check: &PageCheck, deadline: Instant) -> Result<Answer, Failed> {
        let (namespace, service) = (self.preview.namespace_name(), check.component.as_str());
        let cluster = &self.world.cluster;
        let page = cluster.page(namespace, service, check.port, &check.path, deadline);
        let page = page.await.outside()?;
        Ok(Answer::Page {
            status: page.status,
            body: page.body,
        })
    }

    /// Whoever has to act follows from whether it answers within the cluster, where it was asked for from outside.
    async fn unanswered(&self, check: &PageCheck, last: &Answer) -> Failed {
        let inside = match check.route {
            Some(_) => self.inside(check, Instant::now() + PATIENCE).await.ok(),
            None => None,
        };
        let namespace = self.preview.namespace_name();
        let mut failure = check.failure(last, inside.as_ref());
        match self.world.cluster.redaction(namespace).await {
            Ok(redaction) => failure = failure.redacted(&redaction),
            Err(error) => {
                // A page of an error may show the very password that did not do.
                failure.log.clear();
                let warning = format!("what the page answers is not shown: {error}");
                self.runner.console().warning(&warning);
            }
        }
        self.runner.broken(failure, namespace)
    }
}

async fn outside(visitor: &Visitor, way: &Way, check: &PageCheck, deadline: Instant) -> Answer {
    let left = deadline.saturating_duration_since(Instant::now());
    visitor
        .ask(&way.host, &check.path, PATIENCE.min(left))
        .await
}
