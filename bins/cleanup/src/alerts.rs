//! Telling somebody who is not looking.

use futures::future::join_all;
use preview_actions::{Failed, Runner};
use preview_alerts::{Channel, LIMIT, Settings};
use preview_core::alert::{Alert, NotGone, Origin, SweepTrouble};
use preview_core::config::Config;
use preview_core::outcome::Exit;

use crate::sweep::Stop;
use crate::world::World;
use crate::{Cleanup, Ended};

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

    fn origin(&self) -> Origin {
        let environment = self.runner.environment();
        environment.origin(&self.repository.slug)
    }

    /// A sweep has ended with `failed`: tells, unless it was only that rules keep previews.
    pub(crate) async fn alert_of_sweep(&self, stopped: Option<Stop>, failed: &Failed) {
        let trouble = match (failed.exit(), stopped) {
            (Exit::OutsideFailed, _) => SweepTrouble::Failed,
            (_, Some(Stop::Limit(_))) => SweepTrouble::Limit,
            (_, Some(Stop::NotBelieved)) => SweepTrouble::NotBelieved,
            (Exit::Done | Exit::Refused | Exit::Misused, None) => return,
        };
        let mut swept = Vec::new();
        self.runner.know(|result| swept.clone_from(&result.swept));
        let alert = Alert::sweep(self.origin(), trouble, &failed.to_string(), &swept);
        self.alert(alert).await;
    }
}

impl Cleanup<'_> {
    /// Tells where the preview should be gone and is not.
    pub(crate) async fn alert(&self, ended: &Ended) {
        let Some(read) = &self.namespace else {
            return;
        };
        let error;
        let why = match (&ended.receipt, &ended.told) {
            (Some(receipt), _) if receipt.finished() => return,
            (Some(receipt), _) => NotGone::Blocked(&receipt.items),
            (None, Err(failed)) if failed.exit() == Exit::OutsideFailed => {
                error = failed.to_string();
                NotGone::Failed(&error)
            }
            (None, _) => return,
        };
        let alert = Alert::not_gone(self.world.origin(), &self.owner.subject, &read.name, why);
        self.world.alert(alert).await;
    }
}
