use super::*;
use crate::names::RepositoryId;
use crate::pulls::{PullState, Repository};

fn said(body: &str) -> String {
    let written = Written {
        action: "created",
        is_by_bot: false,
        is_on_pull: true,
        body,
    };
    match written.heard(&Word::ALL) {
        Ok(Heard::Command(command)) => format!("{command:?}"),
        Ok(Heard::Unclear(unclear)) => unclear.to_string(),
        Err(silence) => format!("({silence})"),
    }
}

#[test]
fn a_command_is_the_first_line_of_a_comment() {
    let approve = format!("/preview approve {}", "a".repeat(40));
    let told = [
        "/preview deploy",
        "/preview  deploy \t\r\nthe cart works now",
        "/preview deploy\n/preview destroy",
        approve.as_str(),
        "/preview destroy",
        "/preview reset-database",
        "/preview wake",
        "/preview keep 3d",
        "/preview keep 36h",
        "/preview status",
    ];
    insta::assert_snapshot!(told.map(said).join("\n"), @r"
    Deploy
    Deploy
    Deploy
    Approve(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)
    Destroy
    ResetDatabase
    Wake
    Keep(259200s)
    Keep(129600s)
    Status
    ");
}

#[test]
fn text_about_commands_is_no_command() {
    for body in [
        "",
        "Nice.\n/preview deploy",
        " /preview deploy",
        "    /preview deploy",
        "> /preview deploy",
        "`/preview deploy`",
        "```\n/preview deploy\n```",
        "/previews deploy",
        "/preview-deploy",
        "/preview\u{a0}deploy",
        "/PREVIEW deploy",
        "\u{200b}/preview deploy",
        "\u{feff}/preview deploy",
        "/preview\u{2028}deploy",
        "<!-- x -->/preview deploy",
    ] {
        assert_eq!(
            said(body),
            "(the comment does not begin with /preview)",
            "{body:?}"
        );
    }
}

#[test]
fn what_is_meant_as_a_command_and_is_none_is_told_why() {
    let long = format!("/preview {}", "deploy ".repeat(10_000));
    let short = "/preview approve abc1234";
    let told = [
        "/preview",
        "/preview deplоy",
        "/preview deploy\u{200b}",
        "/preview $(reboot)",
        "/preview deploy --force",
        "/preview destroy pr-8",
        "/preview approve",
        short,
        "/preview approve HEAD",
        "/preview keep",
        "/preview keep 3",
        "/preview keep 31d",
        "/preview keep 30m",
        "/preview keep 99999999999999999999d",
        "/preview keep -3d",
        long.as_str(),
    ];
    let told = told.map(|body| {
        let shown = body.replace('\u{200b}', "[nothing]");
        format!("{shown:.40}: {}", said(body))
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    /preview: There is no such command
    /preview deplоy: There is no such command
    /preview deploy[nothing]: There is no such command
    /preview $(reboot): There is no such command
    /preview deploy --force: Nothing follows `/preview deploy`
    /preview destroy pr-8: Nothing follows `/preview destroy`
    /preview approve: An approval names the head that was looked at, with all its 40 digits: a shorter name can be that of another commit, too
    /preview approve abc1234: An approval names the head that was looked at, with all its 40 digits: a shorter name can be that of another commit, too
    /preview approve HEAD: An approval names the head that was looked at, with all its 40 digits: a shorter name can be that of another commit, too
    /preview keep: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview keep 3: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview keep 31d: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview keep 30m: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview keep 99999999999999999999d: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview keep -3d: A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d
    /preview deploy deploy deploy deploy dep: There is no such command
    ");
}

#[test]
fn who_is_no_person_or_says_it_elsewhere_is_not_heard() {
    let written = Written {
        action: "created",
        is_by_bot: false,
        is_on_pull: true,
        body: "/preview deploy",
    };
    let all = &Word::ALL;
    let edited = Written {
        action: "edited",
        ..written
    };
    let bot = Written {
        is_by_bot: true,
        ..written
    };
    let issue = Written {
        is_on_pull: false,
        ..written
    };
    let told = [
        edited.heard(all),
        bot.heard(all),
        issue.heard(all),
        written.heard(&[]),
    ];
    let told = told.map(|heard| heard.unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"), @r#"
    the comment was "edited", and only new ones are heard
    a bot wrote the comment
    the comment stands on an issue, not on a pull request
    preview.toml allows no command (commands.allowed is empty)
    "#);
    let only = [Word::Status, Word::Wake];
    assert_eq!(
        written.heard(&only),
        Ok(Heard::Unclear(Unclear::NotAllowed(Word::Deploy)))
    );
    insta::assert_snapshot!(
        format!("{}; there are: {}", Unclear::NotAllowed(Word::Deploy), list(&only)),
        @"`/preview deploy` is switched off in this repository; there are: `/preview wake`, `/preview status`"
    );
}

fn config(more: &str) -> Config {
    let text =
        format!("host = \"{{pr}}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n{more}");
    Config::parse("preview.toml", &text).unwrap()
}

fn pull() -> PullRequest {
    let slug: RepositorySlug = "acme/shop".parse().unwrap();
    PullRequest {
        number: PrNumber::new(7).unwrap(),
        state: PullState::Open,
        title: "A cart".into(),
        author: "alice".into(),
        is_by_bot: false,
        draft: false,
        labels: Vec::new(),
        head: "a".repeat(40).parse().unwrap(),
        head_ref: "feature/cart".into(),
        head_repository: Some(slug.clone()),
        base_repository: Repository {
            id: RepositoryId(42),
            slug,
            default_branch: "main".into(),
        },
        base_ref: "main".into(),
        test_merge: None,
        mergeable: None,
    }
}

fn decided(command: &Command, pull: Option<&PullRequest>, config: &Config) -> String {
    let slug = "acme/shop".parse().unwrap();
    match command.decide(PrNumber::new(7).unwrap(), pull, &slug, config) {
        Ok(Effect::Start {
            workflow, inputs, ..
        }) => format!("{workflow} {inputs:?}"),
        Ok(effect) => format!("{effect:?}"),
        Err(no) => no.to_string(),
    }
}

#[test]
fn each_command_has_its_effect() {
    let sleepy = config("[lifetime]\nasleep_after = \"12h\"\n[cleanup]\nworkflow = \"gone.yaml\"");
    let three_days = Command::Keep(72 * HOUR);
    let pull = pull();
    let told = [
        Command::Deploy,
        Command::Approve(pull.head.clone()),
        Command::Destroy,
        Command::ResetDatabase,
        Command::Wake,
        three_days.clone(),
        Command::Status,
    ];
    let told = told.map(|command| decided(&command, Some(&pull), &sleepy));
    insta::assert_snapshot!(told.join("\n"), @r#"
    preview-deploy.yml {"pr": "7", "sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
    preview-deploy.yml {"pr": "7", "sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
    gone.yaml {"force": "true", "pr": "7"}
    preview-deploy.yml {"pr": "7", "reset_database": "true", "sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
    preview-deploy.yml {"pr": "7", "sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
    Keep(259200s)
    Show { head: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }
    "#);
    insta::assert_snapshot!(decided(&three_days, Some(&pull), &config("")), @"previews of this repository neither sleep nor end by themselves ([lifetime] in preview.toml says nothing of it), so this one stays anyway");
}

#[test]
fn a_command_about_what_is_not_there_any_more_is_refused() {
    let open = pull();
    let moved = Command::Approve("b".repeat(40).parse().unwrap());
    let closed = PullRequest {
        state: PullState::Closed,
        ..pull()
    };
    let config = config("");
    let told = [
        decided(&moved, Some(&open), &config),
        decided(&Command::Deploy, Some(&closed), &config),
        decided(&Command::Wake, Some(&closed), &config),
        decided(&Command::Keep(HOUR), Some(&closed), &config),
        // What is left of it may have to go all the same.
        decided(&Command::Destroy, Some(&closed), &config),
        decided(&Command::Status, None, &config),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the head of pull request #7 is aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, and bbbbbbb was approved; look at what is new, and approve that
    pull request #7 is closed; reopen it to have a preview of it
    pull request #7 is closed; reopen it to have a preview of it
    pull request #7 is closed; reopen it to have a preview of it
    preview-cleanup.yml {"force": "true", "pr": "7"}
    acme/shop has no pull request #7; look at its number, and whether the token may read pull requests
    "#);
}
