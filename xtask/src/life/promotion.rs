//! Production while it is promoted to: what breaks is set back before anybody sees it, and what somebody takes off stays
//! off until somebody says so.

use anyhow::ensure;

use super::stage::{Stage, short};
use crate::images::Edition;

/// A migration beside the rollout.
const MIGRATE: &str = "migrate = { component = \"api\" }\n";
/// A look at what was rolled out that fails: the API knows no such command.
const VERIFY: &str = "verify = { component = \"api\", command = [\"/api\", \"audit\"] }\n";
/// Where the example's only target begins.
const TARGET: &str = "name = \"production\"\n";

/// One pull request reaches production. The next one meets a database that does not let it in: its migration fails, then
/// its rollout, and production answers all the while. Once it runs it is rolled back, and kept out until `resume`.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn production_never_stops_answering(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("A pull request is previewed, merged, and promoted after its migration");
    stage.furnish_production().await?;
    stage.configures(TARGET, &format!("{TARGET}{MIGRATE}"));
    stage.open_pull_request();
    let first = stage.ci_builds(Edition::First).await?;
    let older = stage.deploy().await?;
    let merged = stage.merge()?;
    stage.promote(&merged).await?;
    stage.production_runs(&older).await?;

    stage.act(
        "Another one is merged, and production's database does not let it in: its migration fails",
    );
    stage.open_another_headline()?;
    // With the same schema: one that a rollback leaves behind must get along with what it goes back to.
    let second = stage.ci_builds(Edition::First).await?;
    let newer = stage.deploy().await?;
    let next = stage.merge()?;
    stage.shut_the_database(&second).await?;
    let visits = stage.visit_production().await?;
    let failed = stage.promote_fails(&next).await?;
    ensure!(failed.contains("Job/api-migrate-"), "{failed}");
    stage.production_runs(&older).await?;

    stage.act("Without a migration its rollout fails, and what ran before is set back");
    stage.configures(MIGRATE, "");
    let failed = stage.promote_fails(&next).await?;
    ensure!(
        failed.contains("what ran before is set back, and runs"),
        "{failed}"
    );
    stage.production_runs(&older).await?;
    stage.look_at_production(&first.test_merge).await?;
    stage.none_failed(visits).await?;
    stage.show_page();

    stage.act("The database lets it in, and whoever looks at what runs then is not content");
    stage.open_the_database(&second).await?;
    stage.configures(TARGET, &format!("{TARGET}{VERIFY}"));
    stage.fails_where_the_sandbox_runs("/api audit");
    let visits = stage.visit_production().await?;
    let failed = stage.promote_fails(&next).await?;
    ensure!(
        failed.contains("Job/api-verify-")
            && failed.contains("what ran before is set back, and runs"),
        "{failed}"
    );
    stage.production_runs(&older).await?;
    stage.look_at_production(&first.test_merge).await?;
    stage.none_failed(visits).await?;

    stage.act("Nobody looks at it, and it goes");
    stage.configures(VERIFY, "");
    stage.promote(&next).await?;
    stage.production_runs(&newer).await?;

    stage.act("Somebody rolls it back, and the next push is refused until somebody resumes");
    let back = stage.roll_back("prices are wrong").await?;
    ensure!(back.contains(short(&merged)), "{back}");
    stage.production_runs(&older).await?;
    stage.look_at_production(&first.test_merge).await?;
    stage.show_page();
    let refused = stage.promote_refused(&next).await?;
    ensure!(refused.contains("prices are wrong"), "{refused}");
    stage.resume().await?;
    stage.promote(&next).await?;
    stage.production_runs(&newer).await?;
    stage.look_at_production(&second.test_merge).await?;

    stage.act(
        "CI builds another one twice: what runs is told by another index than what was promoted",
    );
    stage.open("feature/twice", &[("README.md", "Built twice.\n")]);
    let third = stage.ci_builds(Edition::First).await?;
    stage.deploy().await?;
    stage.ci_builds_the_page_again(&third).await?;
    stage.deploy().await?;
    let last = stage.merge()?;
    let promoted = stage.promote(&last).await?;
    ensure!(promoted.notes.is_empty(), "{:?}", promoted.notes);
    stage.look_at_production(&third.test_merge).await?;
    stage
        .the_history_tells(&[
            "promoted",
            "promoted",
            "rolled-back",
            "promoted",
            "failed",
            "failed",
            "failed",
            "promoted",
        ])
        .await?;
    stage.cleanup().await?;
    stage.github_is_content()
}
