//! A preview that nearly fills its quota: refused where it does not fit, updated where it just does, and left alone by a
//! deploy that changes nothing.

use anyhow::ensure;
use preview_core::quota::{Overdraft, Resource};

use super::stage::Stage;
use crate::images::Edition;

/// At rest the preview may use 3000m of CPU: two pages of 1000m, two APIs of 250m, and a database of 500m.
const AMOUNTS: &str = "[components.web.resources.limits]\ncpu = \"1\"\n\
                       [components.api.resources.limits]\ncpu = \"250m\"\n";
/// 91 % of it are used at rest. A Job of the API fits beside it; another page and another API do not.
const JUST_ENOUGH: &str = "[quota.limits]\ncpu = \"3300m\"\n";
const TOO_LITTLE: &str = "[quota.limits]\ncpu = \"2999m\"\n";
/// What the comment says where an update has no room for a pod more.
const IN_PLACE: &str = "The quota has no room for one more pod";

/// Refused, deployed, deployed again, and updated.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn nearly_full(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("It needs a thousandth of a CPU more than its quota allows");
    let number = stage.open_pull_request();
    stage.ci_builds(Edition::First).await?;
    stage.publish_postgres().await?;
    stage.configure(&[AMOUNTS, TOO_LITTLE].concat());
    tells_the_sum(&stage.deploy_beyond_quota().await?)?;
    stage.show_page();
    let page = stage.repository.page(number);
    ensure!(
        page.contains("| `Deployment/web` × 2 | 2 |")
            && page.contains("| **Allowed** | **2999m** |"),
        "the page does not show who needs how much:\n{page}"
    );
    stage.nothing_is_left_of_the_preview().await?;

    stage.act("It just fits");
    stage.configure(&[AMOUNTS, JUST_ENOUGH].concat());
    stage.deploy().await?;
    stage.uses_what_the_arithmetic_says("3").await?;

    stage.act("Deployed again, nothing changes but the fence");
    let before = stage.everything().await?;
    stage.deploy().await?;
    stage.is_as_before(&before).await?;

    stage.act("It is updated where there is no room for a pod more");
    stage.push_second_edition()?;
    let built = stage.ci_builds(Edition::Second).await?;
    stage.deploy().await?;
    stage.look_at_preview(&built.test_merge).await?;
    stage.show_page();
    let page = stage.repository.page(number);
    ensure!(page.contains(IN_PLACE), "the page does not say so:\n{page}");

    stage.act("The pull request is closed");
    stage.close()?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}

fn tells_the_sum(overdraft: &Overdraft) -> anyhow::Result<()> {
    let cpu = Resource::LimitsCpu;
    let sum = cpu.show(overdraft.table.sum().of(cpu));
    ensure!(sum == "3", "the sum should be 3: {overdraft:?}");
    Ok(())
}
