//! A preview's database: kept, made afresh, migrated and filled once.

use std::fs;

use sandbox::cluster::Behaviour;
use sandbox::registry::Image;
use serde_json::json;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// A shop whose `[database]` has these keys besides, and a pull request that CI has built.
pub(crate) async fn shop(keys: &str) -> (Shop, u64) {
    let shop = Shop::open().await;
    let file = shop.path("preview.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("[database]", &format!("[database]\n{keys}")),
    )
    .unwrap();
    let number = shop.open_pull_request();
    (shop, number)
}

pub(crate) async fn deploy(shop: &Shop, number: u64) -> Ran {
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await
}

/// A commit that CI builds.
pub(crate) fn push(shop: &Shop, number: u64, changes: &[(&str, &str)]) {
    shop.repository.push(number, changes);
    shop.build(number);
}

fn uid(shop: &Shop, kind: &str, name: &str) -> String {
    let object = shop.world.cluster.object(kind, "preview-pr-7", name);
    object.unwrap()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn volume_claim(shop: &Shop) -> String {
    uid(shop, "PersistentVolumeClaim", "data-database-0")
}

/// The Jobs of a program that are there.
fn jobs(shop: &Shop, program: &str) -> Vec<String> {
    let mut names = shop.world.cluster.names("Job", "preview-pr-7");
    names.retain(|name| name.starts_with(program));
    names
}

/// The remarks of the comment.
pub(crate) fn remarks(shop: &Shop, number: u64) -> Vec<String> {
    let comment = shop.comment(number);
    let (told, _) = comment.split_once("<details>").unwrap();
    let remarks = told.lines().filter(|line| line.starts_with("- "));
    remarks.map(str::to_owned).collect()
}

const MIGRATIONS: &str = "migrations = [\"api/migrations/*.sql\"]";
const FIRST: (&str, &str) = ("api/migrations/0001.sql", "create table notes ()");

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_leaves_the_previous_version_serving_and_is_tried_again() {
    let (shop, number) = shop("").await;
    deploy(&shop, number).await.exits(0);
    let before = shop.repository.head_of(number);

    shop.repository
        .push(number, &[("api/main.rs", "prices in euros")]);
    shop.build(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let image = Image::of(&built_from).containing("api");
    let image = shop.publish("api", &shop.repository.head_of(number), &image);
    let (_, digest) = image.split_once('@').unwrap();
    let log = vec!["column \"price\" does not exist".to_owned()];
    shop.world
        .cluster
        .behave(digest, Behaviour::Crash { exit_code: 1, log });
    let ran = deploy(&shop, number).await.exits(3);
    assert_eq!(ran.result["failure"]["class"], "migration");
    let comment = shop
        .without_hashes(&shop.comment(number))
        .replace(&before[..7], "[before]");
    insta::assert_snapshot!(comment, @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — migrating the database after [time]
    **URL**: https://7.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: migration failed — `Job/api-migrate-[x]`, pod `api-migrate-[x]-[x]`, container `migrate`
    **Message**: ended with exit code 1 (Error)
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs api-migrate-[x]-[x] -c migrate`

    The last lines it printed:

    ```text
    column "price" does not exist
    ```

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    - The previous version, [before], still serves.

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    "#);

    // The same commit once more: the Job's name is the same, and it is run again.
    let failed = jobs(&shop, "api-migrate-");
    shop.world
        .cluster
        .behave(digest, Behaviour::Fine { log: vec![] });
    let ran = deploy(&shop, number).await.exits(0);
    let told = shop.without_hashes(&ran.stdout);
    assert!(
        told.contains("removed Job/api-migrate-[x], which had failed"),
        "{told}"
    );
    assert!(
        jobs(&shop, "api-migrate-")
            .iter()
            .any(|job| failed.contains(job))
    );
    assert_eq!(remarks(&shop, number), Vec::<String>::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_version_that_cannot_migrate_leaves_nothing_serving() {
    let (shop, number) = shop("").await;
    shop.world.cluster.behave(
        "acme/api",
        Behaviour::Crash {
            exit_code: 1,
            log: vec![],
        },
    );
    deploy(&shop, number).await.exits(3);
    assert_eq!(remarks(&shop, number), Vec::<String>::new());
    assert!(!shop.comment(number).contains("**URL**"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_kept_until_a_migration_that_it_had_is_rewritten() {
    let (shop, number) = shop(MIGRATIONS).await;
    push(&shop, number, &[FIRST]);
    deploy(&shop, number).await.exits(0);
    let (made, seeded) = (volume_claim(&shop), jobs(&shop, "api-seed-"));
    assert_eq!(seeded.len(), 1);

    // Another image and one more migration: the rows survive, and nothing is filled twice.
    let more = ("api/migrations/0002.sql", "alter table notes");
    push(&shop, number, &[more, ("api/main.rs", "more")]);
    let ran = deploy(&shop, number).await.exits(0);
    assert!(ran.steps().contains("apply Job/api-migrate-"), "{ran:#?}");
    assert!(!ran.steps().contains("Job/api-seed-"), "{ran:#?}");
    assert_eq!(
        (volume_claim(&shop), jobs(&shop, "api-seed-")),
        (made.clone(), seeded.clone())
    );
    assert_eq!(remarks(&shop, number), Vec::<String>::new());

    // Nothing new: nothing is done to the database, although Kubernetes has forgotten its Jobs.
    for job in shop.world.cluster.names("Job", "preview-pr-7") {
        assert!(shop.world.cluster.delete(("Job", "preview-pr-7", &job)));
    }
    let ran = deploy(&shop, number).await.exits(0);
    assert!(!ran.steps().contains("Job/"), "{ran:#?}");

    push(&shop, number, &[(FIRST.0, "create table notes (id int)")]);
    let ran = deploy(&shop, number).await.exits(0);
    assert!(
        ran.steps()
            .contains("remove StatefulSet/database, PersistentVolumeClaim/data-database-0"),
        "{ran:#?}"
    );
    let rebuilt = volume_claim(&shop);
    assert_ne!(rebuilt, made);
    assert_ne!(jobs(&shop, "api-seed-"), seeded);
    insta::assert_snapshot!(remarks(&shop, number).join("\n"), @"- The database was made afresh, and what was in it is gone: `api/migrations/0001.sql` was applied with other content.");

    // The next one has nothing to say.
    deploy(&shop, number).await.exits(0);
    assert_eq!(volume_claim(&shop), rebuilt);
    assert_eq!(remarks(&shop, number), Vec::<String>::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_run_may_have_applied_is_in_doubt_once_it_is_rewritten() {
    let (shop, number) = shop(MIGRATIONS).await;
    let two = [FIRST, ("api/migrations/0002.sql", "alter table notes")];
    push(&shop, number, &two);
    let log = vec!["relation \"notes\" does not exist".to_owned()];
    let fails = Behaviour::Crash { exit_code: 1, log };
    shop.world.cluster.behave("acme/api", fails);
    deploy(&shop, number).await.exits(3);
    let made = volume_claim(&shop);
    assert_eq!(remarks(&shop, number), Vec::<String>::new());

    shop.world
        .cluster
        .behave("acme/api", Behaviour::Fine { log: vec![] });
    push(&shop, number, &[(FIRST.0, "create table notes (id int)")]);
    deploy(&shop, number).await.exits(0);
    assert_eq!(volume_claim(&shop), made);
    insta::assert_snapshot!(remarks(&shop, number).join("\n"), @"- `api/migrations/0001.sql` has other content since, and a run that failed may have applied it as it was before. The database was kept; where it does not fit, `--reset-database` makes it afresh.");

    deploy(&shop, number).await.exits(0);
    assert_eq!(remarks(&shop, number), Vec::<String>::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_made_afresh_when_somebody_asks_for_it() {
    let (shop, number) = shop("").await;
    deploy(&shop, number).await.exits(0);
    let made = volume_claim(&shop);
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", "7", "--sha", &head, "--reset-database"];
    shop.run(DEPLOY, &arguments, &[]).await.exits(0);
    assert_ne!(volume_claim(&shop), made);
    insta::assert_snapshot!(remarks(&shop, number).join("\n"), @"- The database was made afresh, and what was in it is gone: `--reset-database` asked for it.");
    assert_eq!(jobs(&shop, "api-seed-").len(), 1);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_keeps_its_size_until_it_is_made_afresh() {
    let (shop, number) = shop("size = \"1Gi\"").await;
    deploy(&shop, number).await.exits(0);
    let file = shop.path("preview.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"1Gi\"", "\"2Gi\"")).unwrap();
    let size = || {
        let claim = ("PersistentVolumeClaim", "preview-pr-7", "data-database-0");
        let claim = shop
            .world
            .cluster
            .object(claim.0, claim.1, claim.2)
            .unwrap();
        claim["spec"]["resources"]["requests"]["storage"].clone()
    };
    deploy(&shop, number).await.exits(0);
    assert_eq!(size(), "1Gi");
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", "7", "--sha", &head, "--reset-database"];
    shop.run(DEPLOY, &arguments, &[]).await.exits(0);
    assert_eq!(size(), "2Gi");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_was_edited_stops_everything_but_a_fresh_database() {
    let (shop, number) = shop("").await;
    deploy(&shop, number).await.exits(0);
    let state = ("ConfigMap", "preview-pr-7", "database-state");
    let edited = shop.world.cluster.edit("kubectl-edit", state, |state| {
        state["data"] = json!({ "state.json": "{}" });
    });
    edited.unwrap();
    let ran = deploy(&shop, number).await.exits(3);
    assert!(ran.error().contains("--reset-database"), "{ran:#?}");
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", "7", "--sha", &head, "--reset-database"];
    shop.run(DEPLOY, &arguments, &[]).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_files_fill_a_fresh_database_once_and_are_not_left_lying_about() {
    let (shop, number) = shop("seed.sql = [\"db/*.sql\"]").await;
    let files = [
        ("db/1.sql", "insert"),
        ("db/2.sql", "insert"),
        ("db/README", ""),
    ];
    push(&shop, number, &files);
    let ran = deploy(&shop, number).await.exits(0);
    let applied: Vec<String> = shop
        .without_hashes(&ran.steps())
        .lines()
        .filter(|line| line.contains("apply") && line.contains("seed"))
        .map(str::to_owned)
        .collect();
    insta::assert_snapshot!(applied.join("\n"), @r"
    ✓ apply Secret/database-seed
    ✓ apply Job/database-seed-[x]
    ✓ apply Job/api-seed-[x]
    ");
    let secrets = shop.world.cluster.names("Secret", "preview-pr-7");
    assert!(
        !secrets.contains(&"database-seed".to_owned()),
        "{secrets:?}"
    );
    push(&shop, number, &[("db/3.sql", "insert")]);
    let ran = deploy(&shop, number).await.exits(0);
    assert!(!ran.steps().contains("database-seed"), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_without_files_and_files_without_room_are_refused_before_anything_is_there() {
    let (shop, number) = shop(&format!("{MIGRATIONS}\nseed.sql = [\"db/*.sql\"]")).await;
    let ran = deploy(&shop, number).await.exits(1);
    let without_tree = |text: String| {
        let (before, after) = text.split_once("tree ").unwrap();
        format!("{before}tree [sha]{}", &after[40..])
    };
    insta::assert_snapshot!(without_tree(ran.error()), @"error: database.migrations (api/migrations/*.sql) means no file of tree [sha]; correct it in preview.toml");
    push(&shop, number, &[FIRST]);
    let ran = deploy(&shop, number).await.exits(1);
    insta::assert_snapshot!(without_tree(ran.error()), @"error: database.seed.sql (db/*.sql) means no file of tree [sha]; correct it in preview.toml");
    let much = "-".repeat(1 << 19);
    push(
        &shop,
        number,
        &[("db/1.sql", &much), ("db/2.sql", &much), ("db/3.sql", "x")],
    );
    let ran = deploy(&shop, number).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: the files of database.seed.sql have 1048577 bytes, and 1048576 fit into a Secret; put them into an image and name it as database.seed.image");
    let namespace = shop.world.cluster.object("Namespace", "", "preview-pr-7");
    assert!(namespace.is_none());
    assert!(shop.comment(number).contains("⛔ Refused"));
    shop.close();
}
