//! Which pull requests get a preview, as `[pull_requests]` of the configuration says.

use preview_core::ownership::keys;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

impl Shop {
    /// Adds `[pull_requests]` with these keys.
    fn rules(&self, keys: &str) {
        self.rules_beside("", keys);
    }

    fn rules_beside(&self, more: &str, keys: &str) {
        self.configure(more);
        let file = self.path("preview.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n[pull_requests]\n{keys}\n")).unwrap();
    }

    /// What GitHub was asked since the last time.
    fn asked(&self) -> String {
        let traffic = self.world.github.traffic();
        let asked = traffic.exchanges().into_iter().map(|exchange| {
            let path = exchange.target.split('?').next().unwrap_or_default();
            format!("{} {path}", exchange.method)
        });
        let asked = asked.collect::<Vec<_>>().join("\n");
        traffic.forget();
        asked
    }

    /// A run for a pull request that CI has built, and what GitHub was asked by it.
    async fn ended_ci(&self, number: u64) -> (Ran, String) {
        let payload = self.repository.workflow_run_payload(number);
        self.asked();
        let ran = self.on(DEPLOY, "workflow_run", &payload).await;
        let asked = self.asked();
        (ran, asked)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_a_rule_excludes_costs_one_request_and_a_line_in_the_summary() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let rules = [
        "label = \"preview\"",
        "exclude_labels = [\"no-preview\"]",
        "pause_labels = [\"paused\"]",
        "drafts = false",
        "base_branches = [\"release/*\"]",
        "bots = false",
        "exclude_authors = [\"Dependabot[bot]\"]",
    ];
    shop.repository.add_label(number, "no-preview");
    shop.repository.add_label(number, "paused");
    shop.repository.set_draft(number, true);
    shop.repository.set_author(number, "dependabot[bot]");
    let mut told = Vec::new();
    for rule in rules {
        shop.rules(rule);
        let (ran, asked) = shop.ended_ci(number).await;
        let ran = ran.exits(0);
        assert_eq!(asked, "GET /repos/acme/shop/pulls", "{rule}");
        assert_eq!(ran.steps(), "", "{rule}");
        told.push(format!("{rule}\n  {}", ran.verdict()));
        let line = ran.result["reason"].as_str().unwrap();
        let shown = ran.summary.replace('\\', "").replace("&#8203;", "");
        assert!(
            shown.contains("pr-7: nothing") && shown.contains(line),
            "{shown}"
        );
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    label = "preview"
      nothing: pull request #7 gets no preview: it does not have the label "preview" (pull_requests.label)
    exclude_labels = ["no-preview"]
      nothing: pull request #7 gets no preview: it has the label "no-preview" (pull_requests.exclude_labels)
    pause_labels = ["paused"]
      nothing: pull request #7 is paused, so a preview that it has stays as it is and nothing new is deployed: it has the label "paused" (pull_requests.pause_labels)
    drafts = false
      nothing: pull request #7 gets no preview: it is a draft (pull_requests.drafts = false)
    base_branches = ["release/*"]
      nothing: pull request #7 gets no preview: it goes into "main", which matches none of release/* (pull_requests.base_branches)
    bots = false
      nothing: pull request #7 gets no preview: "dependabot[bot]", who opened it, is a bot (pull_requests.bots = false)
    exclude_authors = ["Dependabot[bot]"]
      nothing: pull request #7 gets no preview: "dependabot[bot]" opened it (pull_requests.exclude_authors)
    "#);
    assert_eq!(shop.repository.comments(number), []);
    assert_eq!(shop.repository.deployments(), []);
    assert_eq!(
        shop.repository
            .statuses(&shop.repository.head_of(number))
            .len(),
        0
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_pull_request_are_asked_for_only_where_everything_else_says_yes() {
    let shop = Shop::open().await;
    let number = shop
        .repository
        .open_pull_request("docs/how", &[("docs/how.md", "so"), ("README.md", "read")]);
    shop.build(number);
    shop.rules("paths = [\"web/**\", \"docs/**\"]\nexclude_paths = [\"**/*.md\"]\ndrafts = false");
    let (ran, asked) = shop.ended_ci(number).await;
    let mut told = vec![ran.exits(0).verdict(), asked];
    shop.repository.set_draft(number, true);
    let (ran, asked) = shop.ended_ci(number).await;
    told.extend([ran.exits(0).verdict(), asked]);
    shop.repository.set_draft(number, false);
    shop.repository.push(number, &[("web/how.html", "so")]);
    shop.build(number);
    let (ran, _) = shop.ended_ci(number).await;
    told.push(ran.exits(0).verdict());
    let told = told
        .join("\n")
        .replace(&shop.repository.head_of(number)[..7], "[head]");
    insta::assert_snapshot!(told, @r#"
    nothing: pull request #7 gets no preview: none of the 2 files that it changes counts: the first, "README.md", matches none of web/**, docs/** (pull_requests.paths)
    GET /repos/acme/shop/pulls
    GET /repos/acme/shop/pulls/7/files
    nothing: pull request #7 gets no preview: it is a draft (pull_requests.drafts = false)
    GET /repos/acme/shop/pulls
    deployed: pull request #7 at [head] answers at https://7.pr.example.com
    "#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_pauses_a_preview_and_lets_it_go_on() {
    let shop = Shop::open().await;
    shop.rules("pause_labels = [\"paused\"]");
    let number = shop.open_pull_request();
    shop.ended_ci(number).await.0.exits(0);
    let (was, comment) = (shop.contents("preview-pr-7"), shop.comment(number));

    shop.repository.add_label(number, "Paused");
    let head = shop
        .repository
        .push(number, &[("web/cart.html", "two carts")]);
    shop.build(number);
    let by_hand = ["--pr", "7", "--sha", &head];
    let ran = shop.run(DEPLOY, &by_hand, &[]).await.exits(0);
    insta::assert_snapshot!(ran.verdict(), @r#"nothing: pull request #7 is paused, so a preview that it has stays as it is and nothing new is deployed: it has the label "paused" (pull_requests.pause_labels)"#);
    assert_eq!(shop.contents("preview-pr-7"), was);
    assert_eq!(shop.repository.statuses(&head).len(), 0);

    shop.repository.remove_label(number, "Paused");
    shop.run(DEPLOY, &by_hand, &[]).await.exits(0);
    assert_ne!(shop.repository.statuses(&head).len(), 0);
    assert_eq!(shop.comment(number), comment, "at the new head");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_paused_in_the_queue_hands_its_turn_to_those_behind() {
    let shop = Shop::open().await;
    shop.rules_beside("capacity = 1", "pause_labels = [\"paused\"]");
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let numbers = ["cart", "search", "tea"].map(|branch| {
        let path = format!("web/{branch}.html");
        let number = shop.repository.open_pull_request(branch, &[(&path, "x")]);
        shop.build(number);
        number
    });
    let deploy = async |number: u64| {
        let head = shop.repository.head_of(number);
        let by_hand = ["--pr", &number.to_string(), "--sha", &head];
        shop.run(DEPLOY, &by_hand, &[]).await.exits(0)
    };
    let mut told = Vec::new();
    for number in numbers {
        told.push(deploy(number).await.verdict());
    }
    // The first in the queue's order is paused, and started all the same: a slot was free.
    let namespaces = shop.world.cluster.objects("Namespace", "");
    let mut waiting: Vec<_> = namespaces
        .iter()
        .filter(|namespace| namespace["metadata"]["annotations"][keys::CLAIM] == "queued")
        .map(|namespace| {
            let metadata = &namespace["metadata"];
            let subject = metadata["labels"][keys::SUBJECT].as_str().unwrap();
            let number: u64 = subject.trim_start_matches("pr-").parse().unwrap();
            let text = |key: &str| metadata[key].as_str().unwrap().to_owned();
            (text("creationTimestamp"), text("uid"), number)
        })
        .collect();
    waiting.sort();
    let [(.., first), (.., second)] = waiting.as_slice() else {
        panic!("{told:#?}");
    };
    shop.repository.add_label(*first, "paused");
    let place = ("Namespace", "", "preview-pr-7");
    let freed = shop.world.cluster.edit("somebody", place, |namespace| {
        namespace["metadata"]["annotations"][keys::CLAIM] = "asleep".into();
    });
    freed.unwrap();
    told.push(deploy(*first).await.verdict());
    let dispatches = shop.repository.dispatches();
    assert_eq!(dispatches.len(), 1, "{dispatches:?}");
    assert_eq!(dispatches[0].inputs["pr"], second.to_string());

    // Nobody is behind that one, and nobody before it is started once more.
    shop.repository.add_label(*second, "paused");
    told.push(deploy(*second).await.verdict());
    assert_eq!(shop.repository.dispatches().len(), 1);
    let words: Vec<&str> = told
        .iter()
        .filter_map(|told| told.split(':').next())
        .collect();
    assert_eq!(
        words,
        ["deployed", "queued", "queued", "nothing", "nothing"]
    );
    shop.close();
}
