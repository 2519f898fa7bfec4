//! Previews that nobody has deployed for a while.

use jiff::{SignedDuration, Timestamp};

use crate::*;

/// Nobody has deployed the preview for so many hours.
fn idle(shop: &Shop, number: u64, hours: i64) {
    let then = Timestamp::now() - SignedDuration::from_hours(hours);
    sweep::annotate(shop, number, keys::ACTIVE, &then.to_string());
}

async fn sweep(shop: &Shop) -> Ran {
    shop.run(CLEANUP, &["sweep"], &[]).await.exits(0)
}

/// What was done, without the times of this run.
fn swept(ran: &Ran) -> String {
    let lines = sweep::swept(ran);
    let lines = lines.lines().map(|line| {
        let words = line.split(' ').map(|word| {
            let is_time = word.trim_end_matches('.').parse::<Timestamp>().is_ok();
            if is_time { "[time]" } else { word }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The comments on the pull request, without the times of this run.
fn comments(shop: &Shop, number: u64) -> String {
    let head = shop.repository.head_of(number);
    let all = shop.repository.comments(number).into_iter();
    let all = all.map(|(_, text)| {
        let text = shop
            .plain(&text)
            .replace(&head, "[head]")
            .replace(&head[..7], "[head]");
        let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
        let mut plain = String::new();
        let mut rest = words.as_slice();
        while let [word, more @ ..] = rest {
            let is_day = word.trim().parse::<jiff::civil::Date>().is_ok();
            match more {
                [_, more @ ..] if is_day => {
                    plain += "[time] ";
                    rest = more;
                }
                _ => {
                    plain += word;
                    rest = more;
                }
            }
        }
        plain
    });
    all.collect::<Vec<_>>().join("\n========\n")
}

fn deployment(shop: &Shop, number: u64) -> Value {
    let name = format!("preview-pr-{number}");
    shop.world
        .cluster
        .object("Deployment", &name, "web")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_preview_sleeps_keeps_its_volume_and_gives_its_slot_to_the_next() {
    let shop = Shop::open().await;
    shop.configure("capacity = 1\nlifetime = { asleep_after = \"12h\" }");
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let number = opened(&shop);
    preview(&shop, number).await;
    let next = waiting(&shop, "search");
    idle(&shop, number, 11);
    assert_eq!(swept(&sweep(&shop).await), "");

    idle(&shop, number, 13);
    let ran = sweep(&shop).await;
    insta::assert_snapshot!(swept(&ran), @"preview-pr-7 asleep: it was deployed last at [time]");
    let asleep = deployment(&shop, number);
    assert_eq!(asleep["spec"]["replicas"], 0);
    assert_eq!(asleep["metadata"]["annotations"][keys::AWAKE], "1");
    let name = format!("preview-pr-{number}");
    let volumes = shop.world.cluster.names("PersistentVolumeClaim", &name);
    assert_eq!(volumes, ["data-database-0"]);
    assert_eq!(sweep::annotation(&shop, number, keys::CLAIM), "asleep");
    insta::assert_snapshot!(comments(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 😴 Asleep
    **Last Updated**: [time] UTC
    **Commit**: [head]

    ---

    It was deployed last at [time] UTC. Its database is kept, its slot is free, and nothing of it runs. A push wakes it, and so does one of these:

    - `gh workflow run preview-deploy.yml --repo acme/shop --ref main -f pr=7 -f sha=[head]`
    - `preview-deploy wake --pr 7`

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`

    </details>
    ");
    let started = shop.repository.dispatches();
    assert_eq!(started.len(), 1, "{started:?}");
    assert_eq!(started[0].inputs["pr"], json!(next.to_string()));

    assert_eq!(swept(&sweep(&shop).await), "", "it sleeps already");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_keeps_it_awake() {
    let shop = Shop::open().await;
    shop.configure("lifetime = { asleep_after = \"12h\", most = \"3d\" }");
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.add_label(number, "keep-preview");
    idle(&shop, number, 1000);
    assert_eq!(swept(&sweep(&shop).await), "");
    assert_eq!(sweep::annotation(&shop, number, keys::CLAIM), "held");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_over_keeps_it_awake() {
    let shop = Shop::open().await;
    shop.configure("lifetime = { asleep_after = \"12h\" }");
    let number = opened(&shop);
    preview(&shop, number).await;
    let run = shop.repository.start_run(number, "preview-deploy.yml");
    sweep::annotate(&shop, number, keys::FENCE, &format!("{run}.1"));
    idle(&shop, number, 13);
    assert_eq!(swept(&sweep(&shop).await), "");
    shop.repository.finish_run(run, "success");
    assert!(swept(&sweep(&shop).await).contains("asleep"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_end_is_told_a_day_before_and_not_before_it_was_told() {
    let shop = Shop::open().await;
    shop.configure("lifetime = { most = \"3d\" }");
    let number = opened(&shop);
    preview(&shop, number).await;
    idle(&shop, number, 47);
    assert_eq!(swept(&sweep(&shop).await), "");

    // Later than it should have been told.
    idle(&shop, number, 100);
    insta::assert_snapshot!(swept(&sweep(&shop).await), @"preview-pr-7 warned: it will be destroyed after [time]");
    insta::assert_snapshot!(comments(&shop, number), @r"
    <!-- preview-environments:comment -->
    Ready
    ========
    <!-- preview-environments:lifetime -->
    ⏳ The preview of this pull request was deployed last at [time] UTC, and will be destroyed after [time] UTC. A push makes it afresh, at any time; the label `keep-preview` keeps it.
    ");
    let told = sweep::annotation(&shop, number, keys::EXPIRES);
    let told: Timestamp = told.as_str().unwrap().parse().unwrap();
    let left = told.duration_since(Timestamp::now());
    assert!(left > SignedDuration::from_hours(23), "{told}");
    assert_eq!(swept(&sweep(&shop).await), "", "it was told");

    shop.repository.add_label(number, "keep-preview");
    insta::assert_snapshot!(swept(&sweep(&shop).await), @"preview-pr-7 kept: its pull request has the label keep-preview");
    assert_eq!(sweep::annotation(&shop, number, keys::EXPIRES), Value::Null);
    assert!(comments(&shop, number).contains("is kept"));
    shop.repository.remove_label(number, "keep-preview");
    sweep(&shop).await;

    let past = Timestamp::now() - SignedDuration::from_mins(1);
    sweep::annotate(&shop, number, keys::EXPIRES, &past.to_string());
    insta::assert_snapshot!(swept(&sweep(&shop).await), @"preview-pr-7 destroyed: it was deployed last at [time]");
    assert!(!is_there(&shop, number));
    let told = comments(&shop, number);
    assert!(
        told.contains("nobody asked to keep it"),
        "the comment says why: {told}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_destroys_an_open_ones_preview_is_named() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    let pr = number.to_string();
    let actor = [("GITHUB_ACTOR", "mallory".to_owned())];
    let force = ["--pr", &pr, "--force"];
    shop.run(CLEANUP, &force, &actor).await.exits(0);
    insta::assert_snapshot!(comments(&shop, number).lines().find(|line| line.contains("asked")).unwrap(), @"- `mallory` asked for its end, although this pull request is open. A push makes it afresh.");
    shop.close();
}
