//! Telling somebody who is not looking.

use futures::future::join_all;
use preview_actions::Runner;
use preview_alerts::{Channel, LIMIT, Settings};
use preview_core::alert::{Alert, At};
use preview_core::config::Config;

use crate::promotion::Promotion;
use crate::world::World;

/// The channels that can be used; what is wrong with another is told, and holds nothing up.
pub(crate) fn channels(runner: &Runner, config: &Config) -> Vec<Channel> {
    let environment = runner.environment();
    let settings = Settings {
        slack_webhook: environment.slack_webhook(),
        smtp_url: environment.smtp_url(),
        mail: config.alerts.mail.clone(),
        ..Settings::default()
    };
    let (channels, errors) = settings.channels();
    for error in errors {
        runner.remark(&error.to_string());
    }
    channels
}

impl World<'_> {
    /// Tells by every channel at once. Where one fails it is a warning and a remark in the result: how the run ends does
    /// not hang on it.
    async fn alert(&self, alert: Alert) {
        if self.channels.is_empty() {
            return;
        }
        let runner = self.runner;
        let alert = alert.redacted(&runner.environment().redaction());
        runner.needs(LIMIT);
        let sent = self.channels.iter().map(|channel| {
            let send = channel.send(&alert);
            async move { runner.step("alert", channel, send).await }
        });
        for error in join_all(sent).await.into_iter().filter_map(Result::err) {
            runner.remark(&error.to_string());
        }
    }
}

/// What is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Images were set, and do not run.
    Failed,
    /// Nobody can tell whether they run.
    NotVerified,
    /// The target was brought back by hand.
    RolledBack,
}

impl Promotion<'_> {
    /// Tells that the promotion is to be looked at.
    pub(crate) async fn alert(&self, occasion: Occasion, happened: Vec<String>) {
        let slug = &self.world.repository.slug;
        let origin = self.runner.environment().origin(slug);
        let at = At {
            target: self.target.name.as_str(),
            namespace: &self.target.namespace,
            commit: self.commit(),
        };
        let tell = match occasion {
            Occasion::Failed => Alert::promotion_failed,
            Occasion::NotVerified => Alert::not_verified,
            Occasion::RolledBack => Alert::rolled_back,
        };
        self.world.alert(tell(origin, at, happened)).await;
    }
}
