use super::*;
use crate::pulls::tests::pull;
use crate::pulls::{ChangedFile, FileStatus};

fn rules() -> PullRules {
    PullRules::default()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is said of a pull request of alice's from `feature` into `main`, changed so.
fn said(rules: &PullRules, change: impl FnOnce(&mut PullRequest)) -> String {
    let mut pull = pull(7);
    change(&mut pull);
    match wanted(rules, &pull) {
        Ok(()) => "wanted".to_owned(),
        Err(unwanted) => unwanted.to_string(),
    }
}

#[test]
fn without_a_rule_every_pull_request_is_wanted() {
    let odd = said(&rules(), |pull| {
        pull.draft = true;
        pull.is_by_bot = true;
        pull.base_ref = "anything".into();
        pull.labels = names(&["wip"]);
    });
    assert_eq!(odd, "wanted");
    assert!(!depends_on_files(&rules()));
}

#[test]
fn each_rule_names_itself_and_what_decided() {
    let labels = PullRules {
        label: Some("Preview".into()),
        exclude_labels: names(&["no-preview"]),
        pause_labels: names(&["preview-paused"]),
        ..rules()
    };
    let carries = |carried: &[&str]| said(&labels, |pull| pull.labels = names(carried));
    let no_drafts = PullRules {
        drafts: false,
        ..rules()
    };
    let bases = PullRules {
        base_branches: ["main", "release/*"]
            .map(|base| base.parse().unwrap())
            .into(),
        ..rules()
    };
    let into = |base: &str| said(&bases, |pull| pull.base_ref = base.into());
    let no_bots = PullRules {
        bots: false,
        exclude_authors: names(&["Acme-CI"]),
        ..rules()
    };
    let by = |author: &str, is_by_bot| {
        said(&no_bots, |pull| {
            pull.author = author.into();
            pull.is_by_bot = is_by_bot;
        })
    };
    let told = [
        carries(&["preview"]),
        carries(&[]),
        carries(&["previews"]),
        carries(&["preview", "No-Preview", "preview-paused"]),
        carries(&["preview", "preview-paused"]),
        carries(&["preview-paused"]),
        said(&no_drafts, |pull| pull.draft = true),
        said(&no_drafts, |_| {}),
        into("main"),
        into("release/2"),
        into("release/2/hotfix"),
        by("alice", false),
        by("dependabot[bot]", true),
        by("acme-ci", false),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    wanted
    it does not have the label "Preview" (pull_requests.label)
    it does not have the label "Preview" (pull_requests.label)
    it has the label "no-preview" (pull_requests.exclude_labels)
    it has the label "preview-paused" (pull_requests.pause_labels)
    it has the label "preview-paused" (pull_requests.pause_labels)
    it is a draft (pull_requests.drafts = false)
    wanted
    wanted
    wanted
    it goes into "release/2/hotfix", which matches none of main, release/* (pull_requests.base_branches)
    wanted
    "dependabot[bot]", who opened it, is a bot (pull_requests.bots = false)
    "acme-ci" opened it (pull_requests.exclude_authors)
    "#);
}

fn changed(paths: &[&str]) -> ChangedFiles {
    let file = |path: &&str| {
        let (previous, path) = match path.split_once(" -> ") {
            Some((previous, path)) => (Some(previous.to_owned()), path),
            None => (None, *path),
        };
        ChangedFile {
            path: path.to_owned(),
            previous_path: previous,
            status: FileStatus::Modified,
        }
    };
    ChangedFiles::new(paths.iter().map(file).collect())
}

#[test]
fn one_file_that_counts_suffices() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let rules = |paths: &[&str], exclude: &[&str]| PullRules {
        paths: patterns(paths),
        exclude_paths: patterns(exclude),
        ..PullRules::default()
    };
    let said = |rules: &PullRules, files: &[&str]| match touches(rules, &changed(files)) {
        Ok(()) => "wanted".to_owned(),
        Err(unwanted) => unwanted.to_string(),
    };
    let code = rules(&["web/**", "api/**"], &["**/*.md"]);
    let no_docs = rules(&[], &["docs/**", "**/*.md"]);
    assert!(depends_on_files(&code) && depends_on_files(&no_docs));
    let told = [
        said(&code, &["README.md", "web/page.html"]),
        said(&code, &["web/README.md"]),
        said(&code, &["LICENSE", "web/README.md"]),
        said(&code, &["web/page.html -> attic/page.html"]),
        said(&code, &["attic/page.html -> web/page.html"]),
        said(&no_docs, &["docs/routes.md", "Cargo.lock"]),
        said(&no_docs, &["docs/logo.png", "README.md"]),
        said(&no_docs, &[]),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    wanted
    the one file that it changes, "web/README.md", matches **/*.md (pull_requests.exclude_paths)
    none of the 2 files that it changes counts: the first, "LICENSE", matches none of web/**, api/** (pull_requests.paths)
    wanted
    wanted
    wanted
    none of the 2 files that it changes counts: the first, "docs/logo.png", matches docs/** (pull_requests.exclude_paths)
    it changes no files (pull_requests.paths and exclude_paths)
    "#);
}

#[test]
fn where_github_does_not_list_all_files_one_that_is_not_listed_may_count() {
    let rules = PullRules {
        paths: ["web/**".parse().unwrap()].into_iter().collect(),
        ..rules()
    };
    let many = vec!["docs/page.md"; ChangedFiles::MOST];
    assert_eq!(touches(&rules, &changed(&many)), Ok(()));
    assert!(touches(&rules, &changed(&many[1..])).is_err());
}

#[test]
fn pull_requests_from_forks_get_none_where_none_are_wanted() {
    let none = PullRules {
        forks: Forks::None,
        ..rules()
    };
    let from = |rules: &PullRules, fork: &str| {
        said(rules, |pull| {
            pull.head_repository = Some(fork.parse().unwrap())
        })
    };
    assert_eq!(from(&rules(), "mallory/shop"), "wanted");
    assert_eq!(from(&none, "acme/shop"), "wanted");
    assert_eq!(
        from(&none, "mallory/shop"),
        "it comes from the fork mallory/shop (pull_requests.forks = \"none\")"
    );
}
