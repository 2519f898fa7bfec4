//! What a job's page shows of a run: groups, a timeline, and every request where somebody asks for it.

use crate::DEPLOY;
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_log_is_grouped_by_phase_and_its_summary_draws_them() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", "7", "--sha", &head];
    let in_job = [("GITHUB_ACTIONS", "true".to_owned())];
    let ran = shop.run(DEPLOY, &arguments, &in_job).await.exits(0);

    let commands = ["::group::", "::endgroup::", "deployed: "];
    let lines = ran.stdout.lines();
    let groups: Vec<&str> = lines
        .filter(|line| commands.iter().any(|command| line.starts_with(command)))
        .collect();
    insta::assert_snapshot!(groups.join("\n").replace(&head[..7], "{head}"), @r"
    ::group::observing
    ::endgroup::
    ::group::claiming
    ::endgroup::
    ::group::provisioning
    ::endgroup::
    ::group::migrating
    ::endgroup::
    ::group::rolling-out
    ::endgroup::
    ::group::ready
    ::endgroup::
    deployed: pull request #7 at {head} answers at https://7.pr.example.com
    ");

    let timeline = ran.summary.split("```mermaid\n").nth(1).unwrap();
    let timeline = timeline.split("```").next().unwrap();
    let drawn = timeline.lines().map(|line| match line.split_once(", ") {
        Some((phase, times)) => {
            let (took, span) = times.split_once(" :").unwrap();
            let (begins, ends) = span.split_once(", ").unwrap();
            let [begins, ends] = [begins, ends].map(|ms| ms.parse::<i64>().unwrap());
            assert!(took.ends_with(" s") && begins <= ends, "{line}");
            phase
        }
        None => line,
    });
    insta::assert_snapshot!(drawn.collect::<Vec<_>>().join("\n"), @r"
    gantt
        dateFormat x
        axisFormat %H:%M:%S
        observing
        claiming
        provisioning
        migrating
        rolling out
        ready
    ");
    assert_eq!(ran.output("phase"), "ready");
    let digests: serde_json::Value = serde_json::from_str(&ran.output("digests")).unwrap();
    assert_eq!(digests["web"].as_str().unwrap(), ran.output("digest-web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_shown_to_whoever_asks_for_it_and_to_nobody_else() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let quiet = ["plan", "--pr", "7", "--sha", &head];
    let ran = shop.run(DEPLOY, &quiet, &[]).await.exits(0);
    assert_eq!(ran.stderr, "");

    let verbose = ["-v", "--pr", "7", "--sha", &head];
    let ran = shop.run(DEPLOY, &verbose, &[]).await.exits(0);
    let hosts = [
        ("GitHub", shop.world.github.url()),
        ("registry", format!("http://{}", shop.world.registry.host())),
        ("cluster", shop.world.cluster.url()),
    ];
    let plain = |line: &str| {
        let mut line = line.to_owned();
        for (name, url) in &hosts {
            let (_, host) = url.split_once("://").unwrap();
            line = line
                .replace(host, name)
                .replace("registry.test", "registry");
        }
        line
    };
    let requests = ran.stderr.lines().filter_map(|line| {
        let (_, request) = line.split_once("request: ")?;
        let (request, took) = request.rsplit_once(" in ")?;
        assert!(took.ends_with(" ms"), "{line}");
        Some(plain(request))
    });
    let requests: Vec<String> = requests.collect();
    for wanted in [
        "GET GitHub/repos/acme/shop/pulls/7 200",
        "POST GitHub/repos/acme/shop/issues/7/comments 201",
        "PATCH cluster/api/v1/namespaces/preview-pr-7/services/web?",
        "GET registry/v2/acme/web/manifests/sha256:",
    ] {
        let made = requests.iter().any(|request| request.starts_with(wanted));
        assert!(made, "{wanted} is not among {requests:#?}");
    }
}
