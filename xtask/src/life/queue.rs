//! Eleven pull requests at once, and ten slots.

use anyhow::ensure;

use super::stage::Stage;

const SLOTS: usize = 10;

/// Ten are deployed and one waits, until one of the ten is closed.
///
/// # Errors
/// When an act ends differently than it should.
pub(crate) async fn eleven_and_ten_slots(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act("Eleven pull requests are deployed at once");
    stage.uses_small_previews();
    let numbers = stage.open_pull_requests(SLOTS + 1).await?;
    let mut waiting = Vec::new();
    let mut ready = Vec::new();
    for (number, ended) in stage.deploy_at_once(&numbers).await? {
        match ended.result.verdict.as_str() {
            "queued" => waiting.push(number),
            _ => {
                ended.with(0, "deployed")?;
                ready.push(number);
            }
        }
    }
    ensure!(
        ready.len() == SLOTS && waiting.len() == 1,
        "ten should be ready and one wait: {ready:?} and {waiting:?}"
    );
    let eleventh = waiting[0];
    let page = stage.repository.page(eleventh);
    stage.progress.show("the page of the one that waits", &page);
    let told = |what: &str| page.contains(what);
    let names_all = ready
        .iter()
        .all(|number| told(&format!("- `pr-{number}` since ")));
    ensure!(
        told("🚦 Queued — 1 of 1") && names_all,
        "it should say its place and who has the slots:\n{page}"
    );

    stage.act("One of the ten is closed, and the eleventh is started by itself");
    stage.close_and_clean_up(ready[0]).await?;
    let ended = stage.github_starts(eleventh).await?;
    ended.with(0, "deployed")?;
    let page = stage.repository.page(eleventh);
    ensure!(page.contains("✅ Ready"), "it should be ready:\n{page}");

    stage.act("All others are closed");
    for number in ready.into_iter().skip(1).chain([eleventh]) {
        stage.close_and_clean_up(number).await?;
    }
    stage.github_is_content()
}
